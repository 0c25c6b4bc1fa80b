"""Some rows of a grid by name, with the names that they have in the whole of it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

from fairart.benchmark.cells import Cell
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError

__all__ = ["cells_named"]


def cells_named(wanted: Sequence[str], cells: Sequence[Cell], *, where: str) -> tuple[Cell, ...]:
    """The cells that some names stand for, in the order of the grid.

    Args:
        wanted: a method, a row, or either with a seed: ``"at"``, ``"fair-tat (ema)"``, ``"at/0"``.
        cells: of the grid.
        where: its name in messages.

    Raises:
        OptionError: no such method, row or seed.
    """
    found = {cell.name for name in wanted for cell in _named(name, cells, where)}
    return tuple(cell for cell in cells if cell.name in found)


def _named(name: str, cells: Sequence[Cell], where: str) -> list[Cell]:
    whole = _called(name, cells)
    row, slash, seed = name.rpartition("/")
    if whole or not slash or not seed.isdecimal():
        if not whole:
            known = dict.fromkeys(one for cell in cells for one in (cell.method, cell.row_name))
            raise OptionError(f"{where}: there is no method or row {name!r} to run alone; {did_you_mean(name, known)}")
        return whole
    several = _named(row, cells, where)
    of_seed = [cell for cell in several if cell.config.seed == int(seed)]
    if not of_seed:
        seeds = ", ".join(str(number) for number in sorted({cell.config.seed for cell in several}))
        raise OptionError(f"{where}: {row!r} has no seed {seed}; its seeds: {seeds}")
    return of_seed


def _called(name: str, cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.row_name == name] or [cell for cell in cells if cell.method == name]
