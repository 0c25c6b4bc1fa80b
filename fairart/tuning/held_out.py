"""The accuracy of a trial on held-out images after every epoch, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.datasets import Dataset
from fairart.engine import EpochRecord
from fairart.files import write_text
from fairart.trainers.base import FairnessTrainer
from fairart.trainers.measuring import HeldOutAccuracy
from fairart.tuning.file import Search

__all__ = ["HeldOut", "Line", "Score", "score"]

HELD_OUT = "held_out.jsonl"

Line = dict[str, Any]


class Score:
    """Class accuracies of a trial, as means over its last epochs.

    Args:
        robust: (K,) under PGD-10, in [0, 1].
        clean: (K,) on clean images.
    """

    def __init__(self, robust: npt.NDArray[np.float64], clean: npt.NDArray[np.float64]) -> None:
        self.robust, self.clean = robust, clean

    def to_dict(self) -> dict[str, float]:
        """Average and worst class, under PGD-10 and clean; held-out images are as many of each class."""
        return {
            "average": float(np.nanmean(self.robust)),
            "worst_class": float(np.nanmin(self.robust)),
            "clean_average": float(np.nanmean(self.clean)),
            "clean_worst_class": float(np.nanmin(self.clean)),
        }

    def values(self, search: Search) -> tuple[float, ...]:
        """What the search maximises."""
        figures = self.to_dict()
        if search.objective == "pareto":
            return figures["average"], figures["worst_class"]
        average, worst = figures["average"], figures["worst_class"]
        value = {"average": average, "worst-class": worst, "sum": average + worst}[search.objective]
        # Not a bar that hides everything below it: of two settings below the floor, the nearer one is better.
        return (value - max(0.0, (search.floor or 0.0) - figures["average"]),)


def score(lines: Sequence[Line], search: Search) -> Score:
    """The score after the last of some epochs.

    Args:
        lines: one an epoch.
        search: says over how many epochs.
    """
    last = lines[-search.smooth :]
    robust, clean = (np.array([line[name] for line in last], dtype=np.float64).mean(axis=0) for name in ("robust", "clean"))
    return Score(robust, clean)


class HeldOut:
    """Observer of a trial: measures, writes ``held_out.jsonl`` and passes the figures on.

    Args:
        trainer: of the trial.
        data: its test split is the held-out images.
        folder: of the trial.
        on_epoch: given all lines so far; may raise to end the trial.
    """

    def __init__(self, trainer: FairnessTrainer, data: Dataset, folder: Path, on_epoch: Callable[[Sequence[Line]], None]) -> None:
        self.accuracy = HeldOutAccuracy(trainer, data.x_test, data.y_test)
        self.path, self.on_epoch = folder / HELD_OUT, on_epoch
        self.lines: list[Line] = []

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Take up the epochs before an interruption."""
        found = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        # A line that a kill cut short belongs to an epoch that is trained again.
        self.lines = [json.loads(line) for line in found[: len(history)]]
        self._write()

    def epoch(self, record: EpochRecord) -> None:
        """Measure the epoch."""
        measured = self.accuracy.measure()
        robust, clean = (matrix.class_accuracy for matrix in (measured.robust, measured.clean))
        line = {"epoch": record.epoch, "robust": robust.tolist(), "clean": clean.tolist(), "seconds": record.seconds}
        self.lines.append(line)
        self._write()
        self.on_epoch(self.lines)

    def end(self) -> None:
        """Nothing to close."""

    def _write(self) -> None:
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in self.lines))
