"""Data sets from the user's own files: one ``.npz`` of arrays, or folders of images."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from fairart.datasets._images import read_split, split_files, split_folders
from fairart.datasets.base import AUGMENTATIONS, DataRoot, Dataset, DatasetError, data_folder
from fairart.datasets.columns import SplitValues, columns_of, read_metadata, read_npz_columns
from fairart.datasets.splitting import TestSeed, TestShare, split_off
from fairart.plugins.options import Option, validate_options

__all__ = ["find_file", "load_folder", "load_npz", "read_training_arrays"]

Augmentation = Annotated[str, Option("what training may do to the images", choices=AUGMENTATIONS)]
Name = Annotated[str | None, Option("what reports call the data set; by default the name of the file or folder")]
AnyArray = npt.NDArray[Any]

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_OTHER_NAMES = {
    "x_train": "train_images",
    "y_train": "train_labels",
    "x_test": "test_images",
    "y_test": "test_labels",
}
"""What MedMNIST calls them; its validation images (val_images) are not used."""
_NOT_COLUMNS = frozenset((*_ARRAYS, *_OTHER_NAMES.values()))
_COLOUR_CHANNELS = (1, 3)
# What numpy raises for a file that is cut short, no archive, or damaged inside.
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def load_npz(
    *,
    path: Annotated[str, Option("file of the arrays x_train, y_train, x_test, y_test and, if wanted, classes")],
    data_root: DataRoot = None,
    test_share: TestShare = None,
    test_seed: TestSeed = 0,
    layout: Annotated[
        str,
        Option("order of the axes; auto finds the one of 1 or 3 channels", choices=("auto", "nchw", "nhwc")),
    ] = "auto",
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
    arrays = _read_arrays(file, lambda there: _names_of_arrays(there, test_share, file))
    splits = [split for split in ("train", "test") if f"x_{split}" in arrays]
    axis = _channel_axis(arrays[f"x_{splits[0]}"], layout, file, f"x_{splits[0]}")
    try:
        images = {split: _as_images(arrays[f"x_{split}"], axis, f"x_{split}") for split in splits}
        labels = {split: _as_labels(arrays[f"y_{split}"], f"y_{split}") for split in splits}
        return Dataset(
            name=name or file.stem,
            **_two_splits(images, labels, _npz_columns(file, labels), test_share, test_seed, file),
            classes=_class_names(arrays.get("classes"), *labels.values()),
            augmentation=augmentation,
        )
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error


def load_folder(
    *,
    path: Annotated[str, Option("folder of train/<class>/*.png and test/<class>/*.png")],
    data_root: DataRoot = None,
    test_share: TestShare = None,
    test_seed: TestSeed = 0,
    size: Annotated[int | None, Option("side in pixels to resize all images to; None wants equal sizes", low=1)] = None,
    colour: Annotated[str, Option("read the images with 3 channels or with 1", choices=("rgb", "grey"))] = "rgb",
    augmentation: Augmentation = "none",
    name: Name = None,
) -> Dataset:
    """Your own images: folders train/<class>/ and test/<class>/ of image files.

    A folder with ``test`` alone serves for evaluation. If there is no ``test``, ``test_share`` draws it from ``train``, or from
    the class folders that stand directly in the folder. A file ``metadata.csv`` with a column ``file_name``, such as
    ``train/cat/1.png``, gives the images columns, such as ``site``.

    Args:
        path: the folder that holds ``train`` and ``test``; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
        test_share: share of each class kept for testing, in (0, 1); only for folders without ``test``.
        test_seed: of the draw of that share.
        size: pixels; images are resized (not cropped) to ``size`` x ``size``, bilinear with antialiasing.
        colour: ``"rgb"`` for three channels, ``"grey"`` for one.
        augmentation: ``"none"`` or ``"crop-flip"``.
        name: what reports call the data set; the folder's name by default.

    Returns:
        Images (N, C, H, W) uint8; classes are the names of the class folders, sorted.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: the folder is laid out differently, a file is no image, or sizes differ; the message names the culprit.
        OptionError: an option is outside its range.
    """
    options: dict[str, Any] = {"path": str(path), "size": size, "colour": colour, "augmentation": augmentation}
    options |= {"test_share": test_share, "test_seed": test_seed}
    validate_options(load_folder, options, where="dataset 'folder'")
    folder = find_file(path, data_root)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset 'folder': there is no folder {folder}")
    splits, classes = split_folders(folder, test_share)
    images: dict[str, AnyArray] = {}
    labels: dict[str, npt.NDArray[np.int64]] = {}
    shape: tuple[int, int] | None = None
    files = {split: [file for file, _ in split_files(place, classes)] for split, place in splits.items()}
    for split, place in splits.items():
        images[split], labels[split] = read_split(place, classes, size=size, grey=colour == "grey", shape=shape)
        # The first image fixes the size for both splits.
        shape = (int(images[split].shape[2]), int(images[split].shape[3]))
    return Dataset(
        name=name or folder.resolve().name,
        **_two_splits(images, labels, read_metadata(folder, splits, files), test_share, test_seed, folder),
        classes=classes,
        augmentation=augmentation,
    )


def _two_splits(
    images: dict[str, AnyArray],
    labels: dict[str, npt.NDArray[np.int64]],
    columns: dict[str, SplitValues],
    test_share: float | None,
    test_seed: int,
    name: object,
) -> dict[str, Any]:
    """Training and test split of what is there: both, or training images to draw from, or test images alone."""
    note = ""
    if "train" in images and not len(images["train"]):
        raise DatasetError(f"x_train is empty, its shape is {images['train'].shape}")
    if "train" not in images:
        images["train"], labels["train"] = images["test"][:0], labels["test"][:0]
        note = "test images alone"
    elif "test" not in images and test_share is not None:
        if len(images["train"]) != len(labels["train"]):
            raise DatasetError(f"x_train and y_train differ in length: {len(images['train'])} and {len(labels['train'])}")
        train, test = split_off(labels["train"], test_share, seed=test_seed, name=name)
        note = f"test images drawn from the training images: a share of {test_share:g} of each class, seed {test_seed}"
        images = {"train": images["train"][train], "test": images["train"][test]}
        labels = {"train": labels["train"][train], "test": labels["train"][test]}
        whole = {name: values["train"] for name, values in columns.items() if values.get("train") is not None}
        columns = {name: {"train": values[train], "test": values[test]} for name, values in whole.items()}
    return {
        "x_train": images["train"],
        "y_train": labels["train"],
        "x_test": images["test"],
        "y_test": labels["test"],
        "note": note,
        "columns": columns_of(columns),
    }


def _npz_columns(file: Path, labels: dict[str, npt.NDArray[np.int64]]) -> dict[str, SplitValues]:
    return read_npz_columns(file, {split: len(values) for split, values in labels.items()}, passed_over=_NOT_COLUMNS)


def find_file(path: str, data_root: str | None) -> Path:
    """Where a file or folder of the user's is: here, or in the folder of the data files if it is only there.

    Args:
        path: as the user wrote it.
        data_root: folder of the data files; None for the default.
    """
    here = Path(path).expanduser()
    there = data_folder(data_root) / here
    return there if not here.exists() and there.exists() else here


def read_training_arrays(file: Path) -> dict[str, Any]:
    """The training images of an .npz file: ``x`` (n, C, H, W), ``y`` (n,) and ``classes``, the names or None.

    Args:
        file: with x_train and y_train, under these names or those of MedMNIST, and perhaps classes.

    Raises:
        DatasetError: the file or what it holds is no set of images with labels; the message names the file.
    """
    arrays = _read_arrays(file, lambda there: _training_names(there, file))
    x = arrays["x_train"]
    axis = _channel_axis(x, "auto", file, "x_train")
    try:
        images, labels = _as_images(x, axis, "x_train"), _as_labels(arrays["y_train"], "y_train")
        names = _class_names(arrays.get("classes"), labels)
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
    names = {key: name for key in _ARRAYS[:2] for name in (_OTHER_NAMES[key], key) if name in there}
    missing = [key for key in _ARRAYS[:2] if key not in names]
    if missing:
        raise DatasetError(f"{file} has no {', '.join(missing)}; it holds {', '.join(there) or 'nothing'}")
    return names


def _read_arrays(file: Path, names_among: Callable[[list[str]], dict[str, str]]) -> dict[str, AnyArray]:
    try:
        archive = np.load(file, allow_pickle=False)
    except _UNREADABLE as error:
        raise DatasetError(f"{file} cannot be read as an .npz file: {error}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DatasetError(f"{file} holds one array; expected an .npz file with {', '.join(_ARRAYS)}")
    with archive:
        names = names_among(archive.files)
        if "classes" in archive.files:
            names["classes"] = "classes"
        return {key: _read_array(archive, name, file) for key, name in names.items()}


def _names_of_arrays(there: list[str], test_share: float | None, file: Path) -> dict[str, str]:
    """Under which name each array stands in the file."""
    names = {key: name for key in _ARRAYS for name in (_OTHER_NAMES[key], key) if name in there}
    missing = [key for key in _ARRAYS if key not in names]
    if missing == ["x_train", "y_train"]:
        return names
    if missing == ["x_test", "y_test"]:
        if test_share is not None:
            return names
        raise DatasetError(
            f"{file} has no {', '.join(missing)}: add them, or draw a test split with test_share=0.2 (--test-share 0.2)"
        )
    if missing:
        raise DatasetError(f"{file} has no {', '.join(missing)}; it holds {', '.join(there) or 'nothing'}")
    if test_share is not None:
        raise DatasetError(f"{file} has a test split, so test_share={test_share:g} has nothing to draw: leave it out")
    return names


def _read_array(archive: Any, key: str, file: Path) -> AnyArray:
    try:
        array: AnyArray = archive[key]
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise DatasetError(f"{file}: {key} holds Python objects, which are not read; save numbers or text") from error
        raise DatasetError(f"{file}: {key} is damaged: {error}") from error
    return array


def _channel_axis(x: AnyArray, layout: str, file: Path, key: str) -> int:
    """Axis of the channels: 1 or 3; images without one count as channels first."""
    if x.ndim != 4 or layout != "auto":
        return 3 if layout == "nhwc" else 1
    first, last = x.shape[1] in _COLOUR_CHANNELS, x.shape[3] in _COLOUR_CHANNELS
    if first == last:
        problem = "both the second and the last axis" if first else "neither the second nor the last axis"
        raise DatasetError(f"{file}: {problem} of {key} {x.shape} could be 1 or 3 channels; set layout to nchw or nhwc")
    return 1 if first else 3


def _as_images(x: AnyArray, channel_axis: int, key: str) -> AnyArray:
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and channel_axis == 3:
        x = x.transpose(0, 3, 1, 2)
    if x.dtype.kind == "f":
        x = x.astype(np.float32, copy=False)
    elif x.dtype.kind in "iu" and x.dtype != np.uint8 and x.size:
        if x.min() < 0 or x.max() > 255:
            raise DatasetError(f"{key} of whole numbers must lie in 0..255, got {x.min()}..{x.max()}")
        x = x.astype(np.uint8)
    return np.ascontiguousarray(x)


def _as_labels(y: AnyArray, key: str) -> npt.NDArray[np.int64]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    elif y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        y = y.argmax(axis=1)
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise DatasetError(f"{key} must be integers (N,) or one-hot (N, K), got {y.dtype} of shape {y.shape}")
    return y.astype(np.int64)


def _class_names(classes: AnyArray | None, *labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    if classes is None:
        return tuple(str(k) for k in range(1 + max((int(y.max()) for y in labels if y.size), default=0)))
    if classes.ndim != 1 or classes.dtype.kind not in "USiu":
        raise DatasetError(f"classes must be K names (K,), got {classes.dtype} of shape {classes.shape}")
    return tuple(item.decode() if isinstance(item, bytes) else str(item) for item in classes.tolist())
