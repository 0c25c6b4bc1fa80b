"""Disagreement of the members of an ensemble as tables: their cells, plain text, and HTML for notebooks."""

from __future__ import annotations

import numpy as np

from fairart.escapes import terminal
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.ensemble_results import EnsembleResults
from fairart.evaluation.results.grid import Grid, share_cell
from fairart.notebooks import html_notes, html_table

__all__ = ["ensemble_grids", "ensemble_notes", "render_ensemble", "render_ensemble_html"]


def ensemble_grids(result: EvaluationData, *, intervals: bool = True) -> list[Grid]:
    """Three tables: disagreement by class, by pair of members, and the accuracy of each member alone.

    Args:
        result: the evaluation; it is one of an ensemble.
        intervals: 95 % intervals beside the disagreement.
    """
    found = result.ensemble
    assert found is not None
    return [_by_class(result, found, intervals), _by_pair(found), _by_member(result, found)]


def _by_class(result: EvaluationData, found: EnsembleResults, intervals: bool) -> Grid:
    names = list(result.class_names or map(str, range(result.nb_classes)))
    columns, cells = ["members disagree"], [[*names, "overall", "most"]]
    for label, one in found.items():
        rates = one.class_disagreement
        most = int(np.nanargmax(rates))
        columns.append(label)
        cells.append(
            [
                *(share_cell(float(rate), ends, intervals) for rate, ends in zip(rates, one.class_intervals, strict=True)),
                share_cell(one.disagreement, one.interval, intervals),
                f"{share_cell(float(rates[most]), None, False)} {names[most]}",
            ]
        )
    return Grid(columns, [list(row) for row in zip(*cells, strict=True)], len(names))


def _by_pair(found: EnsembleResults) -> Grid:
    first = next(iter(found.values()))
    pairs = [f"{found.members[one]} | {found.members[other]}" for one, other in first.pairs]
    cells = [pairs, *([share_cell(float(rate), None, False) for rate in one.pair_disagreement] for one in found.values())]
    return Grid(["pair differs", *found], [list(row) for row in zip(*cells, strict=True)], len(pairs))


def _by_member(result: EvaluationData, found: EnsembleResults) -> Grid:
    columns, cells = ["alone"], [[*found.members, "ensemble"]]
    for label, one in found.items():
        every = [*one.confusions, one.result.confusion]
        columns += [label, f"{label}: worst class"]
        cells.append([share_cell(confusion.accuracy, None, False) for confusion in every])
        cells.append([share_cell(float(confusion.class_accuracy[confusion.worst_class]), None, False) for confusion in every])
    return Grid(columns, [list(row) for row in zip(*cells, strict=True)], len(found.members))


def ensemble_notes(found: EnsembleResults, *, intervals: bool = True) -> list[str]:
    """The lines below the tables.

    Args:
        found: the members and their predictions.
        intervals: whether the table has them.
    """
    lines = [
        f"ensemble of {len(found.members)} by the mean of {found.combine}: {', '.join(found.members)}",
        "members disagree: share of the images, in per cent, on which not all members predict the same class"
        + (", 95 % Wilson intervals" if intervals else ""),
        "alone: accuracy of each member on the same images. Under an attack these are made for the ensemble, not for the member: "
        "an attack on the member itself may find more",
        "images that the ensemble gets wrong without an attack are not attacked, and count as they are",
    ]
    return list(map(terminal, lines))


def render_ensemble(result: EvaluationData, *, intervals: bool = True) -> list[str]:
    """One block of plain text, or none where the model is no ensemble.

    Args:
        result: the evaluation.
        intervals: print 95 % intervals beside the disagreement.
    """
    if result.ensemble is None:
        return []
    blocks = ["\n".join(grid.text()) for grid in ensemble_grids(result, intervals=intervals)]
    return ["\n\n".join([*blocks, "\n".join(ensemble_notes(result.ensemble, intervals=intervals))])]


def render_ensemble_html(result: EvaluationData) -> str:
    """The same tables as HTML for notebooks; empty where the model is no ensemble.

    Args:
        result: the evaluation.
    """
    if result.ensemble is None:
        return ""
    tables = "".join(html_table(grid.columns, grid.rows, ruled=[grid.body]) for grid in ensemble_grids(result))
    return f"<div>{tables}{html_notes(ensemble_notes(result.ensemble))}</div>"
