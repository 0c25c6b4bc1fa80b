"""Loggers of the figures of each epoch: a CSV file, TensorBoard, Weights & Biases."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
import os
import secrets
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairart.engine import EpochRecord
from fairart.errors import OptionError
from fairart.files import write_text
from fairart.runs.config import RunConfig
from fairart.runs.epoch_metrics import epoch_metrics
from fairart.runs.folders import METRICS
from fairart.runs.recorder import Observer

__all__ = ["CSVLog", "Guarded", "TensorBoardLog", "WandbLog", "build_loggers", "check_loggers"]

REQUIRED: dict[str, tuple[str, ...]] = {"csv": (), "tensorboard": ("lightning_fabric", "tensorboard"), "wandb": ("wandb",)}
"""Modules that each logger imports."""


class CSVLog:
    """``metrics.csv``: one row an epoch, every epoch once.

    Args:
        path: the file; it is rewritten when training starts.
        classes: names of the classes.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path, self.classes = path, classes
        self._columns: list[str] = []

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Write the epochs so far."""
        self._columns = []
        write_text(self.path, "".join(self._lines(record) for record in history))

    def epoch(self, record: EpochRecord) -> None:
        """Append a row."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._lines(record))

    def end(self) -> None:
        """Nothing to close."""

    def _lines(self, record: EpochRecord) -> str:
        row: dict[str, Any] = {"epoch": record.epoch, **epoch_metrics(record, self.classes)}
        text = io.StringIO()
        if not self._columns:
            self._columns = list(row)
            csv.writer(text, lineterminator="\n").writerow(self._columns)
        # The columns stay the same within a run; a value that one epoch does not have is left empty.
        values = [row.get(name, math.nan) for name in self._columns]
        csv.writer(text, lineterminator="\n").writerow(["" if math.isnan(value) else repr(value) for value in values])
        return text.getvalue()


class TensorBoardLog:
    """Event files in the run's folder ``tensorboard``, by Lightning Fabric's logger.

    Args:
        folder: of the run.
        classes: names of the classes.
    """

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        self.folder, self.classes = folder, classes
        self._logger: Any = None

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Open a file; epochs after those of ``history``, logged before an interruption, are removed."""
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        self._logger = TensorBoardLogger(self.folder, name="tensorboard", version="", purge_step=len(history) or None)

    def epoch(self, record: EpochRecord) -> None:
        """Write the figures; they are on disk before the checkpoint is."""
        self._logger.log_metrics(_finite(epoch_metrics(record, self.classes)), step=record.epoch)
        self._logger.experiment.flush()

    def end(self) -> None:
        """Close the file."""
        if self._logger is not None:
            self._logger.finalize("success")


class WandbLog:
    """A run of Weights & Biases, the same one again after an interruption.

    Its own settings apply: ``WANDB_PROJECT`` (by default fairart), ``WANDB_MODE=offline``, ``WANDB_API_KEY``. Fabric's wrapper of
    it would need all of Lightning.

    Args:
        folder: of the run.
        classes: names of the classes.
        config: shown beside the run.
    """

    def __init__(self, folder: Path, classes: Sequence[str], config: Mapping[str, Any]) -> None:
        self.folder, self.classes, self.config = folder, classes, config
        self._run: Any = None

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Start the run, or continue it."""
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "fairart"),
            name=self.folder.name,
            id=self._id(),
            resume="allow",
            dir=str(self.folder),
            config=dict(self.config),
        )
        # Epochs, not calls: an epoch that was logged before an interruption is logged again at its own step.
        self._run.define_metric("epoch")
        self._run.define_metric("*", step_metric="epoch")

    def _id(self) -> str:
        file = self.folder / "wandb" / "fairart-run-id"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            write_text(file, secrets.token_hex(8))
        return file.read_text(encoding="utf-8").strip()

    def epoch(self, record: EpochRecord) -> None:
        """Send the figures."""
        self._run.log({"epoch": record.epoch, **_finite(epoch_metrics(record, self.classes))})

    def end(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()


class Guarded:
    """A logger that may fail without stopping the training: the first failure is a warning, and the logger is not used again.

    Args:
        name: of the logger.
        observer: the logger.
    """

    def __init__(self, name: str, observer: Observer) -> None:
        self.name, self.observer = name, observer
        self.failed = False

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Pass on."""
        self._try(lambda: self.observer.start(history))

    def epoch(self, record: EpochRecord) -> None:
        """Pass on."""
        self._try(lambda: self.observer.epoch(record))

    def end(self) -> None:
        """Pass on."""
        self._try(self.observer.end)

    def _try(self, call: Callable[[], None]) -> None:
        if self.failed:
            return
        try:
            call()
        except Exception as error:  # network, disk or service: no failure of a logger may stop the training
            self.failed = True
            reason = " ".join(str(error).split())
            warnings.warn(
                f"logger {self.name!r} failed and is not used any more: {type(error).__name__}: {reason}",
                UserWarning,
                stacklevel=3,
            )


def check_loggers(names: Sequence[str]) -> None:
    """Check that the packages of the loggers are installed, before any work is done.

    Args:
        names: of ``fairart.runs.config.LOGGERS``.

    Raises:
        OptionError: the message says what to install.
    """
    for name in names:
        missing = [module for module in REQUIRED[name] if importlib.util.find_spec(module) is None]
        if missing:
            raise OptionError(f"logger {name!r} needs {' and '.join(missing)}: pip install 'fairart[{name}]'")


def build_loggers(config: RunConfig, folder: Path, classes: Sequence[str]) -> list[Observer]:
    """The loggers of a run; a failure of one does not stop the run.

    Args:
        config: the complete configuration of the run.
        folder: its folder.
        classes: names of the classes.
    """
    makers: dict[str, Callable[[], Observer]] = {
        "csv": lambda: CSVLog(folder / METRICS, classes),
        "tensorboard": lambda: TensorBoardLog(folder, classes),
        "wandb": lambda: WandbLog(folder, classes, config.to_dict()),
    }
    return [Guarded(name, makers[name]()) for name in config.logger]


def _finite(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if math.isfinite(value)}
