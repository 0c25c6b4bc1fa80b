"""Checkpoints of one fit: when to write them, and which one to go on from."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from fairart.engine.checkpoints.folder import CheckpointError, CheckpointFolder, SavedState
from fairart.engine.checkpoints.identity import differences
from fairart.errors import OptionError
from fairart.plugins.options import Declared, Option, check_value

__all__ = ["Checkpointing", "FitCheckpoints", "opened"]


class Checkpointing:
    """Where a fit keeps its checkpoints, how often it writes one, and whether it goes on from what is there.

    A fit that is killed at any moment and resumed ends, on the CPU, with the weights of one that ran through, bit for bit. The
    last two checkpoints are kept. One folder belongs to one fit: a second ``fit`` of the same trainer needs its own.

    Args:
        folder: of the checkpoints; it is made.
        every_minutes: write one after so many minutes, in the middle of an epoch too, but with a data generator at an epoch's
            end, since its position cannot be saved; 0 for every batch. None for the end of every epoch. The start and the end of
            the fit are always written.
        resume: go on from the newest whole checkpoint of this very fit; start anew where the folder has none. With
            ``seed=None`` its seed is taken.
        overwrite: remove the checkpoints that are there when the fit begins.

    Raises:
        OptionError: ``every_minutes`` is negative or no number, or both ``resume`` and ``overwrite``.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_minutes: float | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        declared = Declared("every_minutes", float | None, None, Option("", low=0))
        self.folder = Path(folder).expanduser()
        self.every_minutes: float | None = check_value(every_minutes, declared, where="Checkpointing")
        if resume and overwrite:
            raise OptionError("Checkpointing: checkpoints are either gone on from or overwritten, not both")
        self.resume, self.overwrite = resume, overwrite

    def __repr__(self) -> str:
        return f"Checkpointing({str(self.folder)!r}, every_minutes={self.every_minutes}, resume={self.resume})"


class FitCheckpoints:
    """The checkpoints of a fit that is running.

    Args:
        settings: what the user asked for.

    Raises:
        CheckpointError: there are checkpoints and ``resume`` is not asked for, none is whole, or another process is at it.
        CheckpointWriteError: the folder cannot be made.
    """

    def __init__(self, settings: Checkpointing) -> None:
        self.settings = settings
        self.folder = CheckpointFolder(settings.folder)
        self.refused: list[tuple[Path, str]] = []
        self.saved: list[SavedState] = []
        self._identity: Mapping[str, Any] = {}
        self._due = 0.0
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        files = self.folder.files()
        if self.settings.overwrite:
            return
        if files and not self.settings.resume:
            raise CheckpointError(
                f"{str(self.settings.folder)!r} has checkpoints already: go on from them with resume=True, or take another folder"
            )
        for path in files:
            try:
                self.saved.append(self.folder.read(path))
            except CheckpointError as error:
                self.refused.append((path, str(error)))
        if files and not self.saved:
            raise self._nothing_left()

    def _nothing_left(self) -> CheckpointError:
        files: dict[str, list[str]] = {}
        for path, reason in self.refused:
            files.setdefault(reason.removeprefix(f"{path.name} "), []).append(path.name)
        detail = "; ".join(f"{' and '.join(names)}: {reason}" for reason, names in files.items())
        return CheckpointError(f"no checkpoint in {str(self.settings.folder)!r} can be resumed from: {detail}")

    @property
    def seed(self) -> int | None:
        """Seed of the newest whole checkpoint, or None."""
        seed = self.saved[0].about["identity"].get("seed") if self.saved else None
        return seed if isinstance(seed, int) else None

    def begin(self, identity: Mapping[str, Any], restore: Callable[[Any], None], device: torch.device) -> SavedState | None:
        """Go on from the newest checkpoint that belongs to this fit.

        If an older checkpoint is usable, rejected ones are reported and renamed.

        Args:
            identity: what this fit is.
            restore: takes a state; may be called again with an older one.
            device: where tensors go.

        Returns:
            The checkpoint, or None if there is none.

        Raises:
            CheckpointError: there are checkpoints, and none can be used.
        """
        self._identity = dict(identity)
        if self.settings.overwrite:
            self.folder.clear()
        for saved in self.saved:
            try:
                _check_belongs(saved, self._identity)
                state = saved.load(device)
                _restore(restore, state, saved)
            except CheckpointError as error:
                self.refused.append((saved.path, str(error)))
                continue
            self._set_aside(saved)
            _warn_versions(saved)
            self.wrote()
            return saved
        if self.refused:
            raise self._nothing_left()
        return None

    def _set_aside(self, used: SavedState) -> None:
        for path, reason in self.refused:
            moved = self.folder.set_aside(path)
            warnings.warn(
                f"{reason}; it is renamed to {moved.name}, and training goes on from {used.path.name}", UserWarning, stacklevel=2
            )

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointWriteError: it could not be written.
        """
        self.folder.save(state, self._identity)
        self.wrote()

    def wrote(self) -> None:
        """Count the minutes from now."""
        self._due = time.monotonic() + 60 * (self.settings.every_minutes or 0.0)

    def due(self, *, epoch_end: bool) -> bool:
        """Whether a checkpoint is to be written now.

        Args:
            epoch_end: whether an epoch has just ended; else a batch has.
        """
        if self.settings.every_minutes is None:
            return epoch_end
        return time.monotonic() >= self._due

    def close(self) -> None:
        """Let another process in."""
        self.folder.close()


@contextlib.contextmanager
def opened(settings: Checkpointing | None) -> Iterator[FitCheckpoints | None]:
    """The checkpoints of a fit while it runs; None where none are wanted.

    Args:
        settings: what the user asked for.

    Raises:
        TypeError: no ``Checkpointing``.
    """
    if settings is None:
        yield None
        return
    if not isinstance(settings, Checkpointing):
        raise TypeError(f"checkpoint must be a fairart.engine.Checkpointing(folder), got {type(settings).__qualname__}")
    checkpoints = FitCheckpoints(settings)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def _check_belongs(saved: SavedState, identity: Mapping[str, Any]) -> None:
    differing = differences(saved.about["identity"], identity)
    if differing:
        raise CheckpointError(
            f"{saved.path.name} is of another fit: {'; '.join(differing)} (a fit is resumed with model, optimizer, scheduler and "
            "trainer made anew, as they were before it)"
        )


def _restore(restore: Callable[[Any], None], state: Any, saved: SavedState) -> None:
    try:
        restore(state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{saved.path.name} does not fit: {type(error).__name__}: {error}") from error


def _warn_versions(saved: SavedState) -> None:
    wrote = saved.about.get("versions", {}).get("torch")
    if wrote != torch.__version__:
        warnings.warn(
            f"{saved.path.name} was written with torch {wrote}, this is {torch.__version__}: the rest of the run may differ in "
            "the last bits from one that was not interrupted",
            UserWarning,
            stacklevel=2,
        )
