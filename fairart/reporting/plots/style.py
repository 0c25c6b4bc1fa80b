"""How plots look, set on each figure and never in the user's settings."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

__all__ = ["DPI", "FAMILY", "INK", "MARK", "PALETTE", "finish", "new_figure", "room_for", "short_names"]

DPI = 150
INK = "#222222"
MARK = "#D55E00"
FAMILY = "DejaVu Sans"  # comes with matplotlib, so it is there on every machine

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's colours, told apart by colour-blind readers; the strongest contrasts first."""

LONGEST = 20
"""Letters of a class name that a plot shows."""

LETTER = 0.078
"""Inches that a letter of 9 points takes, the wide ones among them."""


def short_names(names: Sequence[str]) -> list[str]:
    """Class names of at most :data:`LONGEST` letters, cut in the middle; those that would be alike end in their index.

    Args:
        names: of the classes.
    """
    half = LONGEST // 2
    cut = [name if len(name) <= LONGEST else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[1 - half :]}" for name in names]
    ends = [f"\N{HORIZONTAL ELLIPSIS}{index}" for index in range(len(names))]
    return [
        short if short == name or cut.count(short) == 1 else name[: LONGEST - len(end)] + end
        for name, short, end in zip(names, cut, ends, strict=True)
    ]


def room_for(names: Sequence[str]) -> float:
    """Inches that the longest name takes, written along an axis that it stands across.

    Args:
        names: as they are shown.
    """
    return LETTER * max(map(len, names))


class NotebookFigure(Figure):
    """A figure that shows itself in notebooks, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        FigureCanvasAgg(self).print_png(drawn, metadata={"Software": None})
        return drawn.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that lays itself out.

    Args:
        width: inches.
        height: inches.
    """
    # Whole dots, and a thousandth more: matplotlib cuts off the rest, and 1092 dots / 150 * 150 may be 1091.99.
    across, up = ((round(inches * DPI) + 0.001) / DPI for inches in (width, height))
    figure = NotebookFigure(figsize=(across, up), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.02)
    return figure


def finish(figure: Figure) -> None:
    """Fix what matplotlib would take from the user's settings: colours, fonts, ticks.

    Args:
        figure: with all its axes and text in place.
    """
    figure.set_dpi(DPI)
    figure.set_facecolor("white")
    for axes in figure.axes:
        axes.set_facecolor("white")
        axes.tick_params(axis="both", which="both", colors=INK, labelsize=9, length=3, width=0.8, direction="out", pad=3)
        axes.xaxis.label.set_fontsize(10)
        axes.yaxis.label.set_fontsize(10)
        for name, spine in axes.spines.items():
            spine.set(color=INK, linewidth=0.8, visible=name in ("left", "bottom"))
    for text in figure.findobj(Text):
        text.set(color=INK, fontfamily=FAMILY, usetex=False)
    for patch in figure.findobj(Patch):
        patch.set_antialiased(True)
