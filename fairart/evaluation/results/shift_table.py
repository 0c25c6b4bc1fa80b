"""Results on shifted test sets as tables: their cells, plain text, and HTML for notebooks."""

from __future__ import annotations

import math

from fairart.escapes import terminal
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.grid import Grid, share_cell
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.shift_results import Drop
from fairart.notebooks import html_notes, html_table

__all__ = ["render_shifts", "render_shifts_html", "shift_grid", "shift_notes"]


def shift_grid(result: EvaluationData, *, intervals: bool = True) -> Grid:
    """Class rows; clean accuracy, then accuracy on each shifted test set and what is lost; overall, worst class, calibration.

    Args:
        result: the evaluation; it has at least one shift.
        intervals: 95 % intervals beside the numbers.
    """
    clean = next(iter(result.values()))
    names = [*(result.class_names or map(str, range(result.nb_classes))), "overall", "worst class", "ECE", "over-confident by"]
    columns, cells = ["class", "clean"], [names, _accuracies(clean, intervals)]
    for name, shifted in result.shifts.items():
        columns += [f"{name}: n", name, "lost", "lost, %"]
        counts = [*map(str, shifted.confusion.support), str(len(shifted.labels)), "", "", ""]
        cells += [counts, _accuracies(shifted, intervals), *_lost(Drop(clean, shifted), intervals)]
    return Grid(columns, [list(row) for row in zip(*cells, strict=True)], result.nb_classes)


def _accuracies(result: AttackResult, intervals: bool) -> list[str]:
    ends, rates, worst = result.confidence_interval, result.class_accuracy, result.worst_class
    calibration = result.calibration()
    lowest = share_cell(float(rates[worst]), result.worst_class_interval, intervals)
    return [
        *(share_cell(float(rate), pair, intervals) for rate, pair in zip(rates, ends, strict=True)),
        share_cell(result.accuracy, result.accuracy_interval, intervals),
        f"{lowest} {result.worst_class_name}",
        "-" if calibration is None else share_cell(calibration.ece, None, False),
        "-" if calibration is None else share_cell(calibration.overconfidence, None, False),
    ]


def _lost(drop: Drop, intervals: bool) -> tuple[list[str], list[str]]:
    """Points and per cent of the clean accuracy that are lost, row by row."""
    worst = drop.clean.worst_class_accuracy(), drop.shifted.worst_class_accuracy()
    points = [
        *(share_cell(float(one), ends, intervals) for one, ends in zip(drop.of_classes, drop.class_intervals, strict=True)),
        share_cell(drop.overall, drop.interval, intervals),
        share_cell(worst[0] - worst[1], None, False),
        *[""] * 2,
    ]
    lost = (worst[0] - worst[1]) / worst[0] if worst[0] > 0 else math.nan
    shares = [*drop.relative_of_classes, drop.relative, lost]
    return points, [*(share_cell(float(share), None, False) for share in shares), *[""] * 2]


def shift_notes(result: EvaluationData, *, intervals: bool = True) -> list[str]:
    """The lines below the table: units, where images come from, and the line from clean to shifted accuracy over the classes.

    Args:
        result: the evaluation.
        intervals: whether the table has them.
    """
    clean = next(iter(result.values()))
    lines = [
        "shifts: accuracy in per cent without an attack"
        + (", 95 % Wilson intervals; of what is lost, Newcombe's for independent samples" if intervals else "")
        + "; lost: points, and per cent of the clean accuracy",
        "ECE: expected calibration error, 15 bins; over-confident by: mean confidence less accuracy",
    ]
    for name, shifted in result.shifts.items():
        about = canonical(result.shifts.sources[name])
        source = f" of {about['dataset']}" if "dataset" in about else ""
        absent = [index for index, count in enumerate(shifted.confusion.support) if not count]
        missing = f"; no images of {len(absent)} of {result.nb_classes} classes" if absent else ""
        line = Drop(clean, shifted).line
        text = f"{name}: {len(shifted.labels)} images{source}{missing}"
        if line is not None:
            text += f"; line over classes, probit scale: slope {line.slope:.2f}, correlation {line.correlation:.2f}"
        lines.append(text)
    return list(map(terminal, lines))


def render_shifts(result: EvaluationData, *, intervals: bool = True) -> list[str]:
    """One block of plain text, or none without shifts.

    Args:
        result: the evaluation.
        intervals: print 95 % intervals beside the numbers.
    """
    if not len(result.shifts):
        return []
    return ["\n".join([*shift_grid(result, intervals=intervals).text(), "", *shift_notes(result, intervals=intervals)])]


def render_shifts_html(result: EvaluationData) -> str:
    """The same table as HTML for notebooks; empty without shifts.

    Args:
        result: the evaluation.
    """
    if not len(result.shifts):
        return ""
    grid = shift_grid(result)
    return f"<div>{html_table(grid.columns, grid.rows, ruled=[grid.body])}{html_notes(shift_notes(result))}</div>"
