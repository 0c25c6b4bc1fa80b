"""What the selections of a grid tried, chose and cost, as Markdown and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairart.benchmark.selecting import Selected

__all__ = ["HEAD", "selection_markdown", "selection_rows"]

HEAD = ("method", "trials", "epochs", "seconds", "worst class held out, %", "average held out, %", "chosen")


def selection_rows(selected: Sequence[Selected]) -> list[list[str]]:
    """A row for each selection; see :data:`HEAD`.

    Args:
        selected: the selections.
    """
    return [
        [
            one.selection.method + _of(one.selection.fixed),
            ", ".join(f"{count} {state}" for state, count in one.states.items()),
            str(one.epochs),
            f"{one.seconds:.0f}",
            f"{100 * one.figures['worst_class']:.1f}",
            f"{100 * one.figures['average']:.1f}",
            _of(one.settings).strip(" ()"),
        ]
        for one in selected
    ]


def _of(values: Any) -> str:
    said = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return f" ({said})" if said else ""


def selection_markdown(selected: Sequence[Selected]) -> str:
    """The section of ``results.md``; empty without selections.

    Args:
        selected: the selections.
    """
    if not selected:
        return ""
    search = selected[0].selection.tuning.search
    lines = [
        "## Settings chosen",
        "",
        f"By {search.trials} trials a method (objective {search.objective}), each judged by PGD-10 on {search.held_out:g} of the "
        f"training images of each class, seed {search.seed}; the test images were not used. The cells above are trained anew on "
        "all training images.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "| --- | --- |" + " ---: |" * 4 + " --- |",
        *("| " + " | ".join(row) + " |" for row in selection_rows(selected)),
        "",
    ]
    return "\n".join(lines)
