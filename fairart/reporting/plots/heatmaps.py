"""Heat maps of what changed over training: classes down, epochs across."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fairart.reporting.plots.style import INK, MARK, finish, new_figure, room_for, short_names

__all__ = ["heat_map"]

FloatArray = npt.NDArray[np.float64]

NAMED_UP_TO = 30
"""Classes up to which each row has its name and its last value; above, rows are too thin to label each."""


def heat_map(
    table: FloatArray,
    epochs: Sequence[int],
    *,
    names: Sequence[str],
    title: str,
    label: str,
    digits: int,
    low: float | None,
    mark: tuple[str, float] | None,
) -> Figure:
    """Draw (K, epochs) numbers.

    Args:
        table: (K, epochs); NaN stays white.
        epochs: numbers of the epochs.
        names: K class names.
        title: of the figure.
        label: what the colours mean, with its unit.
        digits: decimals of the numbers beside the last epoch.
        low: value of the darkest colour; None for the smallest of the table.
        mark: name and value marked in the colour bar by a line, or None.
    """
    nb_classes, nb_epochs = table.shape
    named = nb_classes <= NAMED_UP_TO
    names = short_names(names)
    size = (
        room_for(names) + float(np.clip(4.0 + 0.16 * nb_epochs, 7.2, 13.6)),
        float(np.clip(1.7 + 0.27 * nb_classes, 3.2, 8.5)),
    )
    figure = new_figure(*size)
    axes = figure.subplots()
    shown = table[np.isfinite(table)]
    marked = [] if mark is None else [mark[1]]
    bottom = min([float(shown.min()), *marked]) if low is None else low
    top = max([float(shown.max()), *marked])
    # Constant budgets still need a range to draw a colour bar of.
    norm = Normalize(bottom, top) if top > bottom else Normalize(bottom - 0.05 * abs(bottom) - 1e-6, top + 0.05 * abs(top) + 1e-6)
    image = axes.imshow(
        table,
        aspect="auto",
        interpolation="nearest",
        origin="upper",
        cmap=colormaps["cividis"].with_extremes(bad="white"),
        norm=norm,
        resample=True,
    )
    # Over the whole figure: an axes' title would run into the column of last values.
    figure.suptitle(title, fontsize=12)
    axes.grid(False)
    _epoch_ticks(axes, epochs)
    _class_ticks(axes, names)
    if named:
        _last_values(axes, table, digits)
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.06)
    bar.set_label(label)
    if mark is not None:
        bar.ax.axhline(mark[1], color=MARK, linewidth=2.0)
        bar.ax.annotate(
            mark[0], (0.0, mark[1]), xycoords=("axes fraction", "data"), xytext=(-3, 0), textcoords="offset points",
            ha="right", va="center", fontsize=8,
        )  # fmt: skip
    finish(figure)
    bar.outline.set(edgecolor=INK, linewidth=0.8, visible=True)
    return figure


def _step(count: int, room: int) -> int:
    """The smallest round step that leaves at most ``room`` ticks."""
    step, factors = 1, cycle((2, 2.5, 2))  # 1, 2, 5, 10, 20, 50, ...
    while count / step > room:
        step = round(step * next(factors))
    return step


def _epoch_ticks(axes: Axes, epochs: Sequence[int]) -> None:
    step = _step(len(epochs), 20)
    places = [index for index, epoch in enumerate(epochs) if epoch % step == 0]
    axes.set_xticks(places, labels=[str(epochs[place]) for place in places])
    axes.set_xlabel("epoch (the first is 0)")


def _class_ticks(axes: Axes, names: Sequence[str]) -> None:
    places = range(0, len(names), _step(len(names), NAMED_UP_TO))
    axes.set_yticks(places, labels=[names[place] for place in places])
    axes.set_ylabel("class")


def _last_values(axes: Axes, table: FloatArray, digits: int) -> None:
    for row, value in enumerate(table[:, -1]):
        text = "-" if np.isnan(value) else f"{value:.{digits}f}"
        axes.annotate(
            text, (1.0, row), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
            ha="left", va="center", fontsize=8,
        )  # fmt: skip
    axes.annotate(
        "last", (1.0, 1.0), xycoords="axes fraction", xytext=(4, 3), textcoords="offset points", ha="left", va="bottom",
        fontsize=8,
    )  # fmt: skip
