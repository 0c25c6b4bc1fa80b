"""The finished cells of benchmark folders, read from their tables: enough for a leaderboard, without weights or predictions."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairart.benchmark.cells import row_label
from fairart.benchmark.state import Record, cell_folder
from fairart.errors import OptionError
from fairart.escapes import csv_value
from fairart.runs.config import RunConfig
from fairart.runs.flat import flat
from fairart.runs.folders import CONFIG

__all__ = ["CORRUPTIONS", "Measured", "Standing", "read_standings"]

RESULTS = "results.csv"
COMPARISONS = "comparisons.csv"
COMPARED = ("table", "attack", "part", "method", "baseline")
"""What a planned comparison is of."""
CORRUPTIONS = "corruptions"
KNOWN = ("cell", "method", "trainer", "objective", "averaging", "seed")
TABLE = ("dataset", "model")
PARAMETERS = "parameters"
PER_CLASS = ("attack", "severity", "class", "name", "n", "correct", "accuracy", "doubtful")


@dataclass(kw_only=True)
class Measured:
    """One cell under one attack, or on corrupted images.

    Args:
        images: test images.
        average: accuracy over all images, in [0, 1]; with corruptions the mean over corruptions and severities.
        worst: accuracy of the worst class, likewise.
        worst_names: names of the classes that are it; with corruptions of each set of corrupted images.
        doubtful: whether a sanity check failed.
    """

    images: int
    average: float
    worst: float
    worst_names: list[str]
    doubtful: bool = False


@dataclass(kw_only=True)
class Standing:
    """One cell.

    Args:
        table: what its table is of.
        row: the method with the fields that vary.
        seed: of the run.
        cell: its name.
        measured: attack -> what was measured.
        seconds: of training, or None.
        fairart: version that trained it, or an empty text.
        parameters: of its network, or None in tables of an older fairart.
        config: the text of its ``config.yaml``, or an empty text.
        settings: its learning rate and the options of its parts.
        budget: images and epochs that it was trained with, in words, or an empty text.
    """

    table: str
    row: str
    seed: int
    cell: str
    measured: dict[str, Measured] = field(default_factory=dict)
    seconds: float | None = None
    fairart: str = ""
    parameters: int | None = None
    config: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    budget: str = ""


def read_standings(folders: Iterable[str | Path]) -> tuple[list[Standing], list[dict[str, str]]]:
    """Read benchmark folders. A cell that stands in several is one, and so is a comparison; the one with more images counts.

    Args:
        folders: written by ``fairart benchmark``; finished or not.

    Returns:
        The cells that have results, and the lines of the folders' comparisons.

    Raises:
        OptionError: a folder without tables of a benchmark, or tables that are damaged.
    """
    standings: dict[tuple[str, str], Standing] = {}
    comparisons: dict[tuple[str, ...], tuple[int, dict[str, str]]] = {}
    for folder in map(Path, folders):
        there = _of_folder(folder.expanduser())
        images = {attack: one.images for found in there for attack, one in found.measured.items()}
        for found in there:
            known = standings.setdefault((found.table, found.cell), found)
            for attack, measured in found.measured.items():
                if attack not in known.measured or measured.images > known.measured[attack].images:
                    known.measured[attack] = measured
        for line in _lines(folder / COMPARISONS) if (folder / COMPARISONS).is_file() else []:
            key, number = tuple(line[name] for name in COMPARED), images.get(line["attack"], 0)
            if key not in comparisons or number > comparisons[key][0]:
                comparisons[key] = number, line
    return list(standings.values()), [line for _, line in comparisons.values()]


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: csv_value(value or "") for key, value in line.items() if key} for line in csv.DictReader(file)]


def _of_folder(folder: Path) -> list[Standing]:
    path = folder / RESULTS
    if not path.is_file():
        raise OptionError(f"{str(folder)!r} is no folder of a benchmark: it has no {RESULTS}")
    lines = _lines(path)
    if lines and not {*KNOWN, *TABLE, *PER_CLASS} <= lines[0].keys():
        raise OptionError(
            f"{path} is damaged or of another program: expected the columns {', '.join((*KNOWN, *TABLE, *PER_CLASS))}"
        )
    cells: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        cells.setdefault(line["cell"], []).append(line)
    try:
        return [_standing(folder, name, several) for name, several in cells.items()]
    except ValueError as error:
        raise OptionError(f"{path} is damaged: {error}") from error


def _standing(folder: Path, name: str, lines: Sequence[dict[str, str]]) -> Standing:
    first = lines[0]
    more = [key for key in first if key not in (*KNOWN, *TABLE, *PER_CLASS, PARAMETERS)]
    varying = {key: first[key] for key in more if not key.startswith("model.")}
    sizes = [f"{key.partition('.')[2]} {first[key]}" for key in more if key.startswith("model.") and first[key]]
    place = cell_folder(folder, name)
    record = Record.load(place)
    config = place / CONFIG
    values = _values(config)
    return Standing(
        # As the tables of the grid have it, so that comparisons are found by it.
        table=f"{_data_name(first['dataset'])}, {first['model']}" + (f" ({', '.join(sizes)})" if sizes else ""),
        row=row_label(first["method"], {key: value for key, value in varying.items() if value}),
        seed=int(first["seed"]),
        cell=name,
        measured=_measured(lines),
        seconds=None if record is None else record.training.get("seconds"),
        fairart="" if record is None else record.fairart,
        parameters=int(first.get(PARAMETERS) or 0) or None,
        config=config.read_text(encoding="utf-8") if config.is_file() else "",
        settings={key: value for key, value in values.items() if key == "lr" or ("." in key and not key.startswith("model."))},
        budget=_budget(values),
    )


def _data_name(dataset: str) -> str:
    """``npz:folder/photos.npz`` is called ``photos``: whose folder it lay in says nothing."""
    kind, colon, path = dataset.partition(":")
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1].removesuffix(".npz") if colon else kind


def _measured(lines: Sequence[dict[str, str]]) -> dict[str, Measured]:
    sets: dict[tuple[str, str], list[dict[str, str]]] = {}
    for line in lines:
        sets.setdefault((line["attack"], line["severity"]), []).append(line)
    found = {attack: _of_classes(several) for (attack, severity), several in sets.items() if not severity}
    corrupted = [_of_classes(several) for (_, severity), several in sets.items() if severity]
    if corrupted:
        found[CORRUPTIONS] = Measured(
            images=corrupted[0].images,
            average=sum(one.average for one in corrupted) / len(corrupted),
            worst=sum(one.worst for one in corrupted) / len(corrupted),
            worst_names=[name for one in corrupted for name in one.worst_names],
        )
    return found


def _of_classes(lines: Sequence[dict[str, str]]) -> Measured:
    counted = [(line["name"], int(line["n"]), int(line["correct"])) for line in lines if int(line["n"])]
    images = sum(count for _, count, _ in counted)
    worst = min(right / count for _, count, right in counted)
    return Measured(
        images=images,
        average=sum(right for *_, right in counted) / images,
        worst=worst,
        worst_names=[name for name, count, right in counted if right / count == worst],
        doubtful=any(line["doubtful"] == "1" for line in lines),
    )


def _values(path: Path) -> dict[str, Any]:
    try:
        return flat(RunConfig.load(path))
    except (OptionError, OSError):
        # Of another version: its numbers stand all the same.
        return {}


def _budget(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    images = f"{values['per_class']} images a class" if values.get("per_class") else "all training images"
    return f"{images}, {values['epochs']} epochs"
