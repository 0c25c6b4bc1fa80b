"""An evaluation as plain text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fairart.evaluation.outcome import AttackResult

if TYPE_CHECKING:
    from fairart.evaluation.result import EvaluationResult

__all__ = ["render_table"]

DECILE_FROM = 20
"""Number of classes from which the worst tenth is more than one class or two, and gets a row of its own."""


def _per_cent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _cell(share: float, ends: Any, intervals: bool) -> str:
    if not intervals or math.isnan(share):
        return _per_cent(share)
    return f"{_per_cent(share)} [{_per_cent(float(ends[0]))}, {_per_cent(float(ends[1]))}]"


def _column(result: AttackResult, intervals: bool) -> list[str]:
    ends, rates = result.confidence_interval, result.class_accuracy
    cells = [_cell(float(rate), pair, intervals) for rate, pair in zip(rates, ends, strict=True)]
    cells.append(_cell(result.accuracy, result.accuracy_interval, intervals))
    worst = result.worst_class
    cells.append(f"{_cell(float(rates[worst]), ends[worst], intervals)} {result.worst_class_name}")
    if result.nb_classes >= DECILE_FROM:
        cells.append(_per_cent(result.worst_class_accuracy(0.1)))
    return cells


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _note(result: AttackResult) -> str:
    options = ", ".join(f"{key}={_number(value)}" for key, value in result.config.get("options", {}).items())
    name = result.config.get("attack", result.label)
    if name == "none":
        return f"{result.label}: no attack"
    text = f"{result.label}: {name}({options})"
    if "over" in result.config:
        text = f"{result.label}: right under all of {', '.join(result.config['over'])}"
    change = result.perturbation
    if change is None:
        return text
    if not change.nb_attacked:
        return f"{text}; no sample was right to begin with"
    text += (
        f"; {change.nb_attacked} samples attacked, {_per_cent(change.share_changed)} % changed, "
        f"L-inf mean {_number(change.mean_linf)}, max {_number(change.max_linf)}"
    )
    if change.share_outside > 0:
        text += f"; {_per_cent(change.share_outside)} % projected back into the budget"
    return text


def render_table(result: EvaluationResult, *, intervals: bool = True) -> str:
    """Class rows, attack columns, then overall, worst class and the full configuration of each attack.

    Args:
        result: the evaluation.
        intervals: print 95 % Wilson intervals beside the numbers.

    Returns:
        Lines of text, without a line break at the end.
    """
    columns = list(result.values())
    if len(columns) > 2:
        columns.append(result.worst_case())
    support = columns[0].confusion.support
    names = result.class_names or [str(index) for index in range(result.nb_classes)]
    rows = [*names, "overall", "worst class"]
    samples = [*map(str, support), str(len(result.labels)), ""]
    if result.nb_classes >= DECILE_FROM:
        rows.append("worst 10 %")
        samples.append("")
    grid = [["class", *rows], ["n", *samples]]
    grid += [[column.label, *_column(column, intervals)] for column in columns]
    widths = [max(map(len, column)) for column in grid]
    lines = []
    for number, cells in enumerate(zip(*grid, strict=True)):
        first, count, *others = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append("  ".join([first, count.strip().rjust(widths[1]), *others]).rstrip())
        if number in (0, result.nb_classes):
            lines.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    unit = "accuracy in per cent" + (", 95 % Wilson intervals" if intervals else "")
    return "\n".join([*lines, "", f"{unit}; seed {result.config.get('seed', '?')}", *(_note(column) for column in columns)])
