"""Data sets from the user's own files: one ``.npz`` of arrays, or folders of images."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from fairart.datasets._images import read_split, split_folders
from fairart.datasets.base import AUGMENTATIONS, DataRoot, Dataset, DatasetError, data_folder
from fairart.plugins.options import Option, validate_options

__all__ = ["load_folder", "load_npz"]

Augmentation = Annotated[str, Option("what training may do to the images", choices=AUGMENTATIONS)]
Name = Annotated[str | None, Option("what reports call the data set; by default the name of the file or folder")]
AnyArray = npt.NDArray[Any]

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_COLOUR_CHANNELS = (1, 3)
# What numpy raises for a file that is cut short, no archive, or damaged inside.
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def load_npz(
    *,
    path: Annotated[str, Option("file of the arrays x_train, y_train, x_test, y_test and, if wanted, classes")],
    data_root: DataRoot = None,
    layout: Annotated[
        str,
        Option("order of the axes; auto finds the one of 1 or 3 channels", choices=("auto", "nchw", "nhwc")),
    ] = "auto",
    augmentation: Augmentation = "none",
    name: Name = None,
) -> Dataset:
    """Your own arrays: one .npz file with x_train, y_train, x_test, y_test and, if wanted, classes.

    Images are (N, H, W), (N, C, H, W) or (N, H, W, C); whole numbers 0..255, or floats in [0, 1]. Labels are integers
    0..K-1, (N,) or (N, 1), or one-hot (N, K). ``classes`` are K names; without it classes are called ``"0"``, ``"1"``, ...

    Args:
        path: the file; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
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
    validate_options(load_npz, {"path": str(path), "layout": layout, "augmentation": augmentation}, where="dataset 'npz'")
    file = _find(path, data_root)
    if not file.is_file():
        raise FileNotFoundError(f"dataset 'npz': there is no file {file}")
    arrays = _read_arrays(file)
    axis = _channel_axis(arrays["x_train"], layout, file)
    try:
        x_train, x_test = (_as_images(arrays[key], axis, key) for key in ("x_train", "x_test"))
        y_train, y_test = (_as_labels(arrays[key], key) for key in ("y_train", "y_test"))
        return Dataset(
            name=name or file.stem,
            x_train=x_train,
            y_train=y_train,
            x_test=x_test,
            y_test=y_test,
            classes=_class_names(arrays.get("classes"), y_train, y_test),
            augmentation=augmentation,
        )
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error


def load_folder(
    *,
    path: Annotated[str, Option("folder of train/<class>/*.png and test/<class>/*.png")],
    data_root: DataRoot = None,
    size: Annotated[int | None, Option("side in pixels to resize all images to; None wants equal sizes", low=1)] = None,
    colour: Annotated[str, Option("read the images with 3 channels or with 1", choices=("rgb", "grey"))] = "rgb",
    augmentation: Augmentation = "none",
    name: Name = None,
) -> Dataset:
    """Your own images: folders train/<class>/ and test/<class>/ of image files.

    Args:
        path: the folder that holds ``train`` and ``test``; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
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
    options = {"path": str(path), "size": size, "colour": colour, "augmentation": augmentation}
    validate_options(load_folder, options, where="dataset 'folder'")
    folder = _find(path, data_root)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset 'folder': there is no folder {folder}")
    classes = split_folders(folder)
    # The first training image fixes the size for both splits.
    x_train, y_train = read_split(folder / "train", classes, size=size, grey=colour == "grey", shape=None)
    shape = (int(x_train.shape[2]), int(x_train.shape[3]))
    x_test, y_test = read_split(folder / "test", classes, size=size, grey=colour == "grey", shape=shape)
    return Dataset(
        name=name or folder.resolve().name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=classes,
        augmentation=augmentation,
    )


def _find(path: str, data_root: str | None) -> Path:
    here = Path(path).expanduser()
    there = data_folder(data_root) / here
    return there if not here.exists() and there.exists() else here


def _read_arrays(file: Path) -> dict[str, AnyArray]:
    try:
        archive = np.load(file, allow_pickle=False)
    except _UNREADABLE as error:
        raise DatasetError(f"{file} cannot be read as an .npz file: {error}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DatasetError(f"{file} holds one array; expected an .npz file with {', '.join(_ARRAYS)}")
    with archive:
        missing = [key for key in _ARRAYS if key not in archive.files]
        if missing:
            raise DatasetError(f"{file} has no {', '.join(missing)}; it holds {', '.join(archive.files) or 'nothing'}")
        wanted = [*_ARRAYS, "classes"] if "classes" in archive.files else list(_ARRAYS)
        return {key: _read_array(archive, key, file) for key in wanted}


def _read_array(archive: Any, key: str, file: Path) -> AnyArray:
    try:
        array: AnyArray = archive[key]
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise DatasetError(f"{file}: {key} holds Python objects, which are not read; save numbers or text") from error
        raise DatasetError(f"{file}: {key} is damaged: {error}") from error
    return array


def _channel_axis(x: AnyArray, layout: str, file: Path) -> int:
    """Axis of the channels: 1 or 3; images without one count as channels first."""
    if x.ndim != 4 or layout != "auto":
        return 3 if layout == "nhwc" else 1
    first, last = x.shape[1] in _COLOUR_CHANNELS, x.shape[3] in _COLOUR_CHANNELS
    if first == last:
        problem = "both the second and the last axis" if first else "neither the second nor the last axis"
        raise DatasetError(f"{file}: {problem} of x_train {x.shape} could be 1 or 3 channels; set layout to nchw or nhwc")
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
