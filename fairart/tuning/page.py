"""The page of a search."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fairart.reporting.page import rendered
from fairart.reporting.plots.saving import save_figure
from fairart.reporting.plots.search import importances, search_front
from fairart.tuning.file import Tuning
from fairart.tuning.result import FIGURES, TrialRow, TuneResult
from fairart.tuning.tables import setting_names, shown

__all__ = ["search_page"]

NAMES = {
    "worst_class": "worst class, %",
    "average": "average, %",
    "clean_worst_class": "clean worst class, %",
    "clean_average": "clean average, %",
}


def search_page(result: TuneResult, tuning: Tuning) -> str:
    """The page as text: what was chosen, the front, the importance of each setting, every trial.

    Args:
        result: of the search.
        tuning: the search.
    """
    return rendered(
        "search.html",
        title=f"Search: {Path(tuning.source).name}",
        facts=_facts(result, tuning),
        notices=_notices(result),
        chosen=[{"number": number, "by_name": _settings(result.row(number))} for number in result.chosen],
        chosen_lead=_chosen_lead(result),
        leak=None if result.leak is None else _leak(result.leak),
        settings=setting_names(result),
        figures=[*NAMES.values(), "epochs", "seconds"],
        rows=[
            {"number": row.number, "state": _state(row), "by_name": _settings(row), "figures": _figures(row)}
            for row in result.rows
        ],
        front=_uri(_front(result, tuning)),
        importance=_uri(importances(result.importance)) if result.importance else None,
    )


def _facts(result: TuneResult, tuning: Tuning) -> list[tuple[str, str]]:
    search, base = tuning.search, tuning.base
    judged = f"PGD-10 on {search.held_out:g} of the training images of each class, mean of the last {search.smooth} epochs"
    floor = "" if search.floor is None else f", average at least {100 * search.floor:g} %"
    states = [row.state for row in result.rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    spent = sum(row.seconds for row in result.rows)
    return [
        ("Data set and model", f"{base.get('dataset', 'digits')}, {base.get('model', 'small-cnn')}"),
        ("Objective", f"{search.objective}{floor}"),
        ("Judged by", judged),
        ("Trials", counts),
        ("Cost", f"{sum(row.epochs for row in result.rows)} epochs, {spent:.0f} s of training"),
    ]


def _notices(result: TuneResult) -> list[str]:
    found = []
    if not result.finished:
        found.append("The search is not finished: trials are missing or under way.")
    if not result.chosen:
        found.append("No trial ended whole, so nothing is chosen.")
    refused = [row for row in result.rows if row.state == "refused"]
    if refused:
        found.append(
            f"{len(refused)} settings were refused and do not count, such as trial {refused[0].number}: {refused[0].detail}"
        )
    return found


def _chosen_lead(result: TuneResult) -> str:
    if len(result.chosen) > 1:
        return "The front of both accuracies. Each trial's settings are a file, chosen-0.yaml and on, for fairart train --config."
    return (
        "The best whole trial. chosen.yaml has its settings for all training images: fairart train --config "
        f"{result.folder.name}/chosen.yaml"
    )


def _settings(row: TrialRow) -> dict[str, str]:
    return {name: shown(value) for name, value in row.settings.items()}


def _state(row: TrialRow) -> str:
    return f"{row.state}: {row.detail}" if row.detail else row.state


def _figures(row: TrialRow) -> list[str]:
    shares = [f"{100 * row.figures[name]:.1f}" if name in row.figures else "" for name in FIGURES]
    return [*shares, str(row.epochs), f"{row.seconds:.1f}"]


def _leak(leak: Any) -> dict[str, Any]:
    rows = []
    for name, label in NAMES.items():
        held_out, test = 100 * leak["held_out"][name], 100 * leak["test"][name]
        rows.append(
            {
                "name": label.removesuffix(", %"),
                "held_out": f"{held_out:.1f}",
                "test": f"{test:.1f}",
                "difference": f"{test - held_out:+.1f}",
            }
        )
    lead = (
        f"The chosen trial's weights, which were not trained on the held-out images: {leak['held_out']['images']} held-out and "
        f"{leak['test']['images']} test images under PGD-10. A fall is what choosing made too good. The test images were used "
        "here once, after the choice."
    )
    return {"lead": lead, "rows": rows}


def _front(result: TuneResult, tuning: Tuning) -> Figure:
    points: dict[str, list[tuple[float, float]]] = {}
    for row in result.rows:
        if row.figures and row.state in ("whole", "pruned"):
            points.setdefault(row.state, []).append((row.figures["average"], row.figures["worst_class"]))
    chosen = [(row.figures["average"], row.figures["worst_class"]) for row in map(result.row, result.chosen)]
    return search_front(points, chosen=chosen, floor=tuning.search.floor, title="Trials on held-out images")


def _uri(figure: Figure) -> str:
    with tempfile.TemporaryDirectory() as folder:
        drawn = save_figure(figure, Path(folder) / "figure.svg").read_bytes()
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode('ascii')}"
