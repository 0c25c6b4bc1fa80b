"""One picture: which classes every kind of robustness leaves behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fairart.reporting.kinds import ByKind, Kind, MethodKinds
from fairart.reporting.kinds.text import head
from fairart.reporting.plots.style import INK, finish, new_figure, room_for, short_names

__all__ = ["kinds_of_robustness"]

SHOWN = 30
"""Classes that are drawn; of more, those of the worst mean ranks."""

CELL = (0.74, 0.27)
"""Inches of a cell."""

EXPLAINED = (
    "Numbers in per cent, radii excepted. Darker: a worse rank in its column; outlined and bold: the worst three "
    "(the worst third if fewer). Classes from the worst mean rank down."
)


def kinds_of_robustness(
    found: ByKind | None, names: Sequence[str], *, title: str = "Which classes every kind of robustness leaves behind"
) -> Figure:
    """A panel of classes by kinds for each method, and one of Spearman's rank correlations between kinds.

    Colours are ranks within a column, light for the best class and dark for the worst. The correlations are means over
    methods, with 95 % intervals by bootstrap over seeds and test samples below.

    Args:
        found: the picture of a comparison, ``compare_runs(runs).by_kind``.
        names: K class names.
        title: of the figure.

    Raises:
        ValueError: no picture, since there are fewer than three kinds of robustness.
    """
    if found is None:
        raise ValueError(
            "it needs at least three kinds of robustness, such as clean, an attack and a certificate: see 'fairart evaluate'"
        )
    order = found.order[:SHOWN]
    shown = short_names(names)
    heads = [_wrapped(head(kind)) for kind in found.kinds]
    lines = max(text.count("\n") + 1 for text in heads)
    left, panels = room_for(shown) + 0.3, len(found.methods)
    across = 1 if panels == 1 else 2
    width = across * (left + CELL[0] * (len(heads) + 1)) + 0.6
    rows = -(-panels // across)
    heights = [CELL[1] * len(order) + 0.16 * lines + 0.45] * rows + [0.42 * len(heads) + 0.16 * lines + 0.7]
    figure = new_figure(max(width, 8.0), sum(heights) + 1.0)
    grid = figure.add_gridspec(rows + 1, across, height_ratios=heights)
    for place, (label, one) in enumerate(found.methods.items()):
        axes = figure.add_subplot(grid[place // across, place % across])
        _panel(axes, found.kinds, one, order)
        _ticks(axes, [*heads, "worst\nin"], [shown[index] for index in order])
        seeds = len(one.of_seeds)
        axes.set_title(label if seeds == 1 else f"{label}, mean of {seeds} seeds", loc="left", fontsize=11)
    axes = figure.add_subplot(grid[rows, :])
    _correlations(axes, found)
    _ticks(axes, [_wrapped(kind.name) for kind in found.kinds[:-1]], [kind.name for kind in found.kinds[1:]])
    over = f", mean over {panels} methods" if panels > 1 else ""
    axes.set_title(f"Spearman's rank correlation of the classes between kinds{over} [95 % interval]", loc="left", fontsize=11)
    figure.suptitle(title, fontsize=13)
    few = "" if len(order) == found.nb_classes else f" The {SHOWN} of {found.nb_classes} classes with the worst mean ranks."
    figure.supxlabel(EXPLAINED + few, fontsize=9, wrap=True)
    finish(figure)
    for each in figure.axes:
        each.tick_params(length=0)
        for spine in each.spines.values():
            spine.set_visible(False)
        for text in each.texts:
            # finish() sets one ink; dark cells need a light one.
            text.set_color("white" if text.get_gid() == "light" else INK)
    return figure


def _panel(axes: Axes, kinds: Sequence[Kind], one: MethodKinds, order: Sequence[int]) -> None:
    ranks, marked = one.ranks[:, order].T, one.marked[:, order].T
    best = np.nanmax(one.ranks, axis=1, initial=1.0)
    # 0 for the best class of a column, 1 for the worst; a column of equal classes is light.
    shade = (best - ranks) / np.maximum(best - 1, 1)
    _shaded(axes, np.column_stack([shade, np.full(len(order), np.nan)]))
    for down, index in enumerate(order):
        for across, kind in enumerate(kinds):
            mean = one.spreads[across][index].mean
            text = "-" if math.isnan(mean) else f"{100 * mean:.1f}" if kind.share else f"{mean:.2f}"
            _cell(axes, across, down, text, dark=shade[down, across] > 0.55, bold=bool(marked[down, across]))
            if marked[down, across]:
                axes.add_patch(Rectangle((across - 0.47, down - 0.45), 0.94, 0.9, fill=False, edgecolor="#D55E00", linewidth=1.8))
        _cell(axes, len(kinds), down, str(int(one.marked[:, index].sum())), dark=False, bold=False)


def _correlations(axes: Axes, found: ByKind) -> None:
    rho, ends = found.agreement.spearman, found.agreement.spearman_intervals
    lower = np.where(np.tri(len(rho), k=-1, dtype=bool), rho, np.nan)[1:, :-1]
    _shaded(axes, np.maximum(lower, 0.0), high=1.25)
    for down, across in zip(*np.nonzero(np.tri(len(rho) - 1, dtype=bool)), strict=True):
        value, (low, high) = lower[down, across], ends[down + 1, across]
        text = "-" if math.isnan(value) else f"{value:.2f}\n[{low:.2f}, {high:.2f}]"
        _cell(axes, int(across), int(down), text, dark=value > 0.7, bold=False)


def _shaded(axes: Axes, table: npt.NDArray[np.float64], *, high: float = 1.1) -> None:
    # Reversed cividis: told apart by colour-blind readers, and in black and white.
    colours = colormaps["cividis_r"].with_extremes(bad="white")
    axes.imshow(table, aspect="auto", interpolation="nearest", cmap=colours, vmin=-0.15, vmax=high, resample=True)
    axes.grid(False)


def _cell(axes: Axes, across: int, down: int, text: str, *, dark: bool, bold: bool) -> None:
    made = axes.text(across, down, text, ha="center", va="center", fontsize=8, fontweight="bold" if bold else "normal")
    made.set_gid("light" if dark else None)


def _ticks(axes: Axes, heads: Sequence[str], names: Sequence[str]) -> None:
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(heads)), labels=heads)
    axes.set_yticks(range(len(names)), labels=names)


def _wrapped(text: str) -> str:
    """Words on lines of their own, so that heads are no wider than a cell; a long word is cut."""
    lines = [word if len(word) <= 12 else word[:11] + "\N{HORIZONTAL ELLIPSIS}" for word in text.replace(",", "").split()]
    return "\n".join(lines[:5])
