"""Accuracy of each class, methods side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fairart.reporting.plots.style import INK, PALETTE, finish, new_figure, room_for, short_names
from fairart.reporting.tables import Column, Evaluation, class_table

__all__ = ["accuracy_per_class"]

HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oo", "----", "++")
"""One more than there are colours, so that colour and hatch together repeat after 56 methods only."""

OUTLINE = 2.0
"""Points of the line around the bar of a method's lowest class."""

LOWEST = "lowest class of a method"


def accuracy_per_class(
    results: Mapping[str, Sequence[Evaluation]],
    *,
    attacks: Sequence[str] | None = None,
    titles: Mapping[str, str] | None = None,
    title: str = "Test accuracy per class",
) -> Figure:
    """Grouped bars: a panel for each attack, a group for each class, a bar for each method.

    Bars are means over seeds, whiskers the sample standard deviation. Methods differ by colour and by hatch, for prints in black
    and white. Each method's lowest class has a thick outline, and its value is written above it; the legend holds the accuracy
    over all samples.

    Args:
        results: method -> one evaluation a seed, all on the same test samples.
        attacks: labels of the panels, in order; all that the first evaluation holds by default.
        titles: attack -> title of its panel; the label where there is none.
        title: of the figure.

    Returns:
        The figure, an axes for each panel.

    Raises:
        ValueError: as for :func:`~fairart.reporting.tables.class_table`.
    """
    table = class_table(results, attacks=attacks)
    labels = list(dict.fromkeys(column.attack for column in table.columns))
    nb_bars = len(table.classes) * len(results)
    # A bar needs room for its whisker, a hundred classes a wide page; beyond that the reader zooms.
    width = float(np.clip(2.5 + 0.32 * nb_bars, 8.0, 26.0))
    legend = math.ceil((len(results) + 1) / _legend_columns([f"{name}: 00.0 ± 0.0 % overall" for name in results], width))
    names = short_names(table.classes)
    # Names beyond a few letters make the figure higher, not the panels lower.
    room = max(0.0, room_for(names) - 0.5) if _crowded(names, width) else 0.0
    figure = new_figure(width, 0.7 + (3.1 + 0.2 * legend + room) * len(labels))
    panels = figure.subplots(len(labels), 1, squeeze=False)[:, 0]
    for axes, label in zip(panels, labels, strict=True):
        columns = [column for column in table.columns if column.attack == label]
        rows = _panel(axes, columns, names, figure.get_figwidth())
        # The padding keeps lines free between title and panel for the legend.
        axes.set_title((titles or {}).get(label, label), loc="left", fontsize=11, pad=8 + 14 * rows)
    panels[-1].set_xlabel("class")
    counts = sorted({len(runs) for runs in results.values()})
    seeds = "one seed: no spread" if counts[-1] == 1 else f"{' to '.join(map(str, counts))} seeds: mean ± sample std"
    figure.suptitle(f"{title} ({seeds})", fontsize=13)
    finish(figure)
    return figure


def _legend_columns(labels: Sequence[str], inches: float) -> int:
    """Entries of the legend that fit beside each other in a figure of this width."""
    entry = 0.55 + 0.068 * max(len(LOWEST), *map(len, labels))  # handle and gap; a letter of 9 points
    return max(1, min(len(labels) + 1, int((inches - 0.8) / entry)))


def _crowded(names: Sequence[str], inches: float) -> bool:
    """Whether names side by side would run into each other in a figure of this width."""
    return (room_for(names) + 0.08) * len(names) > inches - 1.0


def _panel(axes: Axes, columns: Sequence[Column], classes: Sequence[str], inches: float) -> int:
    """Draw one attack in a figure of this width, and give the rows of its legend."""
    nb_classes, width = len(classes), 0.84 / len(columns)
    handles: list[Patch] = []
    marked: list[tuple[float, float]] = []
    for index, (column, colour, hatch) in enumerate(zip(columns, cycle(PALETTE), cycle(HATCHES))):
        cells = column.cells[:nb_classes]
        means = 100 * np.array([cell.mean for cell in cells])
        spread = 100 * np.array([cell.std for cell in cells])
        places = np.arange(nb_classes) + (index - (len(columns) - 1) / 2) * width
        look: dict[str, Any] = {"facecolor": colour, "edgecolor": INK, "hatch": hatch, "linewidth": 0.4}
        bars = axes.bar(places, means, width, zorder=2, label=column.name, **look)
        seen = ~np.isnan(spread)
        axes.errorbar(places[seen], means[seen], yerr=spread[seen], fmt="none", ecolor=INK, elinewidth=1.0, capsize=2.0, zorder=3)
        if column.worst is not None:
            top = means[column.worst] + float(np.nan_to_num(spread[column.worst]))
            _mark_worst(axes, bars.patches[column.worst], top, marked, inches / nb_classes)
        overall = column.text(nb_classes)
        handles.append(Patch(label=f"{column.name}: {overall} % overall", **look))
    handles.append(Patch(facecolor="white", edgecolor=INK, linewidth=OUTLINE, label=LOWEST))
    axes.set_ylabel("accuracy in %")
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20), labels=[str(tick) for tick in range(0, 101, 20)])
    axes.set_xlim(-0.6, nb_classes - 0.4)
    axes.set_xticks(range(nb_classes), labels=list(classes), rotation=90 if _crowded(classes, inches) else 0)
    axes.grid(False)
    axes.grid(True, axis="y", color="#d9d9d9", linewidth=0.6, linestyle="-", alpha=1.0, zorder=0)
    axes.set_axisbelow(True)
    across = _legend_columns([str(handle.get_label()) for handle in handles[:-1]], inches)
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=across, fontsize=9, frameon=False,
        borderaxespad=0.2, handlelength=1.4, columnspacing=1.4, fancybox=False, shadow=False,
    )  # fmt: skip
    return math.ceil(len(handles) / across)


def _mark_worst(axes: Axes, bar: Any, top: float, marked: list[tuple[float, float]], inches: float) -> None:
    bar.set(linewidth=OUTLINE, zorder=2.5)  # over its neighbours, which would cover half of the line
    place = bar.get_x() + bar.get_width() / 2
    # Another method's mark right beside this one, as in a narrow group: this one moves above it.
    crowd = sum(abs(place - x) * inches < 0.35 and abs(top - y) < 10 for x, y in marked)
    marked.append((place, top))
    axes.annotate(
        f"{bar.get_height():.0f}",
        (place, top),
        xytext=(0, 2 + 15 * crowd),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=9,
        fontweight="bold",
        zorder=4,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
    )
