"""A lock that lets one process at a time work in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["LOCK", "FolderInUseError", "locked"]

LOCK = ".lock"
HOLDER = ".holder.json"


class FolderInUseError(RuntimeError):
    """Another process works in the folder."""


@contextlib.contextmanager
def locked(folder: Path, *, patience: float = 0.0, what: str = "benchmark") -> Iterator[None]:
    """Lock a folder. The system releases the lock when the process ends, also when it is killed.

    Args:
        folder: it must exist.
        patience: seconds to wait for another process to release it.
        what: the other process does, for the message.

    Raises:
        FolderInUseError: another process holds it; the message says which.
    """
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise FolderInUseError(f"another {what} works in {str(folder)!r}{_holder(folder)}: wait for it, or stop it") from None
    try:
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        (folder / HOLDER).write_text(json.dumps(holder) + "\n", encoding="utf-8")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        detail = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f" (process {detail['pid']} on {detail['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
