"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["replaced"]


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Write to a temporary name in the same folder, and rename when all is on disk: no reader ever sees half a file.

    Args:
        path: the file; its folder must exist. A file that stands there is whole until the new one is.

    Yields:
        The temporary file, open for bytes.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)  # atomic, as os.replace
    finally:
        temporary.unlink(missing_ok=True)
