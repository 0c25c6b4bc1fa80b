"""What is kept of an evaluation while it runs, so that it goes on where it was killed and ends in the same result."""

from __future__ import annotations

import contextlib
import json
import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.files import replaced
from fairart.fingerprint import differences

__all__ = ["Columns", "PartialResults", "Unit", "remove_partial"]

Columns = dict[str, npt.NDArray[Any]]

STATE = "state.json"
FORMAT = "fairart.evaluation.partial"
FORMAT_VERSION = 1
OURS = re.compile(r"\.?(state\.json|(clean|attack|corruption)-[\w-]*\.npz)(\.\d+\.tmp)?")
"""Names of the files that may stand in the folder; a folder with others is not ours to write to or to delete."""

SAVE_EVERY = 5.0
"""Seconds between two writings of one unit. What is lost by a kill is at most this, and the batch at hand."""


@dataclass(frozen=True)
class Unit:
    """One part of an evaluation that is kept and taken up by itself: clean data, an attack, a corruption at a severity.

    Args:
        kind: ``"clean"``, ``"attack"`` or ``"corruption"``.
        label: its label in the result.
        rows: samples to work on.
        fingerprint: what its numbers follow from, besides what the whole evaluation does.
        columns: name -> dtype of what is found for each sample.
    """

    kind: str
    label: str
    rows: int
    fingerprint: Mapping[str, Any]
    columns: Mapping[str, Any]

    def empty(self) -> Columns:
        """Columns to fill."""
        return {name: np.zeros(self.rows, dtype=dtype) for name, dtype in self.columns.items()}

    @property
    def file(self) -> str:
        """The name of its file: labels may be any text, so readable and unique in two parts."""
        slug = re.sub(r"[^A-Za-z0-9]+", "-", self.label).strip("-")[:40]
        return f"{self.kind}-{slug}-{blake2b(self.label.encode(), digest_size=4).hexdigest()}.npz"


class PartialResults:
    """Keeps what is done of each unit in a folder; without a folder it keeps nothing.

    Everything is written to a temporary name and renamed, so a kill leaves whole files only. What is damaged, or belongs to
    other weights, data or settings, is discarded with a warning that says so. Nothing is unpickled.

    Args:
        folder: made where it is not there; None keeps nothing.
        fingerprint: what the whole evaluation follows from, plain values.

    Raises:
        ValueError: the folder holds other things, or is a file.
        OSError: it cannot be made or written to.
    """

    def __init__(self, folder: str | Path | None = None, fingerprint: Mapping[str, Any] | None = None) -> None:
        self._folder = None if folder is None else Path(folder).expanduser()
        # As it comes back from JSON, where tuples are lists.
        self._fingerprint: dict[str, Any] = json.loads(json.dumps(dict(fingerprint or {})))
        self._common = blake2b(json.dumps(self._fingerprint, sort_keys=True).encode(), digest_size=16).hexdigest()
        self._saved: dict[str, float] = {}
        if self._folder is not None:
            _check_ours(self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._claim(self._folder)

    def _claim(self, folder: Path) -> None:
        """Go on with what is there where it is of this evaluation, else start over."""
        found = _read_state(folder)
        if found == self._fingerprint:
            return
        if found is not None:
            detail = "; ".join(differences(found, self._fingerprint))
            warnings.warn(f"{folder} is of another evaluation ({detail}): starting over", UserWarning, stacklevel=4)
        _clear(folder)
        state = {"format": FORMAT, "format_version": FORMAT_VERSION, "fingerprint": self._fingerprint}
        with replaced(folder / STATE) as file:
            file.write(json.dumps(state, indent=1).encode())

    def load(self, unit: Unit) -> tuple[Columns, int]:
        """The columns of a unit and how many rows of them are done: (empty columns, 0) where nothing of use was kept."""
        self._saved[unit.label] = time.monotonic()
        if self._folder is None:
            return unit.empty(), 0
        path = self._folder / unit.file
        if not path.exists():
            return unit.empty(), 0
        try:
            header, columns = _read_unit(path, unit)
        except Exception as error:  # whatever a damaged file makes numpy and zipfile raise
            warnings.warn(f"{path} is damaged and discarded ({type(error).__name__}: {error})", UserWarning, stacklevel=2)
            return unit.empty(), 0
        if header["evaluation"] != self._common:  # left behind by a kill between two evaluations
            return unit.empty(), 0
        changed = differences(header["fingerprint"], json.loads(json.dumps(dict(unit.fingerprint))))
        if changed:
            what = unit.label if unit.label == unit.kind else f"{unit.kind} {unit.label!r}"
            detail = "; ".join(changed)
            warnings.warn(f"{path.parent}: {what} is of other settings ({detail}) and starts over", UserWarning, stacklevel=2)
            return unit.empty(), 0
        return (columns, int(header["done"])) if header["rows"] == unit.rows else (unit.empty(), 0)

    def save(self, unit: Unit, columns: Columns, done: int, *, now: bool = False) -> None:
        """Keep the first rows of a unit.

        Args:
            unit: the unit.
            columns: its columns.
            done: rows that are done.
            now: also where the last writing was only a moment ago.
        """
        if self._folder is None:
            return
        if not now and time.monotonic() - self._saved.get(unit.label, -SAVE_EVERY) < SAVE_EVERY:
            return
        arrays: dict[str, Any] = dict(columns)
        header = {"evaluation": self._common, "fingerprint": dict(unit.fingerprint), "rows": unit.rows, "done": done}
        try:
            with replaced(self._folder / unit.file) as file:
                np.savez(file, header=np.array(json.dumps(header)), **arrays)
        except OSError as error:
            # A full disk is no reason to throw the evaluation itself away.
            folder, self._folder = self._folder, None
            warnings.warn(f"{folder} cannot be written to ({error}): nothing more is kept there", UserWarning, stacklevel=2)
        self._saved[unit.label] = time.monotonic()


def remove_partial(folder: str | Path) -> None:
    """Take a folder of partial results away; one that is not there is no error.

    Args:
        folder: what ``checkpoint`` was.

    Raises:
        ValueError: it holds other things, or is a file.
    """
    path = Path(folder).expanduser()
    _check_ours(path)
    if path.is_dir():
        _clear(path)
        with contextlib.suppress(OSError):  # what a file manager left in it is not ours
            path.rmdir()


def _check_ours(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"checkpoint must be a folder for partial results, {folder} is a file")
    strange = sorted(file.name for file in folder.glob("[!.]*") if not OURS.fullmatch(file.name))
    if strange:
        raise ValueError(f"checkpoint must be a folder of its own for partial results, {folder} holds {', '.join(strange[:3])}")


def _clear(folder: Path) -> None:
    # The state goes last: while it stands, what is left is not taken for something else's.
    for file in sorted(folder.iterdir(), key=lambda file: file.name == STATE):
        if OURS.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _read_state(folder: Path) -> dict[str, Any] | None:
    path = folder / STATE
    if not path.exists():
        return None
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["format"] != FORMAT or state["format_version"] != FORMAT_VERSION or not isinstance(state["fingerprint"], dict):
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path} is damaged or foreign ({type(error).__name__}: {error}): starting over", UserWarning, stacklevel=5)
        return None
    found: dict[str, Any] = state["fingerprint"]
    return found


def _read_unit(path: Path, unit: Unit) -> tuple[dict[str, Any], Columns]:
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(str(archive["header"][()]))
        columns = {name: archive[name] for name in unit.columns}
    for key in ("evaluation", "fingerprint", "rows", "done"):
        if key not in header:
            raise ValueError(f"no {key}")
    for name, dtype in unit.columns.items():
        if columns[name].shape != (header["rows"],) or columns[name].dtype != dtype:
            raise ValueError(f"{name} is {columns[name].dtype} of shape {columns[name].shape}")
    if not 0 <= header["done"] <= header["rows"]:
        raise ValueError(f"{header['done']} of {header['rows']} rows are done")
    return header, columns
