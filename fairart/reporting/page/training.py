"""What the page shows about training: accuracy and loss over epochs, budgets and targets of each class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.reporting.histories import History, epsilon_table, relabelled_table, sampling_table, target_table
from fairart.reporting.page.pixels import data_uri, opacities
from fairart.reporting.page.svg import Line, line_chart
from fairart.reporting.run_results import Run
from fairart.statistics import ConfusionMatrix

__all__ = ["training"]

NAMED_UP_TO = 30

FloatArray = npt.NDArray[np.float64]
TableOf = Callable[[Sequence[History]], tuple[FloatArray, list[int]]]


@dataclass(frozen=True)
class _Look:
    """Colour of a heat map, value of its faintest pixel (None for the smallest there is), decimals of its numbers."""

    colour: tuple[int, int, int]
    low: float | None
    digits: int


def training(methods: Mapping[str, Sequence[Run]], class_names: Sequence[str] | None) -> dict[str, Any] | None:
    """Charts and heat maps of the epochs; None if no run has any.

    Args:
        methods: label -> its runs, evaluated or not.
        class_names: K names; None if no evaluation has them.
    """
    trained = {label: [run for run in runs if run.history] for label, runs in methods.items()}
    if not any(trained.values()):
        return None
    indices = {label: index for index, label in enumerate(methods)}
    return {
        "charts": _charts(trained, indices),
        "epsilons": _strips(trained, indices, epsilon_table, class_names, _Look((31, 119, 190), None, 3)),
        "overfitted": _overfitted(trained),
        "averaging": _averaging(trained),
        "best": _best(trained),
        "sampling": _strips(trained, indices, sampling_table, class_names, _Look((150, 90, 170), 0.0, 2)),
        "relabelled": _strips(trained, indices, relabelled_table, class_names, _Look((190, 80, 60), 0.0, 2)),
        "targets": _strips(trained, indices, target_table, class_names, _Look((20, 140, 105), 0.0, 2)),
    }


def _charts(trained: Mapping[str, Sequence[Run]], indices: Mapping[str, int]) -> list[dict[str, Any]]:
    charts: list[dict[str, Any]] = []
    for title, note, columns in (
        ("Accuracy on the training batches, in %", "solid: overall; dashed: worst class", (_robust, _worst)),
        ("Accuracy on validation data under attack, in %", "solid: overall; dashed: worst class", (_valid, _valid_worst)),
        (
            "Single-step training, in %",
            "solid: under PGD-10 on training images; dashed: on its single-step examples",
            (_pgd, _single),
        ),
        ("Training loss", "", (lambda record: float(record["loss"]),)),
    ):
        lines = [
            Line(values, indices[label], f"{label}, {run.name}", dashed=bool(place), mark=_mark(run, column))
            for label, runs in trained.items()
            for run in runs
            for place, column in enumerate(columns)
            if np.isfinite(values := np.array([_safe(column, record) for record in run.history])).any()
        ]
        if lines:
            high = None if title == "Training loss" else 100.0
            charts.append({"title": title, "note": note, "chart": line_chart(lines, label=title, high=high)})
    return charts


def _safe(column: Callable[[Mapping[str, Any]], float], record: Mapping[str, Any]) -> float:
    try:
        return column(record)
    except (KeyError, TypeError, ValueError):  # an older or another program's history may lack it
        return math.nan


def _robust(record: Mapping[str, Any]) -> float:
    return 100 * ConfusionMatrix(record["robust"]).accuracy


def _worst(record: Mapping[str, Any]) -> float:
    return 100 * ConfusionMatrix(record["robust"]).worst_class_accuracy()


def _valid(record: Mapping[str, Any]) -> float:
    return 100 * ConfusionMatrix(record["validation_robust"]).accuracy


def _valid_worst(record: Mapping[str, Any]) -> float:
    return 100 * ConfusionMatrix(record["validation_robust"]).worst_class_accuracy()


def _pgd(record: Mapping[str, Any]) -> float:
    return 100 * float(record["pgd_accuracy"])


def _single(record: Mapping[str, Any]) -> float:
    # Only where the epoch was watched.
    return _robust(record) if "pgd_accuracy" in record else math.nan


def _overfitted(trained: Mapping[str, Sequence[Run]]) -> list[str]:
    """Which runs overfitted catastrophically, and when."""
    return [
        f"{label}, {run.name}: epoch {record['epoch']} (the first is 0)"
        for label, runs in trained.items()
        for run in runs
        for record in run.history
        if record.get("overfitted")
    ]


def _best_epoch(run: Run) -> tuple[int, Callable[[Mapping[str, Any]], float]] | None:
    """Place of the epoch that a run kept as its best, and the criterion; None where it kept none."""
    column = {"average": _valid, "worst-class": _valid_worst}.get(str(run.config.get("keep_best")))
    if column is None or not run.history:
        return None
    values = np.array([_safe(column, record) for record in run.history])
    return None if np.isnan(values).all() else (int(np.nanargmax(values)), column)


def _mark(run: Run, column: Callable[[Mapping[str, Any]], float]) -> int | None:
    found = _best_epoch(run)
    return found[0] if found is not None and found[1] is column else None


def _best(trained: Mapping[str, Sequence[Run]]) -> list[str]:
    """What each run lost between its best epoch on held-out images and its last one."""
    told = []
    for label, runs in trained.items():
        for run in runs:
            found = _best_epoch(run)
            if found is not None:
                place, column = found
                best, last = _safe(column, run.history[place]), _safe(column, run.history[-1])
                told.append(
                    f"{label}, {run.name}: {best:.1f} % in epoch {place}, {last:.1f} % in the last, {best - last:.1f} points"
                )
    return told


def _averaging(trained: Mapping[str, Sequence[Run]]) -> list[str]:
    """How many epochs entered each run's averaged weights, and what would have let some in."""
    told = []
    for label, runs in trained.items():
        for run in runs:
            flags = [record.get("averaged") for record in run.history]
            if all(flag is None for flag in flags):
                continue
            text = f"{label}, {run.name}: {sum(map(bool, flags))} of {len(flags)} epochs"
            worst = [value for record in run.history if math.isfinite(value := _safe(_valid_worst, record))]
            if not any(flags) and worst:
                text += f" (on validation data under attack the worst class reached {max(worst):.1f} % at most)"
            told.append(text)
    return told


def _strips(
    trained: Mapping[str, Sequence[Run]], indices: Mapping[str, int], table_of: TableOf, names: Sequence[str] | None, look: _Look
) -> list[dict[str, Any]]:
    tables = {label: found for label, runs in trained.items() if runs and (found := _table(runs, table_of)) is not None}
    if not tables:
        return []
    # One scale for all methods, so that one colour is one number.
    shown = np.concatenate([table[np.isfinite(table)] for table, _ in tables.values()])
    scale = (float(shown.min()) if look.low is None else look.low, float(shown.max()))
    return [
        {**_strip(*found, names, scale, look), "method": label, "index": indices[label], "seeds": len(trained[label])}
        for label, found in tables.items()
    ]


def _table(runs: Sequence[Run], table_of: TableOf) -> tuple[FloatArray, list[int]] | None:
    # A run that is still being trained has fewer epochs: the mean is over those that all have.
    shortest = min(len(run.history) for run in runs)
    try:
        table, epochs = table_of([run.history[:shortest] for run in runs])
    except (KeyError, TypeError, ValueError):  # no planned targets, or a history that lacks them
        return None
    return (table, epochs) if np.isfinite(table).any() else None


def _strip(
    table: FloatArray, epochs: Sequence[int], class_names: Sequence[str] | None, scale: tuple[float, float], look: _Look
) -> dict[str, Any]:
    names = list(map(str, range(len(table))))
    if class_names is not None and len(class_names) == len(table):
        names = list(class_names)
    step = math.ceil(len(names) / NAMED_UP_TO)
    shown = table[np.isfinite(table)]
    rows = []
    for place, (name, row) in enumerate(zip(names, table, strict=True)):
        last = f"{row[-1]:.{look.digits}f}" if step == 1 and math.isfinite(row[-1]) else ""
        rows.append({"name": name if place % step == 0 else "", "last": last})
    return {
        "constant": f"{shown[0]:.{look.digits}f}" if np.ptp(shown) < 1e-9 else None,
        "picture": data_uri(opacities(table, low=scale[0], high=scale[1]), look.colour),
        "rows": rows,
        "low": f"{scale[0]:.{look.digits}f}",
        "high": f"{scale[1]:.{look.digits}f}",
        "epochs": (epochs[0], epochs[-1]),
        "colour": f"rgb{look.colour}",
    }
