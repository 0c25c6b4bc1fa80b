"""Writing figures: PNG, SVG or PDF, the same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fairart.files import replaced
from fairart.reporting.plots.style import DPI

__all__ = ["FORMATS", "save_figure", "save_png"]

FORMATS = (".png", ".svg", ".pdf")


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure in the format that the ending of the file names, all of it or nothing.

    Args:
        figure: any figure of matplotlib.
        path: file that ends in ``.png`` (150 dots an inch), ``.svg`` or ``.pdf``; its folder must exist.

    Returns:
        The path.

    Raises:
        ValueError: another ending.
    """
    final = Path(path)
    ending = final.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"a plot is saved as {', '.join(FORMATS)}, got {final.name!r}")
    figure.set_dpi(DPI)
    # Straight from the canvas: savefig would ask the user's settings. Programs and dates stay out of the file.
    with replaced(final) as file, matplotlib.rc_context({"svg.hashsalt": "fairart", "svg.fonttype": "path"}):
        if ending == ".png":
            FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
        elif ending == ".svg":
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
        else:
            FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return final


def save_png(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG at 150 dots an inch, all of it or nothing, whatever the file is called.

    Args:
        figure: any figure of matplotlib.
        path: file; its folder must exist.

    Returns:
        The path.
    """
    final = Path(path)
    figure.set_dpi(DPI)
    with replaced(final) as file:
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return final
