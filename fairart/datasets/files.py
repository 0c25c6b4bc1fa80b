"""Data sets from the user's own arrays: one ``.npz`` file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from fairart.datasets._arrays import (
    ARRAYS,
    OTHER_NAMES,
    Augmentation,
    Layout,
    Name,
    as_images,
    as_labels,
    channel_axis,
    class_names,
    find_file,
    names_of_arrays,
    two_splits,
)
from fairart.datasets.base import DataRoot, Dataset, DatasetError
from fairart.datasets.columns import SplitValues, read_npz_columns
from fairart.datasets.splitting import TestSeed, TestShare
from fairart.plugins.options import Option, validate_options

__all__ = ["load_npz", "read_training_arrays"]

AnyArray = npt.NDArray[Any]

_NOT_COLUMNS = frozenset((*ARRAYS, *OTHER_NAMES.values()))
# What numpy raises for a file that is cut short, no archive, or damaged inside.
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def load_npz(
    *,
    path: Annotated[str, Option("file of the arrays x_train, y_train, x_test, y_test and, if wanted, classes")],
    data_root: DataRoot = None,
    test_share: TestShare = None,
    test_seed: TestSeed = 0,
    layout: Layout = "auto",
    augmentation: Augmentation = "none",
    name: Name = None,
) -> Dataset:
    """Your own arrays: one .npz file with x_train, y_train, x_test, y_test and, if wanted, classes.

    Files of MedMNIST (train_images, train_labels, test_images, test_labels) are read as they come. A file with x_test and y_test
    alone serves for evaluation. If there is no test split, ``test_share`` draws one from the training images.

    Images are (N, H, W), (N, C, H, W) or (N, H, W, C); whole numbers 0..255, or floats in [0, 1]. Labels are integers
    0..K-1, (N,) or (N, 1), or one-hot (N, K). ``classes`` are K names; without it classes are called ``"0"``, ``"1"``, ...
    Arrays such as ``site_train`` and ``site_test`` with a text or number for each image become the column ``site``.

    Args:
        path: the file; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
        test_share: share of each class kept for testing, in (0, 1); only for files without x_test.
        test_seed: of the draw of that share.
        layout: ``"nchw"``, ``"nhwc"``, or ``"auto"``, which takes the axis that has 1 or 3 channels.
        augmentation: ``"none"`` or ``"crop-flip"``.
        name: what reports call the data set; the file's name without its ending by default.

    Returns:
        Images (N, C, H, W), uint8 from whole numbers and float32 from floats.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: the file or what it holds is no data set; the message names the file.
        OptionError: an option has a value that is not among its choices.
    """
    options: dict[str, Any] = {"path": str(path), "layout": layout, "augmentation": augmentation}
    options |= {"test_share": test_share, "test_seed": test_seed}
    validate_options(load_npz, options, where="dataset 'npz'")
    file = find_file(path, data_root)
    if not file.is_file():
        raise FileNotFoundError(f"dataset 'npz': there is no file {file}")
    arrays = _read_arrays(file, lambda there: names_of_arrays(there, test_share, file))
    splits = [split for split in ("train", "test") if f"x_{split}" in arrays]
    axis = channel_axis(arrays[f"x_{splits[0]}"].shape, layout, file, f"x_{splits[0]}")
    try:
        images = {split: as_images(arrays[f"x_{split}"], axis, f"x_{split}") for split in splits}
        labels = {split: as_labels(arrays[f"y_{split}"], f"y_{split}") for split in splits}
        return Dataset(
            name=name or file.stem,
            **two_splits(images, labels, _npz_columns(file, labels), test_share, test_seed, file),
            classes=class_names(arrays.get("classes"), *labels.values()),
            augmentation=augmentation,
        )
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error


def _npz_columns(file: Path, labels: dict[str, npt.NDArray[np.int64]]) -> dict[str, SplitValues]:
    return read_npz_columns(file, {split: len(values) for split, values in labels.items()}, passed_over=_NOT_COLUMNS)


def read_training_arrays(file: Path) -> dict[str, Any]:
    """The training images of an .npz file: ``x`` (n, C, H, W), ``y`` (n,) and ``classes``, the names or None.

    Args:
        file: with x_train and y_train, under these names or those of MedMNIST, and perhaps classes.

    Raises:
        DatasetError: the file or what it holds is no set of images with labels; the message names the file.
    """
    arrays = _read_arrays(file, lambda there: _training_names(there, file))
    x = arrays["x_train"]
    axis = channel_axis(x.shape, "auto", file, "x_train")
    try:
        images, labels = as_images(x, axis, "x_train"), as_labels(arrays["y_train"], "y_train")
        names = class_names(arrays.get("classes"), labels)
        # The rules of a data set, with one image in the place of the test images.
        checked = Dataset(
            name=file.stem,
            x_train=images,
            y_train=labels,
            x_test=images[:1],
            y_test=labels[:1],
            classes=names if "classes" in arrays else (*names, "of no image"),
        )
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error
    return {"x": checked.x_train, "y": checked.y_train, "classes": names if "classes" in arrays else None}


def _training_names(there: list[str], file: Path) -> dict[str, str]:
    names = {key: name for key in ARRAYS[:2] for name in (OTHER_NAMES[key], key) if name in there}
    missing = [key for key in ARRAYS[:2] if key not in names]
    if missing:
        raise DatasetError(f"{file} has no {', '.join(missing)}; it holds {', '.join(there) or 'nothing'}")
    return names


def _read_arrays(file: Path, names_among: Callable[[list[str]], dict[str, str]]) -> dict[str, AnyArray]:
    try:
        archive = np.load(file, allow_pickle=False)
    except _UNREADABLE as error:
        raise DatasetError(f"{file} cannot be read as an .npz file: {error}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DatasetError(f"{file} holds one array; expected an .npz file with {', '.join(ARRAYS)}")
    with archive:
        names = names_among(archive.files)
        if "classes" in archive.files:
            names["classes"] = "classes"
        return {key: _read_array(archive, name, file) for key, name in names.items()}


def _read_array(archive: Any, key: str, file: Path) -> AnyArray:
    try:
        array: AnyArray = archive[key]
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise DatasetError(f"{file}: {key} holds Python objects, which are not read; save numbers or text") from error
        raise DatasetError(f"{file}: {key} is damaged: {error}") from error
    return array
