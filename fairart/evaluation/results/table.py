"""An evaluation as tables: their cells, plain text, and HTML for notebooks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairart.escapes import terminal
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.certificate_table import certificate_grid, certificate_notes, certificate_title
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.flags import FAILED, failed_checks
from fairart.evaluation.results.grid import Grid, per_cent, share_cell
from fairart.evaluation.results.ood_table import ood_class_grid, ood_grid, ood_notes
from fairart.evaluation.results.outcome import AttackResult
from fairart.notebooks import html_notes, html_table

__all__ = [
    "Grid",
    "class_grid",
    "corruption_grid",
    "corruption_notes",
    "notes",
    "render_html",
    "render_table",
    "shown",
]

ABSENT_NAMED = 10
"""Classes without test samples that are named; more are counted."""

DECILE_FROM = 20
"""Number of classes from which the table has a row for the worst tenth; below, that is one or two classes."""


def _column(result: AttackResult, intervals: bool, failed: bool) -> list[str]:
    ends, rates = result.confidence_interval, result.class_accuracy
    mark = f" {FAILED}" if failed else ""
    cells = [share_cell(float(rate), pair, intervals) for rate, pair in zip(rates, ends, strict=True)]
    cells.append(share_cell(result.accuracy, result.accuracy_interval, intervals) + mark)
    worst = result.worst_class
    # Not the interval of this class: it was chosen because it is the lowest.
    lowest = share_cell(float(rates[worst]), result.worst_class_interval, intervals)
    cells.append(f"{lowest} {result.worst_class_name} ({100 * float(result.worst_class_probability[worst]):.0f} %){mark}")
    calibration = result.calibration()
    cells.append("-" if calibration is None else per_cent(calibration.ece))
    if result.nb_classes >= DECILE_FROM:
        cells.append(per_cent(result.worst_class_accuracy(0.1)) + mark)
    return cells


def shown(result: EvaluationData) -> list[AttackResult]:
    """The results that tables have columns of: all, and the worst case over several attacks of one budget.

    Args:
        result: the evaluation.
    """
    columns = list(result.values())
    return [*columns, result.worst_case()] if len(columns) > 2 and result.combined else columns


def class_grid(result: EvaluationData, *, intervals: bool = True) -> Grid:
    """Class rows, attack columns, then overall and worst class; ``!`` beside the numbers whose sanity checks failed.

    Args:
        result: the evaluation.
        intervals: 95 % Wilson intervals beside the numbers.
    """
    columns = shown(result)
    names = result.class_names or [str(index) for index in range(result.nb_classes)]
    heads = [*names, "overall", "worst class", "ECE"]
    samples = [*map(str, columns[0].confusion.support), str(len(result.labels)), "", ""]
    if result.nb_classes >= DECILE_FROM:
        heads.append("worst 10 %")
        samples.append("")
    cells = [_column(column, intervals, bool(failed_checks(column, result.checks))) for column in columns]
    counts = result.config.get("training_counts")
    trained = []
    if counts is not None and len(set(counts)) > 1 and len(counts) == result.nb_classes:
        trained = [[*map(str, counts), str(sum(counts)), *[""] * (len(heads) - result.nb_classes - 1)]]
    rows = [list(row) for row in zip(heads, samples, *trained, *cells, strict=True)]
    names = ["class", "n", *(["n in training"] if trained else []), *(column.label for column in columns)]
    return Grid(names, rows, result.nb_classes)


def corruption_grid(corruptions: CorruptionResults) -> Grid:
    """Corruption rows, severity columns, overall / worst class in each cell, and their means.

    Args:
        corruptions: results, at least one.
    """

    def pair(overall: float, worst: float) -> str:
        return f"{per_cent(overall)} / {per_cent(worst)}"

    overall, worst = corruptions.accuracy, corruptions.worst_class_accuracy
    rows = []
    for name, accuracies, worsts in zip(corruptions.names, overall, worst, strict=True):
        cells = [pair(*both) for both in zip(accuracies, worsts, strict=True)]
        rows.append([name, *cells, pair(accuracies.mean(), worsts.mean())])
    means = [pair(*both) for both in zip(overall.mean(axis=0), worst.mean(axis=0), strict=True)]
    rows.append(["mean", *means, pair(overall.mean(), worst.mean())])
    heads = ["corruption", *(f"severity {severity}" for severity in corruptions.severities), "mean"]
    return Grid(heads, rows, len(corruptions.names))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else _number(value)


def _note(result: AttackResult) -> str:
    config = canonical(result.config)
    options = ", ".join(f"{key}={_number(value)}" for key, value in config.get("options", {}).items())
    name = config.get("attack", result.label)
    if name == "none":
        return f"{result.label}: no attack"
    notes = config.get("notes", {}).items()
    text = "; ".join([f"{result.label}: {name}({options})", *(f"{key}: {_listed(value)}" for key, value in notes)])
    change = result.perturbation
    if change is None:
        return text
    if not change.nb_attacked:
        return f"{text}; no sample was right on clean data"
    text += (
        f"; {change.nb_attacked} samples attacked, {per_cent(change.share_changed)} % changed, "
        f"L-inf mean {_number(change.mean_linf)}, max {_number(change.max_linf)}"
    )
    if change.share_outside > 0:
        text += f"; {per_cent(change.share_outside)} % projected back into the budget"
    return text


def _worst_case_note(result: EvaluationData) -> str:
    over = result.combined
    if not over:
        return "worst-case: none, as no two attacks have the same norm and eps"
    left = [label for label in result if label not in over]
    budget = next(budget for label in over if (budget := result[label].budget) is not None)
    text = f"worst-case: right under all of {', '.join(over)} ({budget})"
    return f"{text}; left out, as they have another budget: {', '.join(left)}" if left else text


def notes(result: EvaluationData, *, intervals: bool = True) -> list[str]:
    """The lines below the table of classes: unit, full configuration of each attack, failed sanity checks.

    Args:
        result: the evaluation.
        intervals: whether the table has them.
    """
    unit = "accuracy in per cent" + (", 95 % Wilson intervals" if intervals else "")
    failed = [check for check in result.checks if not check.passed]
    lines = [
        f"{unit}; seed {result.config.get('seed', '?')}",
        f"of the worst class: {'an exact 95 % interval, and ' * intervals}the probability that it is the worst",
        "ECE: expected calibration error, 15 bins",
        *_absent_classes(result),
        *(_note(column) for column in result.values()),
        *([_worst_case_note(result)] if len(result) > 2 else []),
        *([f"sanity checks: {len(result.checks) - len(failed)} of {len(result.checks)} passed"] if result.checks else []),
        *(f"{FAILED} {check.attack or 'evaluation'}: {check.name} failed: {check.detail}" for check in failed),
    ]
    return list(map(terminal, lines))


def _absent_classes(result: EvaluationData) -> list[str]:
    """One line that names classes without test samples: a split sorted by class and cut off has them."""
    clean = next(iter(result.values()))
    absent = [index for index, count in enumerate(clean.confusion.support) if not count]
    if not absent:
        return []
    names = [str(clean.class_names[index]) if clean.class_names else str(index) for index in absent]
    listed = ", ".join(names[:ABSENT_NAMED]) + (f" and {len(names) - ABSENT_NAMED} more" if len(names) > ABSENT_NAMED else "")
    return [f"no test images of {len(names)} of {clean.nb_classes} classes: {listed}; they count in no number"]


def corruption_notes(result: EvaluationData) -> list[str]:
    """The lines below the table of corruptions: unit, source of the images, the lowest class, and mCE if it was computed.

    Args:
        result: the evaluation.
    """
    corruptions, about = result.corruptions, canonical(result.corruptions.source)
    images = f"{len(next(iter(corruptions.values())).labels)} images {about.get('source', 'of unknown origin')}"
    if corruptions.made:
        made = about.get("made") or about
        images += f" (version {corruptions.version}, seed {made.get('seed', '?')})"
    if about.get("folder"):
        images += f", read from {about['folder']}"
    if about.get("own_labels"):
        images += ", with their own labels"
    rates = corruptions.mean_class_accuracy()
    weakest = int(np.nanargmin(rates))
    name = result.class_names[weakest] if result.class_names else str(weakest)
    lines = [
        "accuracy in per cent, overall / worst class of each cell",
        images,
        f"lowest mean over all corruptions: class {name}, {per_cent(float(rates[weakest]))}",
        *(str(note) for note in about.get("notes", ())),
    ]
    compared = canonical(result.config.get("mean_corruption_error"))
    if compared:
        value = compared["value"]
        shown = f"{100 * value:.1f} %" if isinstance(value, int | float) else "-"
        lines.append(f"mCE {shown} of the errors in {compared['reference']}")
    return list(map(terminal, lines))


def render_html(result: EvaluationData) -> str:
    """The same tables as HTML for notebooks.

    Args:
        result: the evaluation.
    """
    grid = class_grid(result)
    parts = [html_table(grid.columns, grid.rows, ruled=[grid.body]), html_notes(notes(result))]
    if len(result.corruptions):
        made = corruption_grid(result.corruptions)
        parts += [html_table(made.columns, made.rows, ruled=[made.body]), html_notes(corruption_notes(result))]
    for found in result.certificates.values():
        made = certificate_grid(found)
        title = certificate_title(found)
        parts += [
            html_table(made.columns, made.rows, ruled=[made.body], title=title),
            html_notes(certificate_notes(found, result)),
        ]
    if len(result.ood):
        grids = [ood_grid(result.ood), ood_class_grid(result.ood)]
        parts += [html_table(each.columns, each.rows, ruled=[each.body]) for each in grids]
        parts.append(html_notes(ood_notes(result.ood)))
    return f"<div>{''.join(parts)}</div>"


def render_table(result: EvaluationData, *, intervals: bool = True) -> str:
    """Class rows, attack columns, then overall, worst class and configurations; below it corruptions by severity.

    Args:
        result: the evaluation.
        intervals: print 95 % Wilson intervals beside the numbers.

    Returns:
        Lines of text, without a line break at the end.
    """
    lines = [*class_grid(result, intervals=intervals).text(right=1), "", *notes(result, intervals=intervals)]
    if len(result.corruptions):
        lines += ["", *corruption_grid(result.corruptions).text(), "", *corruption_notes(result)]
    for found in result.certificates.values():
        made = certificate_grid(found, intervals=intervals)
        lines += ["", terminal(certificate_title(found)), "", *made.text(right=1), "", *certificate_notes(found, result)]
    if len(result.ood):
        for each in (ood_grid(result.ood, intervals=intervals), ood_class_grid(result.ood)):
            lines += ["", *each.text()]
        lines += ["", *ood_notes(result.ood)]
    return "\n".join(lines)
