"""Reading a weight file without running code from it, and naming what it is when it holds no weights."""

from __future__ import annotations

import contextlib
import json
import os
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError  # the class of an error only; nothing is unpickled with this module
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from fairart.errors import WeightsError

__all__ = ["read_file", "stated_normalization"]

METADATA = (
    "argparse.Namespace",
    *(f"builtins.{kind}" for kind in ("dict", "float", "int", "list", "str", "tuple")),
    "datetime.datetime",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.dtypes.{kind}DType" for kind in ("Bool", "Float16", "Float32", "Float64", "Int32", "Int64", "Str")),
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "types.SimpleNamespace",
)
"""Classes and functions that training programs leave beside the weights: settings, best accuracies, paths.

An empty object takes the place of each, so that none of them is imported or called.
"""

DICTIONARIES = (
    "collections.defaultdict",
    "easydict.EasyDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "yacs.config.CfgNode",
)
"""The same for classes of dictionaries: an ordered dictionary takes their place."""

RUNS_CODE = frozenset(
    (
        *("__builtin__", "builtins", "code", "commands", "ctypes", "functools", "importlib", "io", "marshal", "multiprocessing"),
        *("nt", "operator", "os", "platform", "posix", "pty", "runpy", "shutil", "signal", "socket", "subprocess", "sys"),
        *("tempfile", "threading", "timeit", "urllib", "webbrowser"),
    )
)
"""Modules whose functions a harmless weight file never names."""

FORMATS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch the file with 'git lfs pull'"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"\x89HDF", "an HDF5 file (Keras?): expected weights of PyTorch"),
    (b"BZh", "compressed by bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed by xz: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"\x93NUMPY", "a numpy array: expected weights of PyTorch"),
    (b"\x89PNG", "a PNG image: expected weights of PyTorch"),
)
HTML = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)
GLOBAL = re.compile(r"GLOBAL\s+(\w+(?:\.\w+)*)")


class _Ignored:
    """Stands for an object of the file's metadata."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class _Dictionary:
    """Making one makes an ordered dictionary, the only subclass that torch fills."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return OrderedDict()


def _stand_in(name: str, base: type) -> type:
    module, _, attribute = name.rpartition(".")
    # torch finds what is allowed by module and name, in every version since 2.4.
    return type(attribute, (base,), {"__module__": module, "__qualname__": attribute})


STAND_INS = [*(_stand_in(name, _Ignored) for name in METADATA), *(_stand_in(name, _Dictionary) for name in DICTIONARIES)]


@contextlib.contextmanager
def _metadata_ignored() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([*before, *STAND_INS])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def read_file(path: str | os.PathLike[str]) -> Any:
    """Read a file of weights onto the CPU, as the nested dictionaries and lists that were saved.

    Reads safetensors, and what ``torch.save`` wrote in its format of today and in the one before torch 1.6, always with
    ``weights_only=True``.

    Args:
        path: file; its name does not matter.

    Raises:
        WeightsError: no file, or one that holds no weights, is not whole, or could run code; the message says what helps.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise WeightsError(f"there is no weight file {file}")
    if file.is_dir():
        raise WeightsError(f"{file} is a folder: expected a file of weights, such as {file / 'model.safetensors'}")
    with file.open("rb") as stream:
        head = stream.read(512)
    _refuse_other_formats(file, head)
    if _is_safetensors(file, head):
        try:
            return load_file(file)
        except (SafetensorError, ValueError) as error:
            raise WeightsError(f"{file} is a safetensors file that is damaged or not whole: {error}") from error
    return _read_torch(file)


def _refuse_other_formats(file: Path, head: bytes) -> None:
    if not head:
        raise WeightsError(f"{file} is empty (0 bytes)")
    if HTML.match(head):
        raise WeightsError(f"{file} is a web page (HTML): the download failed or needs a login")
    for begin, meaning in FORMATS:
        if head.startswith(begin):
            raise WeightsError(f"{file} is {meaning}")
    if head[257:262] == b"ustar":
        raise WeightsError(f"{file} is a tar archive: unpack it and name the file of weights in it")
    if head.lstrip()[:1] in (b"{", b"["):
        raise WeightsError(f"{file} is a text file (JSON): expected weights of PyTorch")
    if head.startswith(b"PK") and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            _refuse_other_archives(file, archive.namelist())


def _refuse_other_archives(file: Path, names: list[str]) -> None:
    inner = [name.partition("/")[2] for name in names]
    if "constants.pkl" in inner:
        raise WeightsError(
            f"{file} is a TorchScript program, which is code: expected a state dict. Its weights, where you trust it: "
            f"torch.save(torch.jit.load({file.name!r}).state_dict(), 'weights.pt')"
        )
    if "data.pkl" in inner:
        return
    if names and all(name.endswith(".npy") for name in names):
        raise WeightsError(f"{file} is an archive of numpy arrays (npz): expected weights of PyTorch")
    raise WeightsError(
        f"{file} is a zip archive of {len(names)} files without weights: unpack it and name the file of weights in it"
    )


def stated_normalization(path: str | os.PathLike[str]) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation that a weight file of fairart names in its metadata; None for other files.

    Args:
        path: the file.
    """
    file = Path(path).expanduser()
    with file.open("rb") as opened:
        head = opened.read(16)
    if not _is_safetensors(file, head):
        return None
    try:
        with safe_open(file, framework="pt") as opened_weights:
            about = json.loads((opened_weights.metadata() or {})["fairart.run"])
        return [float(value) for value in np.ravel(about["mean"])], [float(value) for value in np.ravel(about["std"])]
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None


def _is_safetensors(file: Path, head: bytes) -> bool:
    return file.suffix == ".safetensors" or (len(head) > 9 and head[8:9] == b"{" and not head.startswith(b"PK"))


def _read_torch(file: Path) -> Any:
    try:
        with _metadata_ignored(), warnings.catch_warnings():
            # About files that torch did not write; the error says that.
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise _refused(file, str(error)) from error
    except Exception as error:  # torch raises errors of many kinds for files that are not whole
        detail = " ".join(str(error).split()).partition(". ")[0][:200] or type(error).__name__
        raise WeightsError(f"{file} is damaged or not whole ({detail}): download or copy it again") from error


def _refused(file: Path, message: str) -> WeightsError:
    found = GLOBAL.search(message)
    if found is None:
        return WeightsError(
            f"{file} is no weight file that torch can read, or a damaged one: expected what torch.save wrote, or safetensors"
        )
    name = found.group(1)
    # torch writes the names of built-in functions without their module.
    if name.partition(".")[0] in RUNS_CODE or "." not in name:
        return WeightsError(
            f"{file} is refused: loading it would call {name}, which a weight file does not need. It was not loaded"
        )
    return WeightsError(
        f"{file} is refused: it holds a pickled object of {name}, perhaps a whole model, and making it would run "
        f"code. If you trust the file, turn it into a state dict once:\n"
        f"    model = torch.load({file.name!r}, map_location='cpu', weights_only=False)\n"
        f"    torch.save(getattr(model, 'module', model).state_dict(), 'weights.pt')"
    )
