"""Results by group as tables: their cells, plain text, HTML for notebooks, and data frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fairart.escapes import terminal
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.flags import FAILED, failed_checks
from fairart.evaluation.results.grid import Grid, share_cell
from fairart.evaluation.results.groups import SMALL, GroupedResult, Groups
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.results.table import shown
from fairart.notebooks import data_frame, html_notes, html_table

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "MOST_CELLS",
    "cell_grid",
    "corruption_group_grid",
    "group_frame",
    "group_grid",
    "group_grids",
    "group_notes",
    "render_groups",
    "render_groups_html",
]

MOST_CELLS = 300
"""Cells of groups and classes up to which a table shows all; above, it lists the lowest ones."""

LISTED = 20
"""Cells that such a list has."""


def group_grid(result: EvaluationData, groups: Groups, *, intervals: bool = True) -> Grid:
    """Group rows, attack columns, then overall, worst group, worst class within a group, and gaps.

    Args:
        result: the evaluation.
        groups: one of its attributes.
        intervals: 95 % Wilson intervals beside the numbers.
    """
    columns = shown(result)
    found = [GroupedResult(column, groups) for column in columns]
    counts = groups.counts
    heads = [_name(name, count) for name, count in zip(groups.names, counts, strict=True)]
    summary = ["overall", "worst group", "worst class in a group", "difference", "difference to overall", "ratio", "largest ECE"]
    samples = [*map(str, counts), str(len(result.labels)), *[""] * (len(summary) - 1)]
    cells = []
    for column, one in zip(columns, found, strict=True):
        mark = f" {FAILED}" if failed_checks(column, result.checks) else ""
        rates = [
            share_cell(float(rate), ends, intervals) for rate, ends in zip(one.accuracy, one.confidence_interval, strict=True)
        ]
        cells.append([*rates, *_summary(one, intervals, mark)])
    rows = [list(row) for row in zip([*heads, *summary], samples, *cells, strict=True)]
    return Grid([groups.name, "n", *(column.label for column in columns)], rows, len(groups))


def _name(name: str, count: int) -> str:
    return f"{name} *" if count < SMALL else name


def _summary(found: GroupedResult, intervals: bool, mark: str) -> list[str]:
    worst, (group, label) = found.worst_group, found.worst_cell
    gaps, calibration = found.gaps, found.calibration()
    lowest = share_cell(float(found.accuracy[worst]), found.worst_group_interval, intervals)
    cell = share_cell(float(found.class_accuracy[group, label]), found.worst_cell_interval, intervals)
    ece = [math.nan] if calibration is None else [one.ece for one in calibration]
    largest = "-" if np.isnan(ece).all() else f"{share_cell(float(np.nanmax(ece)), None, False)} "
    return [
        share_cell(found.result.accuracy, found.result.accuracy_interval, intervals) + mark,
        f"{lowest} {found.worst_group_name} ({100 * float(found.worst_group_probability[worst]):.0f} %){mark}",
        f"{cell} {' / '.join(found.worst_cell_name)}{_few(found.class_support[group, label])}{mark}",
        share_cell(gaps.difference, None, False),
        share_cell(gaps.difference_to_overall, None, False),
        "-" if math.isnan(gaps.ratio) else f"{gaps.ratio:.3f}",
        largest if largest == "-" else largest + found.groups.names[int(np.nanargmax(ece))],
    ]


def cell_grid(result: AttackResult, groups: Groups) -> Grid:
    """Class rows and group columns, or the lowest cells where there are many; small cells show their samples.

    Args:
        result: of one attack, of clean data, or a worst case.
        groups: of the same samples.
    """
    found = GroupedResult(result, groups)
    names = list(result.class_names or [str(index) for index in range(result.nb_classes)])
    rates, support = found.class_accuracy, found.class_support
    if rates.size > MOST_CELLS:
        order = np.argsort(rates, axis=None, kind="stable")[:LISTED]  # NaN comes last
        places = [divmod(int(place), result.nb_classes) for place in order]
        listed = [[names[k], groups.names[g], str(support[g, k]), _cell(rates[g, k], support[g, k])] for g, k in places]
        heads = ["class", groups.name, "n", result.label]
        return Grid(heads, [row for row in listed if row[-1] != "-"], 0)
    rows = [[name, *(_cell(rates[g, k], support[g, k]) for g in range(len(groups)))] for k, name in enumerate(names)]
    return Grid([f"{result.label}: class", *groups.names], rows, 0)  # without a summary: no rule at the end


def _cell(rate: float, count: int) -> str:
    text = share_cell(float(rate), None, False)
    return text + _few(count)


def _few(count: int) -> str:
    return f" * (n={count})" if 0 < count < SMALL else ""


def corruption_group_grid(result: EvaluationData, groups: Groups) -> Grid | None:
    """Corruption rows, mean over severities, and group columns; None where the images are not those of the samples.

    Args:
        result: the evaluation.
        groups: one of its attributes.
    """
    table = result.corruptions
    if not len(table) or table.source.get("own_labels", True):
        return None
    by_name = [[GroupedResult(table[name, at], groups).accuracy for at in table.severities] for name in table.names]
    every = np.array(by_name).mean(axis=1)
    rows = []
    for name, rates in zip([*table.names, "mean"], [*every, every.mean(axis=0)], strict=True):
        worst = int(np.nanargmin(rates))
        cells = [share_cell(float(rate), None, False) for rate in rates]
        rows.append([name, *cells, f"{cells[worst]} {groups.names[worst]}"])
    heads = [_name(group, count) for group, count in zip(groups.names, groups.counts, strict=True)]
    return Grid(["corruption", *heads, "worst group"], rows, len(table.names))


def group_grids(result: EvaluationData, groups: Groups, *, intervals: bool = True) -> list[Grid]:
    """Every table of one attribute: groups, classes within groups under each attack, and corruptions.

    Args:
        result: the evaluation.
        groups: one of its attributes.
        intervals: 95 % Wilson intervals beside the numbers of groups.
    """
    corrupted = corruption_group_grid(result, groups)
    return [
        group_grid(result, groups, intervals=intervals),
        *(cell_grid(column, groups) for column in shown(result)),
        *([] if corrupted is None else [corrupted]),
    ]


def group_notes(result: EvaluationData, groups: Groups) -> list[str]:
    """The lines below the tables of one attribute.

    Args:
        result: the evaluation.
        groups: one of its attributes.
    """
    cells = len(groups) * result.nb_classes
    lines = [
        f"by {groups.name}: accuracy in per cent; * fewer than {SMALL} samples",
        "of the worst group: an exact 95 % interval, and the probability that it is the worst",
        "difference: best less worst group; to overall: largest distance from the overall accuracy; ratio: worst over best group",
    ]
    if cells > MOST_CELLS:
        lines.append(f"of {cells} classes within groups the {LISTED} lowest are listed; evaluation.json has all")
    empty = int((GroupedResult(next(iter(result.values())), groups).class_support == 0).sum())
    if empty:
        lines.append(f"{empty} of {cells} classes within groups have no samples; they count in no number")
    return list(map(terminal, lines))


def render_groups(result: EvaluationData, *, intervals: bool = True) -> list[str]:
    """A block of plain text for each attribute.

    Args:
        result: the evaluation.
        intervals: print 95 % intervals beside the numbers of groups.
    """
    blocks = []
    for groups in result.groups.values():
        tables = ["\n".join(grid.text()) for grid in group_grids(result, groups, intervals=intervals)]
        blocks.append("\n\n".join([*tables, "\n".join(group_notes(result, groups))]))
    return blocks


def render_groups_html(result: EvaluationData) -> str:
    """The same tables as HTML for notebooks; empty without attributes.

    Args:
        result: the evaluation.
    """
    parts = []
    for groups in result.groups.values():
        parts += [html_table(grid.columns, grid.rows, ruled=[grid.body]) for grid in group_grids(result, groups)]
        parts.append(html_notes(group_notes(result, groups)))
    return f"<div>{''.join(parts)}</div>" if parts else ""


def group_frame(result: EvaluationData, attribute: str) -> DataFrame:
    """One row a group, class and attack; see :meth:`fairart.evaluation.EvaluationResult.to_frame`."""
    columns = ("attribute", "attack", "group", "class", "name", "n", "correct", "accuracy", "low", "high", "small", "doubtful")
    names = result.class_names or [str(index) for index in range(result.nb_classes)]
    rows = []
    for label, attack in result.items():
        found = result.by_group(label, attribute)
        doubtful, ends = bool(failed_checks(attack, result.checks)), found.class_confidence_interval
        for group, label_index in np.ndindex(found.class_support.shape):
            cell = (group, label_index)
            total, right = int(found.class_support[cell]), int(found.class_correct[cell])
            place = attribute, label, found.groups.names[group], label_index, names[label_index]
            shares = float(found.class_accuracy[cell]), *map(float, ends[cell])
            rows.append(dict(zip(columns, (*place, total, right, *shares, total < SMALL, doubtful), strict=True)))
    return data_frame(rows, columns)
