"""A folder of checkpoints: the last two are kept, each with a checksum; what is damaged or foreign is refused with the reason."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import fairart
from fairart.engine.checkpoints.packing import pack, unpack
from fairart.files import replacing, write_text

__all__ = ["CheckpointError", "CheckpointFolder", "CheckpointWriteError", "SavedState"]

FORMAT = "fairart.checkpoint"
VERSION = 1
KEPT = 2
PATTERN = "checkpoint-[0-9]*.safetensors"
LOCK = ".lock"


class CheckpointError(ValueError):
    """Training cannot be resumed from what is there; the message says why."""


class CheckpointWriteError(RuntimeError):
    """A checkpoint could not be written, on a full disk for example; the last good one is still there."""


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """A checkpoint whose checksum is right.

    Args:
        path: its file.
        about: what it belongs to: ``identity`` (name -> value) and ``versions``.
        tree: its state, see :func:`fairart.engine.checkpoints.packing.pack`.
    """

    path: Path
    about: Mapping[str, Any]
    tree: Any

    def load(self, device: torch.device) -> Any:
        """The state, tensors included.

        Raises:
            CheckpointError: it is no state of fairart.
        """
        try:
            with safe_open(self.path, framework="pt") as file:
                return unpack(self.tree, file.get_tensor, device)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{self.path.name} is damaged or foreign: {type(error).__name__}: {error}") from error


class CheckpointFolder:
    """Writes and reads the checkpoints of one training run. One process at a time: the folder is locked while it is open.

    A file is written to a temporary name, its checksum beside it (``sha256sum -c`` reads that), brought to disk and renamed; so
    there is no moment without the one before it.

    Args:
        path: folder; it is made.

    Raises:
        CheckpointError: another process trains here.
        CheckpointWriteError: the folder cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / LOCK).open("a")
        except OSError as error:
            raise CheckpointWriteError(f"cannot keep checkpoints in {str(path)!r}: {error.strerror or error}") from error
        _take_lock(self._lock, path)
        self._tidy()
        self._number = max((_number(file) for file in self.files()), default=-1) + 1

    def _tidy(self) -> None:
        """Remove what a killed process left half done."""
        lonely = [one for one in self.path.glob(f"{PATTERN}.sha256") if not one.with_suffix("").exists()]
        for left in [*self.path.glob(".checkpoint-*.tmp"), *lonely]:
            left.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another process in."""
        self._lock.close()

    def files(self) -> list[Path]:
        """The checkpoints, newest first; none of them is looked into."""
        return sorted(self.path.glob(PATTERN), key=_number, reverse=True)

    def read(self, path: Path) -> SavedState:
        """Read a checkpoint as far as its tree, and check it.

        Raises:
            CheckpointError: truncated, altered, of another format or version, or no checkpoint at all.
        """
        _check_sum(path)
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path.name} is no safetensors file: {error}") from error
        if FORMAT not in metadata:
            raise CheckpointError(f"{path.name} is a safetensors file, but no checkpoint of fairart")
        try:
            found = json.loads(metadata[FORMAT])
            version, about, tree = found["version"], found["about"], found["state"]
            if not isinstance(about["identity"], dict):
                raise TypeError("no identity")
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path.name} is damaged: {type(error).__name__}: {error}") from error
        if version != VERSION:
            raise CheckpointError(f"{path.name} has format version {version!r}; this version of fairart reads {VERSION}")
        return SavedState(path=path, about=about, tree=tree)

    def save(self, state: Mapping[str, Any], identity: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then remove all but the last two.

        Args:
            state: what :func:`fairart.engine.checkpoints.packing.pack` takes.
            identity: what it belongs to.

        Returns:
            Its file.

        Raises:
            CheckpointWriteError: it could not be written; those before are untouched.
            TypeError: something in the state cannot be kept.
        """
        tree, tensors = pack(dict(state))
        about = {"identity": dict(identity), "versions": {"fairart": fairart.__version__, "torch": torch.__version__}}
        text = json.dumps({"version": VERSION, "about": about, "state": tree})
        final = self.path / f"checkpoint-{self._number:06d}.safetensors"
        try:
            with replacing(final) as temporary:
                save_file(tensors, temporary, metadata={FORMAT: text})
                # Before the rename: a checkpoint without its checksum is never seen.
                write_text(_sum_file(final), f"{_digest(temporary)}  {final.name}\n")
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                _sum_file(final).unlink(missing_ok=True)
            raise CheckpointWriteError(self._not_written(final, error)) from error
        self._number += 1
        for old in self.files()[KEPT:]:
            _remove(old)
        return final

    def _not_written(self, final: Path, error: Exception) -> str:
        reason = getattr(error, "strerror", None) or str(error)
        left = self.files()
        last = f"the last good one is {left[0]}" if left else "there is none before it"
        return f"the checkpoint {str(final)!r} could not be written ({reason}); {last}"

    def clear(self) -> None:
        """Remove all checkpoints, refused ones too."""
        for file in [*self.path.glob(f"{PATTERN}*")]:
            file.unlink()

    def set_aside(self, path: Path) -> Path:
        """Rename a refused checkpoint, so that it is neither read again nor counted among the last two."""
        moved = path.with_name(f"{path.name}.refused")
        path.replace(moved)
        _sum_file(path).unlink(missing_ok=True)
        return moved


def _remove(path: Path) -> None:
    # The file first: a checksum without a file is nothing, a file without its checksum would be refused aloud.
    path.unlink(missing_ok=True)
    _sum_file(path).unlink(missing_ok=True)


def _number(path: Path) -> int:
    digits = path.name.removeprefix("checkpoint-").removesuffix(".safetensors")
    return int(digits) if digits.isdigit() else -1


def _sum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: IO[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    while chunk := file.read(size):
        yield chunk


def _check_sum(path: Path) -> None:
    try:
        expected = _sum_file(path).read_text(encoding="ascii").split()
        found = _digest(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.name} has no checksum beside it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path.name} or its checksum cannot be read: {error}") from error
    if expected[:1] != [found]:
        raise CheckpointError(f"{path.name} does not have its checksum: it is truncated or was altered")


def _take_lock(file: IO[str], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise CheckpointError(f"another process is training with the checkpoints in {str(path)!r}") from error
    except OSError:
        # Some network file systems have no locks.
        return
    os.set_inheritable(file.fileno(), False)
