"""What a grid has in a folder and what is left to do. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fairart.benchmark.file import Grid
from fairart.benchmark.selecting import choices_of, selected_so_far, selection_folder
from fairart.benchmark.state import State, cell_folder, state_of

__all__ = ["DryRun", "SelectionState", "look"]


@dataclass(frozen=True, kw_only=True)
class SelectionState:
    """How far a selection is.

    Args:
        name: of its folder.
        method: label of the method.
        state: ``"made"``, ``"begun"`` or ``"new"``.
        ended: trials that are over.
        trials: of the search.
    """

    name: str
    method: str
    state: Literal["made", "begun", "new"]
    ended: int
    trials: int

    @property
    def left(self) -> int:
        """Trials still to train, at most: a search with a limit of epochs may need fewer."""
        return 0 if self.state == "made" else max(0, self.trials - self.ended)


@dataclass(frozen=True, eq=False)
class DryRun(Mapping[str, State]):
    """Name of each cell -> its state in the folder, and what is left.

    Args:
        cells: name -> state.
        grid: with the settings that were chosen so far.
        selections: how far each is, in the order in which they are made.
    """

    cells: Mapping[str, State]
    grid: Grid
    selections: tuple[SelectionState, ...] = field(default=())

    def __getitem__(self, name: str) -> State:
        return self.cells[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def left(self) -> dict[str, int]:
        """``trainings``, of which ``trials`` are of selections, and ``evaluations`` still to do; failed cells stay failed."""
        states = list(self.cells.values())
        trials = sum(one.left for one in self.selections)
        cells = sum(state in ("new", "interrupted", "no weights") for state in states)
        return {"trainings": trials + cells, "trials": trials, "evaluations": cells + states.count("trained")}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the selections, and what is left."""
        return {"selections": [dict(vars(one)) for one in self.selections], "left": self.left}


def look(grid: Grid, folder: Path) -> DryRun:
    """Read what is in a folder; nothing there is changed.

    Args:
        grid: the cells.
        folder: of a benchmark; it need not exist.
    """
    selections: tuple[SelectionState, ...] = ()
    if grid.selections:
        made = selected_so_far(grid, folder)
        selections = _selections(grid, folder, {one.selection.name for one in made})
        grid = grid.decided(choices_of(made))
    plan = grid.plan.to_dict()
    cells = {cell.name: state_of(cell_folder(folder, cell.name), cell.config.to_dict(), plan) for cell in grid.cells}
    return DryRun(cells, grid, selections)


def _selections(grid: Grid, folder: Path, made: set[str]) -> tuple[SelectionState, ...]:
    from fairart.tuning.progress import trials_so_far

    found = []
    for one in grid.selections:
        trials = one.tuning.search.trials
        begun, ended = (trials, trials) if one.name in made else trials_so_far(selection_folder(folder, one.name))
        state: Literal["made", "begun", "new"] = "made" if one.name in made else "begun" if begun else "new"
        found.append(SelectionState(name=one.name, method=one.method, state=state, ended=ended, trials=trials))
    return tuple(found)
