"""The HTML report of a grid: one page for each of its tables."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fairart.benchmark.portable import portable
from fairart.benchmark.selecting import Selected
from fairart.benchmark.state import cell_folder
from fairart.benchmark.tables.entries import Entry, network_notes
from fairart.benchmark.tables.selected import HEAD, selection_rows
from fairart.reporting.grouped import GroupedTable
from fairart.reporting.page import write_page
from fairart.reporting.run_results import Run
from fairart.runs.collect import collect

__all__ = ["page_names", "write_pages"]

LONGEST = 100
"""Letters of a table's name in the name of a file; file systems take 255 bytes."""


def write_pages(
    folder: Path,
    entries: Sequence[Entry],
    comparisons: Mapping[str, Sequence[GroupedTable]],
    selected: Sequence[Selected] = (),
) -> list[Path]:
    """Write ``report.html``, or one page for each data set and model if there are several.

    Args:
        folder: of the benchmark.
        entries: its cells; cells without an evaluation are left out.
        comparisons: data set and model -> tables of its planned comparisons.
        selected: how settings were chosen.

    Returns:
        The files.
    """
    tables: dict[str, list[Path]] = {}
    of: dict[str, list[Entry]] = {}
    chosen: dict[str, list[Selected]] = {}
    for entry in entries:
        if entry.result is not None:
            tables.setdefault(entry.cell.table_name, []).append(cell_folder(folder, entry.cell.name))
            of.setdefault(entry.cell.table_name, []).append(entry)
            chosen[entry.cell.table_name] = [one for one in selected if one.is_of(entry.cell.config)]
    names = page_names(list(tables))
    return [
        write_page(
            [_portable(run) for run in collect(cells)],
            folder / names[name],
            title=f"Benchmark: {name}",
            facts=[("network", size.removeprefix("network: ")) for size in network_notes({"": of[name]})],
            comparisons=comparisons.get(name, ()),
            selection=[HEAD, *selection_rows(chosen[name])] if chosen[name] else (),
        )
        for name, cells in tables.items()
    ]


def _portable(run: Run) -> Run:
    """A cell as the page shows it: called as its folder is, without paths of this machine."""
    return replace(run, name=Path(run.name).name, config=portable(run.config))


def page_names(tables: Sequence[str]) -> dict[str, str]:
    """Name of each table -> name of its file: ``report.html`` for a single one, else one name each.

    Args:
        tables: names, no two the same.
    """
    if len(tables) == 1:
        return {tables[0]: "report.html"}
    slugs = {name: _slug(name) for name in tables}
    counts = Counter(slugs.values())
    # The hash is of the name alone, so that a page keeps its file when other tables join the grid.
    return {
        name: f"report-{slug}.html" if slug and counts[slug] == 1 else f"report-{_hashed(name, slug)}.html"
        for name, slug in slugs.items()
    }


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST]


def _hashed(name: str, slug: str) -> str:
    # A dot never stands in a slug, so no other table's slug is the same.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{slug or 'table'}.{digest}"
