"""The HTML report of a grid: one page for each of its tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fairart.benchmark.results import Entry
from fairart.benchmark.state import cell_folder
from fairart.reporting.page import write_page
from fairart.runs.collect import collect

__all__ = ["write_pages"]


def write_pages(folder: Path, entries: Sequence[Entry]) -> list[Path]:
    """Write ``report.html``, or one page for each data set and model where there are several.

    Args:
        folder: of the benchmark.
        entries: its cells; those without an evaluation are left out.

    Returns:
        The files.
    """
    tables: dict[str, list[Path]] = {}
    for entry in entries:
        if entry.result is not None:
            tables.setdefault(entry.cell.table_name, []).append(cell_folder(folder, entry.cell.name))
    alone = len(tables) == 1
    names = {name: "report.html" if alone else f"report-{_slug(name)}.html" for name in tables}
    return [write_page(collect(cells), folder / names[name], title=f"Benchmark: {name}") for name, cells in tables.items()]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
