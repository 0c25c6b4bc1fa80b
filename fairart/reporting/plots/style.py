"""How plots look, set on each figure and never in the user's settings."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

__all__ = ["DPI", "FAMILY", "INK", "MARK", "PALETTE", "finish", "new_figure"]

DPI = 150
INK = "#222222"
MARK = "#D55E00"
FAMILY = "DejaVu Sans"  # comes with matplotlib, so it is there on every machine

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's colours, told apart by colour-blind readers; the strongest contrasts first."""


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
    figure = NotebookFigure(figsize=(width, height), dpi=DPI)
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
