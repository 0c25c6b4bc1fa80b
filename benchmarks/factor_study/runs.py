"""Finished cells, sorted by the factors of training that they differ in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairart import packed
from fairart.benchmark.state import Record
from fairart.errors import OptionError
from fairart.evaluation import AttackResult, EvaluationResult
from fairart.runs.config import RunConfig
from fairart.runs.flat import flat
from fairart.runs.folders import EVALUATION

__all__ = ["Run", "Setting", "read_runs", "said", "settings_of"]

FACTORS: dict[str, tuple[str, ...]] = {
    "training": ("trainer", "objective"),
    "data set": ("dataset", "eps"),
    "architecture": ("model", "model.*"),
    "optimiser, learning rate": ("optimizer", "lr", "momentum"),
    "batch size": ("batch_size",),
    "weight decay": ("weight_decay",),
    "epochs": ("epochs",),
    "imbalance": ("imbalance", "per_class"),
    "remedy": ("class_weighting", "classification_loss", "class_sampling", "adjustment", "label_smoothing"),
}
"""Settings that go together: the learning rate belongs to the optimiser, the budget to the data set, the number of images of the
largest class to the imbalance. Any other setting that varies is a factor of its own."""
BESIDE = ("seed", "device", "devices", "data_root", "plugins_dir", "logger")
"""Settings that are no factor."""
SAID = ("trainer", "dataset", "model", "optimizer", "lr", "batch_size", "weight_decay", "epochs", "per_class")
"""Settings that name a value of their factor also where they are at their default."""
Setting = tuple[tuple[str, Any], ...]
"""Fields of one factor and their values."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished cell.

    Args:
        name: of the cell.
        settings: of each factor.
        seed: of the run.
        plan: how it was evaluated, as text.
        results: label -> outcome.
    """

    name: str
    settings: Mapping[str, Setting]
    seed: int
    plan: str
    results: Mapping[str, AttackResult]


def settings_of(config: RunConfig) -> dict[str, Setting]:
    """Factor -> its settings, without those at their default, but for the few that are always said.

    Args:
        config: of a run.
    """
    values, default = flat(config), flat(RunConfig(trainer=config.trainer))
    found: dict[str, list[tuple[str, Any]]] = {}
    for name, value in values.items():
        if name not in BESIDE and (value != default.get(name) or (name in SAID and value is not None)):
            plain = tuple(value) if isinstance(value, list) else value
            found.setdefault(_factor(name), []).append((name, plain))
    return {factor: tuple(pairs) for factor, pairs in found.items()}


def _factor(name: str) -> str:
    kind = f"{name.partition('.')[0]}.*" if "." in name else ""
    return next((factor for factor, names in FACTORS.items() if name in names or kind in names), name.replace("_", " "))


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The finished cells of some benchmarks, each once, and the names of those that failed.

    Args:
        folders: of benchmarks or archives.

    Raises:
        OptionError: a folder without cells.
    """
    runs: dict[tuple[str, str], Run] = {}
    failed: list[str] = []
    for folder in folders:
        cells = sorted(folder.glob("cells/*/cell.json"))
        if not cells:
            raise OptionError(f"{str(folder)!r} is no folder of a benchmark: expected cells/NAME/cell.json in it")
        for path in cells:
            record = Record.load(path.parent)
            if record is not None and record.error:
                failed.append(path.parent.name)
            elif record is not None and record.evaluation and packed.is_file(path.parent / EVALUATION):
                run = _read(path.parent, record)
                runs.setdefault((run.name, run.plan), run)
    return list(runs.values()), failed


def _read(folder: Path, record: Record) -> Run:
    config = RunConfig.from_mapping(record.config)
    return Run(
        name=folder.name,
        settings=settings_of(config),
        seed=config.seed,
        plan=json.dumps(record.evaluation["plan"], sort_keys=True),
        results=dict(EvaluationResult.load(folder / EVALUATION).items()),
    )


def said(factor: str, setting: Setting) -> str:
    """A value in words: ``"sgd lr 0.1"``; names of parts speak for themselves."""
    words = []
    for name, value in setting:
        if value is None:
            continue  # a setting that the value does not have, as adamw has no momentum
        plain = f"{value:.4g}" if isinstance(value, float) else str(value)
        words.append(plain if isinstance(value, str) else f"{name.rpartition('.')[2].replace('_', ' ')} {plain}")
    return " ".join(words) or f"no {factor}"
