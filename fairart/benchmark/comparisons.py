"""The planned comparisons of a grid: which method is tested against which, named before anything runs. Imports nothing heavy.

Tests are corrected for their number, so each comparison that nobody needs weakens the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairart.benchmark.cells import Cell
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError

__all__ = ["BASELINES", "Planned", "common_seeds", "in_table", "planned_comparisons", "power_warning", "power_warnings"]

BASELINES = ("at", "trades")
"""Methods that every other one is compared with if the grid file names no comparisons."""

DEAR = 2.0
"""From this factor on, several comparisons need so much larger a difference than a single one that a warning is due."""

EXAMPLE = "[[fair-tat, at], [fair-tat, trades]]"


@dataclass(frozen=True)
class Planned:
    """One comparison.

    Args:
        method: a row of the tables.
        baseline: the row that it is compared with.
    """

    method: str
    baseline: str

    def __str__(self) -> str:
        """For rows of tables and messages."""
        return f"{self.method} against {self.baseline}"


def planned_comparisons(given: Any, cells: Sequence[Cell], *, where: str) -> tuple[Planned, ...]:
    """Read the part ``comparisons`` of a grid file.

    A name stands for a row, or for all rows of a method. Two rows are compared as they are. Rows of a method are compared where
    the settings that vary on both sides are the same: of ``[fair-tat, at]``, ``fair-tat (ema)`` with ``at (ema)``.

    Args:
        given: list of [method, baseline] pairs; an empty one for no comparison. None for every method against those of
            :data:`BASELINES` that are in the grid.
        cells: of the grid.
        where: name of the source in error messages.

    Raises:
        OptionError: another form, an unknown name, a pair twice or of one method, or rows that no table has together.
    """
    if given is None:
        return tuple(dict.fromkeys(_by_default(cells)))
    where = f"{where}: comparisons"
    if not isinstance(given, list):
        raise OptionError(f"{where} expects pairs of a method and a baseline, such as {EXAMPLE}, got {given!r}")
    found: list[Planned] = []
    for entry in given:
        for planned in _of_entry(entry, cells, where):
            if planned in found or Planned(planned.baseline, planned.method) in found:
                raise OptionError(f"{where}: {planned.method!r} and {planned.baseline!r} are compared twice")
            found.append(planned)
    return tuple(found)


def _by_default(cells: Sequence[Cell]) -> Iterator[Planned]:
    methods = list(dict.fromkeys(cell.method for cell in cells))
    bases = [name for trainer in BASELINES if (name := _base(trainer, cells)) is not None]
    for method in methods:
        for place, base in enumerate(bases):
            # The baselines meet once: the later one is compared with the earlier one.
            if method != base and method not in bases[:place]:
                yield from _pairs(_rows_of(method, cells), _rows_of(base, cells))


def _base(trainer: str, cells: Sequence[Cell]) -> str | None:
    """The method that is labelled so, or else the only one with this trainer."""
    labels = list(dict.fromkeys(cell.method for cell in cells if cell.config.trainer == trainer))
    return trainer if trainer in labels else labels[0] if len(labels) == 1 else None


def _of_entry(entry: Any, cells: Sequence[Cell], where: str) -> list[Planned]:
    if not isinstance(entry, list | tuple) or len(entry) != 2 or not all(isinstance(name, str) for name in entry):
        raise OptionError(f"{where}: expected a pair such as [fair-tat, at], got {entry!r}")
    method, baseline = entry
    first, second = (_named(name, cells, where) for name in entry)
    two_rows = all(cell.row_name == name for name, found in zip(entry, (first, second), strict=True) for cell in found)
    pairs = list(dict.fromkeys(_pairs(first, second, alike=not two_rows)))
    if method == baseline or any(pair.method == pair.baseline for pair in pairs):
        raise OptionError(f"{where}: {method!r} cannot be compared with itself")
    if not pairs:
        raise OptionError(f"{where}: no row of {method!r} has the data set, model and settings of a row of {baseline!r}")
    return pairs


def _named(name: str, cells: Sequence[Cell], where: str) -> list[Cell]:
    found = [cell for cell in cells if cell.row_name == name] or _rows_of(name, cells)
    if not found:
        names = dict.fromkeys(name for cell in cells for name in (cell.method, cell.row_name))
        raise OptionError(f"{where}: there is no method or row {name!r}; {did_you_mean(name, names)}")
    return found


def _rows_of(method: str, cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.method == method]


def _pairs(first: Iterable[Cell], second: Sequence[Cell], *, alike: bool = True) -> Iterator[Planned]:
    """Rows that stand in one table and, if asked for, agree on the settings that vary on both sides."""
    for one in first:
        for other in second:
            shared = one.row.keys() & other.row.keys()
            same = not alike or all(one.row[name] == other.row[name] for name in shared)
            if one.table_name == other.table_name and same:
                yield Planned(one.row_name, other.row_name)


def in_table(planned: Sequence[Planned], rows: Iterable[str]) -> list[Planned]:
    """The comparisons whose rows both stand in a table: the family that p-values are corrected for.

    Args:
        planned: of the grid.
        rows: of the table.
    """
    there = set(rows)
    return [pair for pair in planned if {pair.method, pair.baseline} <= there]


def common_seeds(first: Iterable[int], second: Iterable[int]) -> list[int]:
    """Seeds that two rows share, in order: only these can be paired."""
    return sorted(set(first) & set(second))


def power_warnings(planned: Sequence[Planned], cells: Sequence[Cell]) -> list[str]:
    """A line for each table whose seeds are too few for its comparisons; to be read before the hours are spent.

    Args:
        planned: the comparisons.
        cells: of the grid.
    """
    tables: dict[str, dict[str, set[int]]] = {}
    for cell in cells:
        tables.setdefault(cell.table_name, {}).setdefault(cell.row_name, set()).add(cell.config.seed)
    lines = []
    for table, rows in tables.items():
        text = power_warning(in_table(planned, rows), rows)
        lines += [f"{table}: {text}"] if text else []
    return lines


def power_warning(pairs: Sequence[Planned], seeds: Mapping[str, Iterable[int]]) -> str:
    """What is wrong with this number of seeds for the comparisons of one table; an empty text if nothing is.

    Args:
        pairs: of the table.
        seeds: of each of its rows.
    """
    counts = [len(common_seeds(seeds[pair.method], seeds[pair.baseline])) for pair in pairs]
    fewest = min((count for count in counts if count > 1), default=0)
    if not fewest:
        return ""
    # Not at the top: it loads numpy.
    from fairart.statistics.over_seeds import price_of_comparisons

    price = price_of_comparisons(fewest, len(pairs))
    if price < DEAR:
        return ""
    return (
        f"{fewest} seeds cannot carry {len(pairs)} comparisons: to be found, a difference must be {price:.1f} times as large as "
        "in a single one; plan fewer under 'comparisons', or add seeds"
    )
