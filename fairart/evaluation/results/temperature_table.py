"""Calibration before and after temperature scaling as tables: their cells, plain text, and HTML for notebooks."""

from __future__ import annotations

from fairart.escapes import terminal
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.grid import Grid, share_cell
from fairart.evaluation.results.temperature import FEWEST, KINDS, TemperatureResults
from fairart.notebooks import html_notes, html_table

__all__ = [
    "class_temperature_grid",
    "render_temperature",
    "render_temperature_html",
    "temperature_grid",
    "temperature_notes",
]


def temperature_grid(found: TemperatureResults) -> Grid:
    """A row for clean data, each attack and each shift: ECE and mean over-confidence before and after.

    Args:
        found: the temperatures and what they scaled.
    """
    rows = []
    for name, one in found.all():
        parts = [one.calibration(kind) for kind in (None, *KINDS)]
        rows.append([name, *(share_cell(value, None, False) for part in parts for value in (part.ece, part.overconfidence))])
    names = ["before", *KINDS]
    return Grid(["ECE", *(head for name in names for head in (name, f"{name}: over-confident by"))], rows, 0)


def class_temperature_grid(result: EvaluationData) -> Grid:
    """A row for each predicted class: clean test images predicted as it, its temperature, and its ECE before and after, clean.

    Args:
        result: the evaluation; it has temperatures.
    """
    found = result.temperature
    assert found is not None
    names = result.class_names or [str(index) for index in range(result.nb_classes)]
    clean = found["clean"]
    every = [clean.class_calibration(kind) for kind in (None, *KINDS)]
    rows = []
    for k, name in enumerate(names):
        count = int(found.whole.counts[k])
        temperature = f"{found.whole.classes[k]:.2f}{'' if found.whole.own[k] else ' *'}"
        rows.append([name, str(count), temperature, *(share_cell(part[k].ece, None, False) for part in every)])
    rows.append(["all", str(len(clean.result.labels)), f"{found.whole.overall:.2f}", *(
        share_cell(clean.calibration(kind).ece, None, False) for kind in (None, *KINDS)
    )])  # fmt: skip
    return Grid(["predicted class", "n", "temperature", "ECE before", *KINDS], rows, len(names))


def temperature_notes(found: TemperatureResults) -> list[str]:
    """The lines below the tables.

    Args:
        found: the temperatures and what they scaled.
    """
    halves = " and ".join(f"{half.overall:.3f}" for half in found.halves)
    lines = [
        "temperature scaling: ECE in per cent, 15 bins; over-confident by: mean confidence less accuracy",
        "predictions stay as they are",
        f"fitted on clean images: each half of the test images is scaled by temperatures of the other half (of all: {halves}), "
        "shifted images by those of all test images",
        f"* the temperature of all: fewer than {FEWEST} images are predicted as the class, or all are right, or all wrong",
    ]
    return list(map(terminal, lines))


def render_temperature(result: EvaluationData) -> list[str]:
    """One block of plain text, or none without temperatures.

    Args:
        result: the evaluation.
    """
    if result.temperature is None:
        return []
    grids = [temperature_grid(result.temperature), class_temperature_grid(result)]
    return ["\n\n".join(["\n".join(grid.text()) for grid in grids] + ["\n".join(temperature_notes(result.temperature))])]


def render_temperature_html(result: EvaluationData) -> str:
    """The same tables as HTML for notebooks; empty without temperatures.

    Args:
        result: the evaluation.
    """
    if result.temperature is None:
        return ""
    grids = [temperature_grid(result.temperature), class_temperature_grid(result)]
    tables = "".join(html_table(grid.columns, grid.rows, ruled=[grid.body]) for grid in grids)
    return f"<div>{tables}{html_notes(temperature_notes(result.temperature))}</div>"
