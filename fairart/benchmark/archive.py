"""The light copy of a benchmark for a repository: finished cells and selections without weights, logs, checkpoints and paths.

A grid goes on from such a copy, and makes the same tables from it, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

import fairart
from fairart import packed
from fairart.benchmark.check import check_grid
from fairart.benchmark.file import Grid
from fairart.benchmark.portable import absolute_paths, portable, portable_json, portable_text
from fairart.benchmark.selecting import choices_of, selected_so_far, take_over
from fairart.benchmark.state import RECORD, Record, State, cell_folder, state_of
from fairart.benchmark.tables.book import Book
from fairart.errors import OptionError
from fairart.files import write_bytes
from fairart.runs.folders import CONFIG, EVALUATION, HISTORY, LABEL_NOISE

__all__ = ["CONTENTS", "GRID", "Archived", "is_archive", "write_archive"]

CONTENTS, GRID = "archive.json", "grid.yaml"
FORMAT, FORMAT_VERSION = "fairart.archive", 1
LARGE = 32 * 1024
"""Bytes from which a file is packed; smaller ones stay readable."""
PACKABLE = (EVALUATION, HISTORY, LABEL_NOISE)
"""Files that grow with the images, the classes or the epochs."""


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What an archive holds after it was written.

    Args:
        folder: of the archive.
        states: name of each cell of the grid -> its state in the archive.
        selections: name of each selection of the grid -> whether it is in the archive.
        size: bytes of all its files.
        notes: what keeps the grid from going on elsewhere.
    """

    folder: Path
    states: Mapping[str, State]
    selections: Mapping[str, bool]
    size: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "archive": str(self.folder),
            "cells": dict(self.states),
            "selections": dict(self.selections),
            "bytes": self.size,
            "notes": list(self.notes),
        }


def write_archive(grid: Grid, output: str | Path, archive: str | Path) -> Archived:
    """Write the light copy of what is finished in the folder of a benchmark, or bring it up to date. Nothing is run.

    The benchmark may be running. Every file is replaced at once, and the record of a cell comes last, so a kill leaves whole
    cells. Files whose contents are the same are not touched. What the archive has and the folder has not stays: several
    machines may write to one archive in turn.

    Args:
        grid: the cells.
        output: folder of the benchmark.
        archive: folder of the copy; a new one, an empty one, or an archive.

    Raises:
        FileNotFoundError: there is no benchmark in the folder.
        FileExistsError: the archive would be a file, or a folder with something else.
        OptionError: both are one folder, or the grid cannot run.
    """
    folder, target = Path(output).expanduser().absolute(), Path(archive).expanduser().absolute()
    _check_folders(folder, target, output=str(output), archive=str(archive))
    check_grid(grid)
    target.mkdir(parents=True, exist_ok=True)
    take_over(grid, folder, target, again=True)
    made = selected_so_far(grid, target)
    decided = grid.decided(choices_of(made)) if grid.selections else grid
    plan = decided.plan.to_dict()
    for cell in decided.cells:
        source, place, config = cell_folder(folder, cell.name), cell_folder(target, cell.name), cell.config.to_dict()
        state = state_of(source, config, plan)
        if state == "done":
            _copy_cell(source, place)
        elif state == "failed" and state_of(place, config, plan) != "done":
            _copy_failure(source, place)
    states = {cell.name: state_of(cell_folder(target, cell.name), cell.config.to_dict(), plan) for cell in decided.cells}
    Book(target, decided, check_grid(decided), verbose=False, selected=made).write()
    _write_text(target / GRID, yaml.safe_dump(portable(dict(grid.document)), sort_keys=False, allow_unicode=True))
    names = {one.selection.name for one in made}
    selections = {one.name: one.name in names for one in grid.selections}
    _write_text(target / CONTENTS, json.dumps(_contents(decided, target, states, selections), indent=1) + "\n")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Archived(folder=target, states=states, selections=selections, size=size, notes=_notes(grid))


def is_archive(folder: Path) -> bool:
    """Whether a folder is an archive of a benchmark."""
    try:
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(contents, dict) and contents.get("format") == FORMAT


def _check_folders(folder: Path, target: Path, *, output: str, archive: str) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {output!r} to archive: expected the --output of a benchmark")
    if target.resolve() == folder.resolve():
        raise OptionError(f"the archive and the folder of the benchmark are both {archive!r}: expected two folders")
    if target.exists() and not target.is_dir():
        raise FileExistsError(f"{archive!r} is a file: expected a folder for the archive")
    if target.is_dir() and any(target.iterdir()) and not (is_archive(target) or (target / "cells").is_dir()):
        raise FileExistsError(f"{archive!r} has other files and no {CONTENTS}: expected a new folder, or an archive")


def _copy_cell(source: Path, target: Path) -> None:
    """Copy a finished cell, the record last. One that changed in the meantime is left for the next time."""
    record = Record.load(source)
    if record is None:
        return
    readers: dict[str, Callable[[bytes], bytes]] = {
        CONFIG: _portable_yaml,
        HISTORY: bytes,
        LABEL_NOISE: portable_json,
        EVALUATION: portable_json,
    }
    before = {name: packed.read_bytes(source / name) for name in readers if packed.is_file(source / name)}
    if hashlib.sha256(before[EVALUATION]).hexdigest() != record.evaluation["file"]:
        return
    after = {name: readers[name](contents) for name, contents in before.items()}
    sums = {name: hashlib.sha256(contents).hexdigest() for name, contents in after.items()}
    for name, contents in after.items():
        _write(target / name, contents)
    copied = replace(
        record,
        config=portable(record.config),
        training=record.training | {"files": {name: sums[name] for name in sums if name != EVALUATION}},
        evaluation=record.evaluation | {"plan": portable(record.evaluation["plan"]), "file": sums[EVALUATION]},
    )
    _write_text(target / RECORD, copied.text())


def _copy_failure(source: Path, target: Path) -> None:
    """A failure is a result as well: without it the others would never be compared."""
    record = Record.load(source)
    if record is not None and record.error:
        error = record.error | {"message": portable_text(str(record.error["message"])), "plan": portable(record.error["plan"])}
        copied = Record(config=portable(record.config), error=error, fairart=record.fairart)
        _write_text(target / RECORD, copied.text())


def _portable_yaml(contents: bytes) -> bytes:
    before = yaml.safe_load(contents)
    after = portable(before)
    return contents if after == before else yaml.safe_dump(after, sort_keys=False, allow_unicode=True).encode()


def _write_text(path: Path, text: str) -> None:
    _write(path, text.encode())


def _write(path: Path, contents: bytes) -> None:
    """Write a file, packed if it is large, unless it holds the same already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    large = len(contents) >= LARGE and path.name in PACKABLE
    place, other = (packed.packed_path(path), path) if large else (path, packed.packed_path(path))
    # Packing the same contents may give other bytes with another version of the library.
    if _held(place, large) != contents:
        write_bytes(place, packed.pack(contents) if large else contents)
    other.unlink(missing_ok=True)


def _held(place: Path, large: bool) -> bytes | None:
    try:
        return packed.unpack(place) if large else place.read_bytes()
    except (FileNotFoundError, ValueError):
        return None


def _contents(grid: Grid, target: Path, states: Mapping[str, State], selections: Mapping[str, bool]) -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    versions: list[dict[str, str]] = []
    for cell in grid.cells:
        entry = {"name": cell.name, "row": cell.row_name, "table": cell.table_name, "seed": cell.config.seed}
        cells.append(entry | {"state": states[cell.name]})
        if states[cell.name] == "done":
            found = json.loads(packed.read_bytes(cell_folder(target, cell.name) / EVALUATION))["versions"]
            versions += [found] if found not in versions else []
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "fairart": fairart.__version__,
        "evaluated_with": versions,
        "selections": {name: "made" if done else "missing" for name, done in selections.items()},
        "cells": cells,
    }


def _notes(grid: Grid) -> tuple[str, ...]:
    paths = absolute_paths(dict(grid.document))
    if not paths:
        return ()
    named = ", ".join(map(repr, paths))
    return (
        f"the grid names absolute paths ({named}): it goes on from the archive only with a grid file that names the same ones; "
        "write data relative to the folder that the command runs in",
    )
