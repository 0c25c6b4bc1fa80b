"""The state of a cell's folder, and what is left to do there. Imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import fairart
from fairart import packed
from fairart.benchmark.portable import portable
from fairart.errors import OptionError
from fairart.files import sha256_of, write_text
from fairart.runs.config import RunConfig
from fairart.runs.folders import CONFIG, EVALUATION, HISTORY, LABEL_NOISE, WEIGHTS

__all__ = ["KEPT", "LOG", "RECORD", "TRACEBACK", "Record", "State", "Task", "cell_folder", "checksums_of", "state_of"]

RECORD = "cell.json"
LOG = "log.txt"
TRACEBACK = "traceback.txt"

FORMAT, FORMAT_VERSION = "fairart.cell", 1

KEPT = (CONFIG, HISTORY, LABEL_NOISE)
"""Files of a training that tables and pages read, besides the weights; not every run has all of them."""

State = Literal["new", "interrupted", "trained", "no weights", "failed", "done"]
"""``interrupted``: started, and not running any more. ``trained``: only its evaluation is missing. ``no weights``: was trained,
its evaluation is missing or another one, and the weights are not there to make it with, so it is trained anew."""


def checksums_of(folder: Path) -> dict[str, str]:
    """Name -> checksum of the files of a training that are there, see :data:`KEPT`."""
    found = {name: packed.sha256_of(folder / name) for name in KEPT}
    return {name: checksum for name, checksum in found.items() if checksum is not None}


def cell_folder(folder: Path, name: str) -> Path:
    """Path of a cell's run in the folder of a benchmark."""
    return folder / "cells" / name


@dataclass(frozen=True, kw_only=True)
class Task:
    """A cell as it is sent to a process or a machine; plain values only.

    Args:
        folder: of the cell.
        config: the run as the grid file writes it; it identifies the cell.
        full: the complete configuration of the run, with absolute paths.
        plan: its evaluation.
    """

    folder: str
    config: Mapping[str, Any]
    full: Mapping[str, Any]
    plan: Mapping[str, Any]


@dataclass(kw_only=True)
class Record:
    """The file ``cell.json``: what was done in a cell, with which outcome.

    Args:
        config: the run as the grid file writes it.
        training: checksums of the weights and of the files in :data:`KEPT`, seconds; empty before.
        evaluation: plan, checksum of the file, seconds; empty before.
        error: type, message and plan of the failure; empty if there was none.
        fairart: version of the program.
    """

    config: Mapping[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    fairart: str = fairart.__version__

    def save(self, folder: Path) -> None:
        """Write it through a temporary file."""
        write_text(folder / RECORD, self.text())

    def text(self) -> str:
        """What the file holds."""
        plain = {"format": FORMAT, "format_version": FORMAT_VERSION, **vars(self)}
        return json.dumps(plain, indent=2, default=str) + "\n"

    @classmethod
    def load(cls, folder: Path) -> Record | None:
        """Read it; None if it is missing, damaged or foreign: the cell is then run again."""
        try:
            plain = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(plain, dict) or (plain.pop("format", None), plain.pop("format_version", None)) != (
            FORMAT,
            FORMAT_VERSION,
        ):
            return None
        parts = [plain.get(name) for name in ("config", "training", "evaluation", "error")]
        known = plain.keys() == vars(cls(config={})).keys()
        return cls(**plain) if known and all(isinstance(part, dict) for part in parts) else None

    def is_of(self, config: Mapping[str, Any]) -> bool:
        """Whether it belongs to this run; settings that an older fairart did not have count as their defaults.

        A record that went through an archive has no paths of the machine that made it, see :mod:`fairart.benchmark.portable`.
        """
        try:
            own = RunConfig.from_mapping(self.config)
            return own == RunConfig.from_mapping(config) or own == RunConfig.from_mapping(portable(config))
        except OptionError:
            return False

    def weights_stand(self, folder: Path) -> bool:
        """Whether training is finished and its weights are in the folder, unchanged."""
        weights = self.training.get("weights")
        return weights is not None and weights == sha256_of(folder / WEIGHTS)

    def weights_are_gone(self, folder: Path) -> bool:
        """Whether training is finished and its weights are not in the folder: they were not copied along."""
        return "weights" in self.training and not (folder / WEIGHTS).exists()

    def files_stand(self, folder: Path) -> bool:
        """Whether all that is read of a finished training, but for its weights, is in the folder, unchanged."""
        files = self.training.get("files")
        return isinstance(files, dict) and CONFIG in files and files == checksums_of(folder)

    def is_evaluated(self, folder: Path, plan: Mapping[str, Any]) -> bool:
        """Whether the evaluation in the folder is whole and of this plan."""
        checksum = self.evaluation.get("file")
        return (
            checksum is not None
            and _same_plan(self.evaluation.get("plan"), plan)
            and checksum == packed.sha256_of(folder / EVALUATION)
        )


def _same_plan(recorded: Any, plan: Mapping[str, Any]) -> bool:
    # Through JSON, as the record went: a tuple is a list there.
    wanted = json.loads(json.dumps(plan, default=str))
    return recorded in (wanted, portable(wanted))


def state_of(folder: Path, config: Mapping[str, Any], plan: Mapping[str, Any]) -> State:
    """What is left to do for a cell; files count only where their checksums are those of the record.

    A finished cell needs no weights: record, configuration, history and evaluation may be all that was copied of it.

    Args:
        folder: of the cell; it need not exist.
        config: the run as the grid file writes it.
        plan: the evaluation.
    """
    record = Record.load(folder)
    if record is None or not record.is_of(config):
        return "new"
    trained, gone = record.weights_stand(folder), record.weights_are_gone(folder)
    if record.error:
        # Another plan may repair a failed evaluation, but not a failed training.
        if _same_plan(record.error.get("plan"), plan):
            return "failed"
        return "trained" if trained else "no weights" if gone else "failed"
    if trained:
        return "done" if record.is_evaluated(folder, plan) else "trained"
    if not gone:
        return "interrupted"
    return "done" if record.is_evaluated(folder, plan) and record.files_stand(folder) else "no weights"
