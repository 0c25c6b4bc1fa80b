"""The cells of a grid: the run of each, its name, its row and its table."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from fairart.benchmark.portable import portable
from fairart.runs.config import OFF, PART_KINDS, RunConfig
from fairart.runs.flat import flat

__all__ = ["Cell", "place", "row_label"]

TABLE_FIELDS = ("dataset", "model")
"""A table is of one data set and one model."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a grid.

    Args:
        method: what tables call the method.
        config: the run.
        row: fields that distinguish its row from others of the method: field -> value.
        table: what its table is of: field -> value; data set and model, the options given to the model such as its width, and
            options of the data set that vary.
    """

    method: str
    config: RunConfig
    row: Mapping[str, Any] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its folder. It depends on the run alone, not on the label or the rest of the grid."""
        config, default = self.config, RunConfig(trainer=self.config.trainer)
        dataset = config.dataset.replace("\\", "/").rstrip("/").rpartition("/")[2]
        words = [config.trainer, config.objective, config.averaging, dataset.replace(":", "-"), f"seed{config.seed}"]
        readable = "_".join(re.sub(r"[^\w.-]+", "-", str(word))[:40] for word in words if word not in (None, OFF))
        # Only what differs from the defaults: a new option of fairart must not give every old run a new name.
        said = {name: value for name, value in config.to_dict().items() if value != default.to_dict()[name]}
        said["trainer"] = config.trainer
        code = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:8]
        return f"{readable}_{code}"

    @property
    def row_name(self) -> str:
        """The method and the fields that vary: ``"fair-tat (trades, ema)"``."""
        return row_label(self.method, self.row)

    @property
    def table_name(self) -> str:
        """``"digits, small-cnn"``."""
        words = [_word(self.table[name]) for name in TABLE_FIELDS]
        return ", ".join(words) + _in_brackets({name: value for name, value in self.table.items() if name not in TABLE_FIELDS})

    def __str__(self) -> str:
        """For messages: row, table and seed."""
        return f"{self.row_name}, {self.table_name}, seed {self.config.seed}"


def row_label(method: str, row: Mapping[str, Any]) -> str:
    """What tables call a row: ``"fair-tat (trades, ema)"``.

    Args:
        method: label.
        row: fields that distinguish its row from others of the method: field -> value.
    """
    return method + _in_brackets(row)


def _word(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _said(name: str, value: Any) -> str:
    if name in PART_KINDS:
        return f"no {name.replace('_', ' ')}" if value == OFF else str(value)
    return f"{name.rpartition('.')[2]} {_word(value)}"


def _in_brackets(values: Mapping[str, Any]) -> str:
    # A field left at the method's default adds no words.
    words = [_said(name, value) for name, value in values.items() if value is not None]
    return f" ({', '.join(words)})" if words else ""


def place(cells: Sequence[tuple[str, RunConfig]], *, apart: Container[str] = ()) -> tuple[Cell, ...]:
    """Sort runs into tables and rows: a table has one data set and model, a row one method and one value of each varying field.

    Args:
        cells: label of the method and run, each.
        apart: fields that distinguish no rows, because they were chosen for the method.
    """
    said = [(label, config, flat(config)) for label, config in cells]
    shared = set(_varying([values for *_, values in said]))
    tables = [
        name
        for name in _names(values for *_, values in said)
        # What was given to the model is always said: a table of a network of an eighth of the width is not one of the network.
        if _of_table(name) and (name in shared or name in TABLE_FIELDS or name.startswith("model."))
    ]
    varying = {
        label: [
            name
            for name in _varying([values for *_, values in group])
            if not _of_table(name) and name not in ("seed", "trainer") and name not in apart
        ]
        for label, group in groupby(sorted(said, key=lambda item: item[0]), key=lambda item: item[0])
    }
    called = _called(values["dataset"] for *_, values in said)
    return tuple(
        Cell(
            method=label,
            config=config,
            row={name: values.get(name) for name in varying[label]},
            table={name: called[values["dataset"]] if name == "dataset" else values.get(name) for name in tables},
        )
        for label, config, values in said
    )


def _called(datasets: Iterable[str]) -> dict[str, str]:
    """What tables call each data set: without the folders of an absolute path, where that leaves them apart."""
    given = list(dict.fromkeys(datasets))
    short = [portable(name) for name in given]
    return {name: one if short.count(one) == 1 else name for name, one in zip(given, short, strict=True)}


def _of_table(name: str) -> bool:
    return name.partition(".")[0] in TABLE_FIELDS


def _names(several: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for values in several for name in values))


def _varying(several: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in _names(several) if any(values.get(name) != several[0].get(name) for values in several)]
