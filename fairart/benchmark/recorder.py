"""Writing a run's history while it is trained, by the notification that every plugin can listen to."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fairart.hookspecs import hookimpl
from fairart.plugins import get_plugin_manager

__all__ = ["recorded"]

LABEL = "fairart-history"


class _HistoryWriter:
    """Appends the epochs of the trainers that it was told about."""

    def __init__(self) -> None:
        self.runs: weakref.WeakKeyDictionary[Any, tuple[Path, Callable[[], None]]] = weakref.WeakKeyDictionary()

    @hookimpl
    def fairart_fit_start(self, trainer: Any) -> None:
        """Begin an empty history."""
        if trainer in self.runs:
            path, start = self.runs[trainer]
            start()
            path.write_text("", encoding="utf-8")

    @hookimpl
    def fairart_epoch_end(self, trainer: Any, record: Any) -> None:
        """Append one line; it is on disk before the next epoch begins."""
        if trainer in self.runs:
            with self.runs[trainer][0].open("a", encoding="utf-8") as file:
                file.write(record.to_json() + "\n")


_writer = _HistoryWriter()


@contextlib.contextmanager
def recorded(trainer: Any, path: Path, *, start: Callable[[], None]) -> Iterator[None]:
    """Append every epoch that a trainer ends meanwhile to a file.

    Args:
        trainer: the trainer.
        path: file; it is made empty when training starts.
        start: called just before that, when the trainer has accepted its data.
    """
    manager = get_plugin_manager()
    if LABEL not in manager.plugins:
        manager.register(_writer, LABEL)
    _writer.runs[trainer] = (path, start)
    try:
        yield
    finally:
        del _writer.runs[trainer]
