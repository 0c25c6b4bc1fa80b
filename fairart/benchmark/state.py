"""The state of a cell's folder, and what is left to do there. Imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import fairart
from fairart.errors import OptionError
from fairart.files import sha256_of, write_text
from fairart.runs.config import RunConfig
from fairart.runs.folders import EVALUATION, WEIGHTS

__all__ = ["LOG", "RECORD", "TRACEBACK", "Record", "State", "Task", "cell_folder", "state_of"]

RECORD = "cell.json"
LOG = "log.txt"
TRACEBACK = "traceback.txt"

FORMAT, FORMAT_VERSION = "fairart.cell", 1

State = Literal["new", "interrupted", "trained", "failed", "done"]
"""``interrupted``: started, and not running any more. ``trained``: only its evaluation is missing."""


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
        training: checksum of the weights, seconds; empty before.
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
        plain = {"format": FORMAT, "format_version": FORMAT_VERSION, **vars(self)}
        write_text(folder / RECORD, json.dumps(plain, indent=2, default=str) + "\n")

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
        """Whether it belongs to this run; settings that an older fairart did not have count as their defaults."""
        try:
            return RunConfig.from_mapping(self.config) == RunConfig.from_mapping(config)
        except OptionError:
            return False

    def weights_stand(self, folder: Path) -> bool:
        """Whether training is finished and its weights are in the folder, unchanged."""
        weights = self.training.get("weights")
        return weights is not None and weights == sha256_of(folder / WEIGHTS)


def state_of(folder: Path, config: Mapping[str, Any], plan: Mapping[str, Any]) -> State:
    """What is left to do for a cell; files count only where their checksums are those of the record.

    Args:
        folder: of the cell; it need not exist.
        config: the run as the grid file writes it.
        plan: the evaluation.
    """
    record = Record.load(folder)
    if record is None or not record.is_of(config):
        return "new"
    # Through JSON, as the record went: a tuple is a list there.
    wanted = json.loads(json.dumps(plan, default=str))
    trained = record.weights_stand(folder)
    if record.error:
        # Another plan may repair a failed evaluation, but not a failed training.
        mended = trained and record.error.get("plan") != wanted
        return "trained" if mended else "failed"
    if not trained:
        return "interrupted"
    evaluated = record.evaluation.get("plan") == wanted and record.evaluation.get("file") == sha256_of(folder / EVALUATION)
    return "done" if evaluated else "trained"
