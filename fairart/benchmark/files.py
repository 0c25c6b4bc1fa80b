"""Writing a file whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["sha256_of", "write_bytes", "write_text"]


def write_text(path: Path, text: str) -> Path:
    """Write text as UTF-8, as :func:`write_bytes` does."""
    return write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, contents: bytes) -> Path:
    """Write to a temporary name in the same folder, to the disk, then rename: no reader ever sees half a file.

    Args:
        path: file; its folder must exist.
        contents: all of it.

    Returns:
        The path.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


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
