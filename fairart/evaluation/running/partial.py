"""Partial results of an evaluation on disk: a killed evaluation resumes and gives the same result."""

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

__all__ = ["Columns", "PartialResults", "Unit", "batch_size_of", "remove_partial"]

Columns = dict[str, npt.NDArray[Any]]

STATE = "state.json"
FORMAT = "fairart.evaluation.partial"
FORMAT_VERSION = 1
OURS = re.compile(r"\.?(state\.json|(clean|attack|corruption|ood|certificate|shift|affine|defence)-[\w-]*\.npz)(\.\d+\.tmp)?")
"""Names of the files in the folder; a folder with other files is neither written to nor deleted."""

SAVE_EVERY = 5.0
"""Seconds between two writes of one unit. A kill loses at most this time and the current batch."""


@dataclass(frozen=True)
class Unit:
    """One part of an evaluation with a file of its own: clean data, an attack, a corruption at a severity, outliers, a
    certificate, a shifted test set, an affine change by a degree, or clean data or an attack behind a defence.

    Args:
        kind: ``"clean"``, ``"attack"``, ``"corruption"``, ``"ood"``, ``"certificate"``, ``"shift"``, ``"affine"`` or
            ``"defence"``.
        label: its label in the result.
        rows: samples to work on.
        fingerprint: settings that determine its numbers, besides those of the whole evaluation.
        columns: name -> dtype of the values for each sample.
        steps: of work, where that is not one a sample; then ``done`` counts these.
    """

    kind: str
    label: str
    rows: int
    fingerprint: Mapping[str, Any]
    columns: Mapping[str, Any]
    steps: int | None = None

    def empty(self) -> Columns:
        """Columns to fill."""
        return {name: np.zeros(self.rows, dtype=dtype) for name, dtype in self.columns.items()}

    @property
    def file(self) -> str:
        """The name of its file. Labels may be any text: a readable part, and a hash that makes it unique."""
        slug = re.sub(r"[^A-Za-z0-9]+", "-", self.label).strip("-")[:40]
        return f"{self.kind}-{slug}-{blake2b(self.label.encode(), digest_size=4).hexdigest()}.npz"


class PartialResults:
    """Partial results of all units in a folder; without a folder nothing is kept.

    Files are written to a temporary name and renamed, so a kill leaves complete files only. Files that are damaged, or belong to
    other weights, data or settings, are discarded with a warning. Nothing is unpickled.

    Args:
        folder: created if it does not exist; None keeps nothing.
        fingerprint: settings of the whole evaluation, plain values.

    Raises:
        ValueError: the folder contains other files, or is a file.
        OSError: it cannot be created or written to.
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
        """Resume from the folder if it belongs to this evaluation, else start again."""
        found = _read_state(folder)
        if found == self._fingerprint:
            return
        if found is not None:
            detail = "; ".join(differences(found, self._fingerprint))
            warnings.warn(f"{folder} belongs to another evaluation ({detail}): starting again", UserWarning, stacklevel=4)
        _clear(folder)
        state = {"format": FORMAT, "format_version": FORMAT_VERSION, "fingerprint": self._fingerprint}
        with replaced(folder / STATE) as file:
            file.write(json.dumps(state, indent=1).encode())

    def load(self, unit: Unit) -> tuple[Columns, int]:
        """The columns of a unit and the number of finished rows, or steps: (empty columns, 0) if there is no usable file."""
        self._saved[unit.label] = time.monotonic()
        if self._folder is None:
            return unit.empty(), 0
        path = self._folder / unit.file
        if not path.exists():
            return unit.empty(), 0
        try:
            header, columns = _read_unit(path, unit)
        except Exception as error:  # numpy and zipfile raise many exceptions for damaged files
            warnings.warn(f"{path} is damaged and discarded ({type(error).__name__}: {error})", UserWarning, stacklevel=2)
            return unit.empty(), 0
        if header["evaluation"] != self._common:  # left behind by a kill between two evaluations
            return unit.empty(), 0
        changed = differences(header["fingerprint"], json.loads(json.dumps(dict(unit.fingerprint))))
        if changed:
            what = unit.label if unit.label == unit.kind else f"{unit.kind} {unit.label!r}"
            detail = "; ".join(changed)
            warnings.warn(f"{path.parent}: {what} has other settings ({detail}) and starts again", UserWarning, stacklevel=2)
            return unit.empty(), 0
        return (columns, int(header["done"])) if header["rows"] == unit.rows else (unit.empty(), 0)

    def save(self, unit: Unit, columns: Columns, done: int, *, now: bool = False) -> None:
        """Keep the first rows of a unit.

        Args:
            unit: the unit.
            columns: its columns.
            done: rows that are done, or steps where the unit counts them.
            now: write even if the last write was only a moment ago.
        """
        if self._folder is None:
            return
        if not now and time.monotonic() - self._saved.get(unit.label, -SAVE_EVERY) < SAVE_EVERY:
            return
        arrays: dict[str, Any] = dict(columns)
        header = {"evaluation": self._common, "fingerprint": dict(unit.fingerprint), "rows": unit.rows, "done": done}
        if unit.steps is not None:
            header["steps"] = unit.steps
        try:
            with replaced(self._folder / unit.file) as file:
                np.savez(file, header=np.array(json.dumps(header)), **arrays)
        except OSError as error:
            # A full disk must not end the evaluation.
            folder, self._folder = self._folder, None
            warnings.warn(
                f"{folder} cannot be written to ({error}): no further partial results are kept", UserWarning, stacklevel=2
            )
        self._saved[unit.label] = time.monotonic()


def batch_size_of(folder: str | Path) -> int | None:
    """The batch size of the evaluation whose partial results are in a folder; None where there are none.

    Args:
        folder: the ``checkpoint`` of the evaluation.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        state = json.loads((Path(folder).expanduser() / STATE).read_text(encoding="utf-8"))
        size = state["fingerprint"]["batch size"]
        return size if isinstance(size, int) and size >= 1 else None
    return None


def remove_partial(folder: str | Path) -> None:
    """Delete a folder of partial results, if it exists.

    Args:
        folder: the ``checkpoint`` of the evaluation.

    Raises:
        ValueError: it contains other files, or is a file.
    """
    path = Path(folder).expanduser()
    _check_ours(path)
    if path.is_dir():
        _clear(path)
        with contextlib.suppress(OSError):  # files of a file manager are not ours
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
        warnings.warn(
            f"{path} is damaged or foreign ({type(error).__name__}: {error}): starting again", UserWarning, stacklevel=5
        )
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
    steps = header.get("steps", header["rows"])
    if not 0 <= header["done"] <= steps:
        raise ValueError(f"{header['done']} of {steps} steps are done")
    return header, columns
