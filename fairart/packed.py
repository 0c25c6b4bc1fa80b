"""Large files of a result in packed form, ``NAME.xz`` in place of ``NAME``: for results that are kept in a repository.

Readers take whichever of the two is there, the plain one first. Checksums are of the unpacked contents.
"""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

__all__ = ["is_file", "pack", "packed_path", "read_bytes", "sha256_of", "unpack"]

ENDING = ".xz"


def packed_path(path: Path) -> Path:
    """Where the packed form of a file is."""
    return path.with_name(path.name + ENDING)


def pack(contents: bytes) -> bytes:
    """The packed form of some contents."""
    return lzma.compress(contents, preset=6)


def unpack(path: Path) -> bytes:
    """Contents of a packed file.

    Args:
        path: of the packed file itself.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return lzma.decompress(path.read_bytes())
    except lzma.LZMAError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def is_file(path: Path) -> bool:
    """Whether a file is there, plain or packed."""
    return path.is_file() or packed_path(path).is_file()


def read_bytes(path: Path) -> bytes:
    """Contents of a file that is there plain or packed.

    Args:
        path: of the plain file.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: the packed file is damaged.
    """
    if path.exists() or not packed_path(path).exists():
        return path.read_bytes()
    return unpack(packed_path(path))


def sha256_of(path: Path) -> str | None:
    """Checksum of the contents in hex; None where there is no such file, or the packed one is damaged.

    Args:
        path: of the plain file.
    """
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except (FileNotFoundError, ValueError):
        return None
