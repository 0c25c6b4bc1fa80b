"""Observers of a run during training, called through the same hooks that plugins implement."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from fairart.engine import EpochRecord
from fairart.files import write_text
from fairart.plugins import get_plugin_manager
from fairart.plugins.hookspecs import hookimpl

__all__ = ["HistoryFile", "Observer", "observed"]

LABEL = "fairart-run"


class Observer(Protocol):
    """Called at the start, after every epoch and at the end of a training."""

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Training starts; ``history`` holds the epochs before an interruption. Discard later ones."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch has ended."""

    def end(self) -> None:
        """Training has ended, well or not."""


class HistoryFile:
    """``history.jsonl``: one line an epoch.

    Args:
        path: the file. It is rewritten when training starts, so that a resumed run has every epoch once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Write the epochs so far."""
        write_text(self.path, "".join(record.to_json() + "\n" for record in history))

    def epoch(self, record: EpochRecord) -> None:
        """Append one line; it is on disk before the next epoch begins."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(record.to_json() + "\n")

    def end(self) -> None:
        """Nothing to close."""


class _Forwarder:
    """Passes the notifications of the registered trainers to their observers."""

    def __init__(self) -> None:
        self.runs: weakref.WeakKeyDictionary[Any, Sequence[Observer]] = weakref.WeakKeyDictionary()

    @hookimpl
    def fairart_fit_start(self, trainer: Any) -> None:
        """Start, with the epochs before an interruption."""
        for observer in self.runs.get(trainer, ()):
            observer.start(trainer.history)

    @hookimpl
    def fairart_epoch_end(self, trainer: Any, record: Any) -> None:
        """Pass an epoch on."""
        for observer in self.runs.get(trainer, ()):
            observer.epoch(record)


_forwarder = _Forwarder()


@contextlib.contextmanager
def observed(trainer: Any, observers: Sequence[Observer]) -> Iterator[None]:
    """Notify observers of what a trainer does inside a ``with`` block.

    Args:
        trainer: the trainer.
        observers: called in this order; an exception in one stops the training.
    """
    manager = get_plugin_manager()
    if LABEL not in manager.plugins:
        manager.register(_forwarder, LABEL)
    _forwarder.runs[trainer] = observers
    try:
        yield
    finally:
        del _forwarder.runs[trainer]
        for observer in observers:
            observer.end()
