"""Making the selections of a grid, and what they found."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fairart.benchmark.file import Grid
from fairart.benchmark.portable import portable, portable_json
from fairart.benchmark.selection import Selection
from fairart.files import write_bytes
from fairart.runs.config import RunConfig
from fairart.runs.ray_connection import RayOptions

__all__ = [
    "TRIALS",
    "Selected",
    "choices_of",
    "read_selected",
    "select",
    "selected_so_far",
    "selection_folder",
    "settings_path",
    "take_over",
]

FOLDER, TRIALS = "selection", "trials.json"


@dataclass(frozen=True, kw_only=True)
class Selected:
    """A selection that was made.

    Args:
        selection: what was searched.
        settings: field -> value, what it chose.
        number: of the chosen trial.
        figures: its accuracies on held-out images in [0, 1].
        states: state -> number of trials.
        epochs: that all trials trained.
        seconds: that their epochs took.
    """

    selection: Selection
    settings: Mapping[str, Any]
    number: int
    figures: Mapping[str, float]
    states: Mapping[str, int]
    epochs: int
    seconds: float

    def is_of(self, config: RunConfig) -> bool:
        """Whether it belongs to the data set and model of a run."""
        base, declared = self.selection.tuning.base, RunConfig.declared()
        return all(base.get(name, declared[name].default) == getattr(config, name) for name in ("dataset", "model"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "method": self.selection.method,
            "of": dict(self.selection.fixed),
            "search": self.selection.tuning.to_dict(),
            "trials": dict(self.states),
            "epochs": self.epochs,
            "seconds": self.seconds,
            "chosen_trial": self.number,
            "settings": dict(self.settings),
            "held_out": dict(self.figures),
        }


def select(grid: Grid, folder: Path, *, workers: int | Literal["ray"], ray: RayOptions, verbose: bool) -> list[Selected]:
    """Make the selections of a grid that are not made yet, one after the other, each with all workers.

    Args:
        grid: with selections.
        folder: of the benchmark.
        workers: as for a search.
        ray: the cluster.
        verbose: a line for each trial on standard error.

    Raises:
        OptionError: a search that cannot run.
        RuntimeError: no trial of a method ended whole, or a worker died.
    """
    from fairart.tuning.check import check_tuning
    from fairart.tuning.running import run_tuning

    # All of them before the first trial: what is wrong with the last method is said now.
    for selection in grid.selections:
        check_tuning(selection.tuning)
    made = []
    for place, selection in enumerate(grid.selections, start=1):
        found = read_selected(selection, folder)
        if found is None:
            if verbose:
                trials = selection.tuning.search.trials
                print(f"selection {place}/{len(grid.selections)}, {selection.name}: {trials} trials", file=sys.stderr, flush=True)
            place_of = selection_folder(folder, selection.name)
            run_tuning(selection.tuning, place_of, workers=workers, ray=ray, check_leak=False, verbose=verbose)
            found = read_selected(selection, folder)
        if found is None:
            raise RuntimeError(f"selection of {selection.name}: no trial ended whole, so there are no settings to train with")
        made.append(found)
    return made


def selected_so_far(grid: Grid, folder: Path) -> list[Selected]:
    """Those of a grid's selections that are made.

    Args:
        grid: with selections.
        folder: of the benchmark; it need not exist.
    """
    found = [read_selected(selection, folder) for selection in grid.selections]
    return [one for one in found if one is not None]


def choices_of(selected: Sequence[Selected]) -> dict[str, Mapping[str, Any]]:
    """Name of each selection -> its settings, as :meth:`Grid.decided` takes them."""
    return {one.selection.name: one.settings for one in selected}


def selection_folder(folder: Path, name: str) -> Path:
    """Path of a selection in the folder of a benchmark."""
    return folder / FOLDER / name


def read_selected(selection: Selection, folder: Path) -> Selected | None:
    """What a finished search of exactly this selection found; its study and its trials' runs need not be there.

    Args:
        selection: what is searched.
        folder: of the benchmark; it need not exist.

    Returns:
        None if the search is not finished, or was another one, or its files are missing or damaged: it is then made again.
    """
    place = selection_folder(folder, selection.name)
    try:
        found = json.loads((place / TRIALS).read_text(encoding="utf-8"))
        if not found["finished"] or not found["chosen"] or not _is_of(found["search"], selection):
            return None
        number = found["chosen"][0]
        settings = json.loads(settings_path(place, number).read_text(encoding="utf-8"))
        return _selected(selection, found["trials"], number, settings)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def take_over(grid: Grid, source: Path, target: Path, *, again: bool = False) -> None:
    """Copy what is read of the finished selections of another folder: the trials, and the settings that were chosen.

    Args:
        grid: with selections.
        source: folder of a benchmark, or an archive.
        target: folder of a benchmark.
        again: also where the selection is made in the target.
    """
    for one in selected_so_far(grid, source):
        if again or read_selected(one.selection, target) is None:
            place = selection_folder(source, one.selection.name)
            # The trials last: a selection without them is not made.
            for path in (settings_path(place, one.number), place / TRIALS):
                copy = selection_folder(target, one.selection.name) / path.relative_to(place)
                copy.parent.mkdir(parents=True, exist_ok=True)
                contents = portable_json(path.read_bytes())
                if not copy.exists() or copy.read_bytes() != contents:
                    write_bytes(copy, contents)


def settings_path(place: Path, number: int) -> Path:
    """The file with the settings of a trial, in the folder of a selection."""
    return place / "trials" / f"{number:04d}" / "settings.json"


def _is_of(search: Mapping[str, Any], selection: Selection) -> bool:
    wanted = selection.tuning.to_dict()
    return search in (wanted, portable(wanted))


def _selected(selection: Selection, trials: Sequence[Any], number: int, settings: Mapping[str, Any]) -> Selected | None:
    rows = [row for row in trials if row["state"] != "refused"]
    if len(rows) < selection.tuning.search.trials and selection.tuning.search.total_epochs is None:
        return None
    (chosen,) = (row for row in rows if row["number"] == number)
    states = [row["state"] for row in trials]
    return Selected(
        selection=selection,
        settings=dict(settings),
        number=number,
        figures=chosen["figures"],
        states={state: states.count(state) for state in dict.fromkeys(states)},
        epochs=sum(row["epochs"] for row in rows),
        seconds=round(sum(row["seconds"] for row in rows), 1),
    )
