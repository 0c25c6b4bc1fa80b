"""The trials of a search as CSV and Markdown."""

from __future__ import annotations

import csv
import io
from typing import Any

from fairart.tuning.file import Tuning
from fairart.tuning.result import FIGURES, TrialRow, TuneResult

__all__ = ["setting_names", "shown", "to_csv", "to_markdown"]


def setting_names(result: TuneResult) -> list[str]:
    """Every setting that some trial has, in the order they come."""
    return list(dict.fromkeys(name for row in result.rows for name in row.settings))


def shown(value: Any) -> str:
    """A value in a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def to_csv(result: TuneResult) -> str:
    """A line for each trial; accuracies as shares in [0, 1].

    Args:
        result: of the search.
    """
    names, text = setting_names(result), io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "state", "chosen", *FIGURES, "epochs", "seconds", *names, "detail"])
    for row in result.rows:
        figures = [row.figures.get(name, "") for name in FIGURES]
        settings = [row.settings.get(name, "") for name in names]
        chosen = row.number in result.chosen
        table.writerow([row.number, row.state, int(chosen), *figures, row.epochs, row.seconds, *settings, row.detail])
    return text.getvalue()


def to_markdown(result: TuneResult, tuning: Tuning) -> str:
    """The table of trials, best first, with what was searched and the check on test images.

    Args:
        result: of the search.
        tuning: the search.
    """
    names, search = setting_names(result), tuning.search
    head = ["trial", "state", "worst class, %", "average, %", "clean worst class, %", "clean, %", "epochs", *names]
    lines = [
        f"# Search: {tuning.source}",
        "",
        f"{len(result.rows)} trials, objective {search.objective}, judged by PGD-10 on {search.held_out:g} of the training "
        f"images of each class, mean of the last {search.smooth} epochs, seed {search.seed}. Bold: chosen.",
        "",
        "| " + " | ".join(head) + " |",
        "| ---: | --- |" + " ---: |" * 5 + " --- |" * len(names),
    ]
    for row in sorted(result.rows, key=lambda row: (-row.figures.get("worst_class", -1.0), row.number)):
        lines.append("| " + " | ".join(_cells(row, names, bold=row.number in result.chosen)) + " |")
    if result.leak is not None:
        lines += ["", *leak_lines(result.leak)]
    return "\n".join(lines) + "\n"


def _cells(row: TrialRow, names: list[str], *, bold: bool) -> list[str]:
    number = f"**{row.number}**" if bold else str(row.number)
    figures = [f"{100 * row.figures[name]:.1f}" if name in row.figures else "" for name in FIGURES]
    return [number, row.state, *figures, str(row.epochs), *(shown(row.settings.get(name, "")) for name in names)]


def leak_lines(leak: Any) -> list[str]:
    """The chosen trial's weights on held-out and on test images, in words."""
    held_out, test = leak["held_out"], leak["test"]
    return [
        f"Check of the chosen trial's weights under PGD-10, done once: worst class {100 * held_out['worst_class']:.1f} % on "
        f"{held_out['images']} held-out images and {100 * test['worst_class']:.1f} % on {test['images']} test images, average "
        f"{100 * held_out['average']:.1f} % and {100 * test['average']:.1f} %."
    ]
