"""Writing files so that a crash, a kill or a full disk leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["remove_leftovers", "replaced", "replacing", "sha256_of", "write_bytes", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; afterwards it is brought to disk and takes the place of the file.

    Args:
        path: file that is made or replaced; its folder must exist.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; the file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """The temporary file of :func:`replacing`, open for bytes."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file


def write_bytes(path: Path, contents: bytes) -> Path:
    """Write a file, all of it or nothing.

    Args:
        path: file; its folder must exist.
        contents: what it holds.

    Returns:
        The path.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(contents)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write text as UTF-8, as :func:`write_bytes` does."""
    return write_bytes(path, text.encode("utf-8"))


def sha256_of(path: Path) -> str | None:
    """Checksum of a file in hex; None where there is no such file."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def remove_leftovers(path: Path) -> None:
    """Remove temporary files that a killed process left beside a file.

    Args:
        path: the file that they were meant for.
    """
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # A rename is on disk once the folder is; Windows has no such call, and needs none.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
