"""Accuracy against the degree of an affine change as tables: cells, plain text, and HTML for notebooks."""

from __future__ import annotations

import numpy as np

from fairart.escapes import terminal
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.grid import Grid, share_cell
from fairart.notebooks import html_notes, html_table

__all__ = ["affine_grid", "affine_notes", "render_affine", "render_affine_html"]


def affine_grid(result: EvaluationData, family: str) -> Grid:
    """Class rows and degree columns, and the mean over the range; then overall and worst class.

    Args:
        result: the evaluation.
        family: one of its families.
    """
    found = result.affine
    names = result.class_names or [str(index) for index in range(result.nb_classes)]
    rows = [
        [name, *(share_cell(float(rate), None, False) for rate in (*curve, mean))]
        for name, curve, mean in zip(names, found.class_accuracy(family), found.area(family), strict=True)
    ]
    for name, curve in (("overall", found.accuracy(family)), ("worst class", found.worst_class_accuracy(family))):
        rows.append([name, *(share_cell(float(rate), None, False) for rate in curve), ""])
    heads = [f"{family}: class", *(f"{degree:g}" for degree in found.degrees(family)), "mean"]
    return Grid(heads, rows, len(names))


def affine_notes(result: EvaluationData) -> list[str]:
    """The lines below the tables: units, and the class that each family leaves behind.

    Args:
        result: the evaluation.
    """
    lines = [
        "affine curves: accuracy in per cent without an attack; rotation and shear in degrees, scale in sizes; about the centre, "
        "bilinear, black from outside; mean: over the range of degrees",
    ]
    for family in result.affine.families:
        area = result.affine.area(family)
        lowest = int(np.nanargmin(area))
        name = result.class_names[lowest] if result.class_names else str(lowest)
        lines.append(f"{family}: lowest mean, class {name}, {share_cell(float(area[lowest]), None, False)}")
    return list(map(terminal, lines))


def render_affine(result: EvaluationData) -> list[str]:
    """One block of plain text, or none without curves.

    Args:
        result: the evaluation.
    """
    if not len(result.affine):
        return []
    tables = ["\n".join(affine_grid(result, family).text()) for family in result.affine.families]
    return ["\n\n".join([*tables, "\n".join(affine_notes(result))])]


def render_affine_html(result: EvaluationData) -> str:
    """The same tables as HTML for notebooks; empty without curves.

    Args:
        result: the evaluation.
    """
    if not len(result.affine):
        return ""
    grids = [affine_grid(result, family) for family in result.affine.families]
    tables = "".join(html_table(grid.columns, grid.rows, ruled=[grid.body]) for grid in grids)
    return f"<div>{tables}{html_notes(affine_notes(result))}</div>"
