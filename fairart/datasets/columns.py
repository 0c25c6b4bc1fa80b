"""Columns of a data set: attributes of its images beside the class, such as site, sensor or patient."""

from __future__ import annotations

import contextlib
import csv
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "METADATA",
    "Column",
    "SplitValues",
    "columns_of",
    "is_file",
    "read_metadata",
    "read_npz_columns",
    "read_values",
    "split_name",
]

Values = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
SplitValues = Mapping[str, Values]
"""Split -> one value for each of its images."""

METADATA = "metadata.csv"
"""File of a folder of images with a column ``file_name`` and others, the layout of Hugging Face's image folders."""

FILE_NAME = "file_name"

# What numpy raises for an array that is cut short or damaged.
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class Column:
    """One value for each image of a split; None where the split has none.

    Args:
        train: (N,) texts or numbers of the training images.
        test: (n,) of the test images.
    """

    train: Values | None = None
    test: Values | None = None

    def of_train(self, keep: Indices) -> Column:
        """The column of some of the training images; the test split stays whole."""
        return Column(None if self.train is None else self.train[keep], self.test)

    def of_both(self, train: Indices, test: Indices) -> Column:
        """The column of some of the images of both splits."""
        return Column(None if self.train is None else self.train[train], None if self.test is None else self.test[test])

    def split(self, train: Indices, test: Indices) -> Column:
        """The column of training images of which some take the place of the test images.

        Args:
            train: those that stay.
            test: those that are tested on.
        """
        return Column() if self.train is None else Column(self.train[train], self.train[test])


def columns_of(values: Mapping[str, SplitValues]) -> dict[str, Column]:
    """Columns by name.

    Args:
        values: name -> split -> values.
    """
    return {name: Column(own.get("train"), own.get("test")) for name, own in values.items()}


def read_npz_columns(file: Path, numbers: Mapping[str, int], *, passed_over: frozenset[str]) -> dict[str, SplitValues]:
    """Arrays of an ``.npz`` file with one value an image: ``NAME_train`` and ``NAME_test``, or ``train_NAME`` and ``test_NAME``.

    Other arrays, of another shape or of Python objects, are passed over; of large ones only the header is read.

    Args:
        file: a readable ``.npz`` file.
        numbers: split -> its number of images.
        passed_over: arrays that are images and labels.

    Returns:
        name -> split -> (N,) texts or numbers.
    """
    found: dict[str, dict[str, Values]] = {}
    with np.load(file, allow_pickle=False) as archive:
        for key in archive.files:
            for split, number in numbers.items():
                name = key.removeprefix(f"{split}_").removesuffix(f"_{split}")
                if key in passed_over or name == key:
                    continue
                with contextlib.suppress(*_UNREADABLE):  # an array that nobody asked for may be damaged
                    if _is_column(archive, key, number):
                        found.setdefault(name, {})[split] = archive[key]
    return dict(found)


def _is_column(archive: np.lib.npyio.NpzFile, key: str, number: int) -> bool:
    assert archive.zip is not None  # the file is open
    with archive.zip.open(f"{key}.npy") as opened:
        version = np.lib.format.read_magic(opened)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(opened)
    return shape == (number,) and dtype.kind in "biufUS"


def read_metadata(folder: Path, splits: Mapping[str, Path], files: Mapping[str, Iterable[Path]]) -> dict[str, SplitValues]:
    """Columns of ``metadata.csv``, in the folder or in the folder of a split; file names are relative to where it stands.

    A file without a column ``file_name``, or that names no image of a split, is another program's and passed over. An image
    without a row has an empty text.

    Args:
        folder: of the data set.
        splits: split -> its folder.
        files: split -> its image files, in the order of the images.

    Returns:
        name -> split -> (N,) texts.
    """
    found: dict[str, dict[str, Values]] = {}
    for split, place in splits.items():
        for base in dict.fromkeys((folder, place)):
            rows, names = _rows(base / METADATA)
            if not rows:
                continue
            own = [rows.get(file.relative_to(base).as_posix(), {}) for file in files[split]]
            if not any(own):
                continue
            for name in names:
                found.setdefault(name, {})[split] = np.array([row.get(name) or "" for row in own], dtype=np.str_)
    return dict(found)


def _rows(file: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """file_name -> row, and the names of the other columns."""
    if not file.is_file():
        return {}, []
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            names = list(reader.fieldnames or ())
            if FILE_NAME not in names:
                return {}, []
            return {row[FILE_NAME]: row for row in reader if row[FILE_NAME]}, [name for name in names if name != FILE_NAME]
    except (UnicodeDecodeError, csv.Error):
        return {}, []


def read_values(given: str | Path, columns: Mapping[str, Column], *, split: str, number: int) -> tuple[str, Values]:
    """One value for each image of a split: from a column of the data set, or from a file.

    Args:
        given: name of a column; or a ``.npy`` file of one array; or a ``.csv`` file, with or without a line of names, of one
            column, or ``FILE.csv:COLUMN`` for one of several.
        columns: of the data set, by name.
        split: ``"train"`` or ``"test"``.
        number: N, images of the split.

    Returns:
        The name of the attribute, of a file without one its own name without ``_train`` or ``_test``; and (N,) values.

    Raises:
        ValueError: no such column or file, a file that cannot be read, or another number of values.
    """
    text = str(given)
    file, wanted = _file_and_column(text)
    if is_file(text):
        if not file.is_file():
            raise ValueError(f"groups {text!r}: there is no file {file}")
        stem = split_name(text, split)
        name, values = _read_csv(file, wanted, number, stem) if file.suffix.lower() == ".csv" else (stem, _read_npy(file))
        _check_number(text, values, number, split)
        return name, values
    column = columns.get(text)
    values_of_split = None if column is None else getattr(column, split)
    if values_of_split is None:
        there = sorted(name for name, one in columns.items() if getattr(one, split) is not None)
        raise ValueError(
            f"groups {text!r}: the data set has no such column of its {split} images (it has {', '.join(there) or 'none'}); "
            f"expected a column: an array {text}_{split} with one value an image in an npz file, or a column of {METADATA}, "
            f"with {FILE_NAME}, in a folder of images; or a .npy or .csv file of {number} values"
        )
    _check_number(text, values_of_split, number, split)
    return text, values_of_split


def is_file(given: str) -> bool:
    """Whether a text names a file of values, and not a column of the data set.

    Args:
        given: what the user gave.
    """
    return _file_and_column(given)[0].suffix.lower() in (".npy", ".csv")


def split_name(given: str, split: str) -> str:
    """What an attribute is called: a column's name, or a file's without the name of the split.

    Args:
        given: what the user gave.
        split: ``"train"`` or ``"test"``.
    """
    file, wanted = _file_and_column(given)
    return wanted or (file.stem.removesuffix(f"_{split}") if is_file(given) else given)


def _file_and_column(given: str) -> tuple[Path, str]:
    path, _, wanted = given.rpartition(":") if ".csv:" in given.lower() else (given, "", "")
    return Path(path).expanduser(), wanted


def _check_number(given: str, values: Values, number: int, split: str) -> None:
    if values.shape != (number,):
        came = f"{len(values)}" if values.ndim == 1 else f"an array of shape {values.shape}"
        raise ValueError(f"groups {given!r}: expected {number} values, one for each {split} image, got {came}")


def _read_npy(file: Path) -> Values:
    try:
        values = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"groups: {file} cannot be read as a .npy file of numbers or texts: {error}") from error
    if not isinstance(values, np.ndarray):
        raise ValueError(f"groups: {file} holds several arrays; expected a .npy file of one")
    return values


def _read_csv(file: Path, wanted: str, number: int, stem: str) -> tuple[str, Values]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = [row for row in csv.reader(opened) if row]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise ValueError(f"groups: {file} cannot be read as a CSV file: {error}") from error
    if not rows or len({len(row) for row in rows}) > 1:
        raise ValueError(f"groups: {file} has {'rows of different lengths' if rows else 'no rows'}")
    # One line more than images: the first one has the names.
    names = [name.strip() for name in rows[0]] if wanted or len(rows) == number + 1 or len(rows[0]) > 1 else None
    if names is None:
        return stem, np.array([row[0].strip() for row in rows], dtype=np.str_)
    if wanted not in names and (wanted or len(names) > 1):
        raise ValueError(
            f"groups: {file} has the columns {', '.join(names)}; write {file}:COLUMN for one of them, got {wanted!r}"
        )
    place = names.index(wanted) if wanted else 0
    return names[place], np.array([row[place].strip() for row in rows[1:]], dtype=np.str_)
