"""The picture as tables of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fairart.reporting.grid import Grid, spread_text
from fairart.reporting.kinds.by_kind import ByKind, MethodKinds
from fairart.reporting.kinds.measures import Kind
from fairart.reporting.tables import Spread

__all__ = ["NOTES", "agreement_text", "head", "kind_grids", "kind_notes", "number_text"]

NOTES = (
    "kinds of robustness: classes stand from the worst mean rank down; *: one of the worst three of its column "
    "(of the worst third where that is fewer)",
    "rank correlation of kinds: Spearman's rho [95 % interval, bootstrap over seeds and test samples of each class], mean over "
    "methods; a test sample drawn again adds noise, so intervals reach lower than they should rather than higher",
)


def head(kind: Kind) -> str:
    """The head of a column: its name, with a word where lower is better or it is no share."""
    return kind.name + (", error" if not kind.higher_is_better else "") + ("" if kind.share else ", radius")


def number_text(kind: Kind, spread: Spread) -> str:
    """A share in per cent, or a radius with three decimals; with the standard deviation if there are several seeds."""
    if kind.share or math.isnan(spread.mean):
        return spread_text(spread)
    return f"{spread.mean:.3f}" + ("" if math.isnan(spread.std) else f" ± {spread.std:.3f}")


def agreement_text(value: float, ends: Sequence[float]) -> str:
    """A correlation with its interval; ``-`` where there is none."""
    return "-" if math.isnan(value) else f"{value:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"


def kind_grids(found: ByKind | None, names: Sequence[str]) -> list[Grid]:
    """A table of classes for each method, and the rank correlations between kinds.

    Args:
        found: the picture, or None for no table.
        names: K class names.
    """
    if found is None:
        return []
    return [*(_classes(found, label, one, names) for label, one in found.methods.items()), _agreement(found)]


def kind_notes(found: ByKind | None) -> list[str]:
    """What the numbers are; empty without a picture."""
    if found is None:
        return []
    return [*NOTES, *(f"{head(kind)}: {kind.about}" for kind in found.kinds if kind.about[:8] != "accuracy")]


def _classes(found: ByKind, label: str, one: MethodKinds, names: Sequence[str]) -> Grid:
    marked = one.marked
    rows = []
    for index in found.order:
        cells = [
            ("*" if marked[row, index] else "") + number_text(kind, one.spreads[row][index])
            for row, kind in enumerate(found.kinds)
        ]
        rows.append((names[index], *cells, str(int(marked[:, index].sum()))))
    return Grid(
        f"which classes every kind of robustness leaves behind: {label}",
        ("class", *map(head, found.kinds), "worst in"),
        (tuple(rows),),
        1,
    )


def _agreement(found: ByKind) -> Grid:
    rho, ends = found.agreement.spearman, found.agreement.spearman_intervals
    rows = [
        (
            kind.name,
            *(agreement_text(rho[row, column], ends[row, column]) if column < row else "" for column in range(len(rho) - 1)),
        )
        for row, kind in enumerate(found.kinds)
        if row
    ]
    return Grid(
        "rank correlation of the classes between kinds", ("", *(kind.name for kind in found.kinds[:-1])), (tuple(rows),), 1
    )
