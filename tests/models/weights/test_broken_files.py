"""Files that hold no weights, are not whole, do not fit, or would run code: one message each that says what helps."""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fairart.errors import WeightsError
from fairart.models.weights import load_weights

spec = importlib.util.spec_from_file_location("weights_made", Path(__file__).with_name("conftest.py"))
made_here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made_here)
Net, made = made_here.Net, made_here.made

State = dict[str, Tensor]


class TouchesAFile:
    """Pickled, it would create a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


class Evaluates(TouchesAFile):
    """The same by a built-in function."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, (f"open({str(self.path)!r}, 'w')",))


def saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def in_tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        about = tarfile.TarInfo("model.pth")
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def in_zip(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("release/model.pth", content)
    return buffer.getvalue()


def in_npz(state: State) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value.numpy() for name, value in state.items()})
    return buffer.getvalue()


def scripted() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


BROKEN: dict[str, tuple[Callable[[State], bytes], str]] = {
    "empty": (lambda s: b"", r"is empty \(0 bytes\)"),
    "web page": (lambda s: b"\n<!DOCTYPE html><html>Sign in</html>", r"is a web page \(HTML\): the download failed"),
    "LFS pointer": (lambda s: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*git lfs pull"),
    "JSON": (lambda s: b'{"error": "not found"}', r"is a text file \(JSON\)"),
    "text": (lambda s: b"404: Not Found", "is no weight file that torch can read, or a damaged one"),
    "gzip": (lambda s: gzip.compress(saved(s)), "compressed by gzip: unpack it first"),
    "tar": (lambda s: in_tar(saved(s)), "is a tar archive: unpack it"),
    "zip of files": (lambda s: in_zip(saved(s)), "is a zip archive of 1 files without weights: unpack it"),
    "npz": (in_npz, r"is an archive of numpy arrays \(npz\)"),
    "numpy array": (lambda s: b"\x93NUMPY\x01\x00", "is a numpy array"),
    "HDF5": (lambda s: b"\x89HDF\r\n\x1a\n", r"is an HDF5 file"),
    "image": (lambda s: b"\x89PNG\r\n\x1a\n", "is a PNG image"),
    "truncated": (lambda s: saved(s)[:-200], "is damaged or not whole"),
    "first half": (lambda s: saved(s)[: len(saved(s)) // 2], "is damaged or not whole"),
    "old format, truncated": (lambda s: saved(s, _use_new_zipfile_serialization=False)[:-8], "is damaged or not whole"),
    "TorchScript": (lambda s: scripted(), r"is a TorchScript program, which is code: .*torch\.jit\.load"),
    "whole module": (lambda s: saved(nn.Linear(2, 2)), r"pickled object of torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"),
    "whole module, old format": (
        lambda s: saved(nn.Linear(2, 2), _use_new_zipfile_serialization=False),
        r"pickled object of torch\.nn\.modules\.linear\.Linear.*state_dict\(\)",
    ),
    "no tensors": (lambda s: saved({"epoch": 3, "args": argparse.Namespace()}), "a dictionary of 2 entries without tensors"),
    "a tensor": (lambda s: saved(torch.ones(3)), "expected a dictionary of tensors, got a Tensor"),
    "a list of numbers": (lambda s: saved([1, 2]), "expected a dictionary of tensors, got a list"),
    "another model": (lambda s: saved({"layer1.weight": torch.ones(2, 2)}), "no name agrees .*: the file is of another model"),
    "missing layer": (
        lambda s: saved({name: value for name, value in s.items() if not name.startswith("norm.")}),
        r"4 of the model's 8 tensors are missing: norm\.weight",
    ),
    "left over": (lambda s: saved({**s, "head.weight": torch.ones(2, 2)}), r"1 of the file's 9 are left over: head\.weight"),
    "renamed": (
        lambda s: saved({name.replace("convolution", "convolution_1"): value for name, value in s.items()}),
        r"nearest to convolution\.weight in the file: convolution_1\.weight",
    ),
    "other classes": (lambda s: saved(made(lambda: Net(7)).state_dict()), "the last layer differs: try nb_classes=7"),
    "other width": (lambda s: saved(made(lambda: Net(5, 8)).state_dict()), "2 times as wide: try another width"),
    "other kernel": (
        lambda s: saved({**s, "convolution.weight": torch.ones(4, 3, 5, 5)}),
        r"convolution\.weight \(4, 3, 5, 5\) for \(4, 3, 3, 3\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_the_message_says_what_the_file_is(name, model, tmp_path):
    write, message = BROKEN[name]
    path = tmp_path / "weights.pt"
    path.write_bytes(write(model.state_dict()))
    target = made(Net, seed=5)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(WeightsError, match=re.compile(message, re.DOTALL)) as caught:
        load_weights(target, path)
    assert str(path) in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("kind", [TouchesAFile, Evaluates])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(kind, old, model, tmp_path, save):
    trace = tmp_path / "ran"
    file = save({"state_dict": model.state_dict(), "extra": kind(trace)}, _use_new_zipfile_serialization=not old)
    with pytest.raises(WeightsError, match="is refused"):
        load_weights(Net(), file)
    assert not trace.exists()


@pytest.mark.parametrize("end", [9, 60])
def test_damaged_safetensors(end, model, tmp_path):
    save_file(model.state_dict(), tmp_path / "whole.safetensors")
    path = tmp_path / "model.safetensors"
    path.write_bytes((tmp_path / "whole.safetensors").read_bytes()[:end])
    with pytest.raises(WeightsError, match="is a safetensors file that is damaged or not whole"):
        load_weights(Net(), path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(WeightsError, match="there is no weight file"):
        load_weights(Net(), tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="is a folder: expected a file of weights"):
        load_weights(Net(), tmp_path)


def test_keys_and_indices_that_name_nothing(model, save):
    file = save({"state_dict": [model.state_dict()], "ema": model.state_dict()})
    with pytest.raises(WeightsError, match=r"no state dict at key 'emma'; did you mean 'ema'"):
        load_weights(Net(), file, key="emma")
    with pytest.raises(WeightsError, match="expected weights_index 0 to 0, got 3"):
        load_weights(Net(), file, index=3)
    with pytest.raises(WeightsError, match="holds no list of state dicts"):
        load_weights(Net(), save(model.state_dict(), "bare.pt"), index=0)
    with pytest.raises(WeightsError, match="the weights stand at the top of the file"):
        load_weights(Net(), save(model.state_dict(), "bare.pt"), key="state_dict")


def test_a_lazy_model_is_named(model, save):
    with pytest.raises(WeightsError, match=r"lazy layers without weights yet \(0\.weight\)"):
        load_weights(nn.Sequential(nn.LazyLinear(3)), save(model.state_dict()))


def test_a_model_of_several_mismatches_is_never_loaded_in_part(model, save):
    target = made(Net, seed=5)
    before = target.convolution.weight.clone()
    with pytest.raises(WeightsError):
        load_weights(target, save({**model.state_dict(), "linear.bias": torch.ones(9)}))
    assert torch.equal(target.convolution.weight, before)
