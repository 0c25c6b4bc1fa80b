"""What data sets of the user's own arrays have in common: names, axes, labels and splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import AUGMENTATIONS, DatasetError, data_folder
from fairart.datasets.columns import SplitValues, columns_of
from fairart.datasets.splitting import split_off
from fairart.datasets.stored import Images, select
from fairart.plugins.options import Option

__all__ = [
    "ARRAYS",
    "OTHER_NAMES",
    "Augmentation",
    "Layout",
    "Name",
    "as_images",
    "as_labels",
    "channel_axis",
    "class_names",
    "find_file",
    "names_of_arrays",
    "two_splits",
]

Augmentation = Annotated[str, Option("what training may do to the images", choices=AUGMENTATIONS)]
Layout = Annotated[str, Option("order of the axes; auto finds the one of 1 or 3 channels", choices=("auto", "nchw", "nhwc"))]
Name = Annotated[str | None, Option("what reports call the data set; by default the name of the file or folder")]
AnyArray = npt.NDArray[Any]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
OTHER_NAMES = {
    "x_train": "train_images",
    "y_train": "train_labels",
    "x_test": "test_images",
    "y_test": "test_labels",
}
"""What MedMNIST calls them; its validation images (val_images) are not used."""
_COLOUR_CHANNELS = (1, 3)


def find_file(path: str, data_root: str | None) -> Path:
    """Where a file or folder of the user's is: here, or in the folder of the data files if it is only there.

    Args:
        path: as the user wrote it.
        data_root: folder of the data files; None for the default.
    """
    here = Path(path).expanduser()
    there = data_folder(data_root) / here
    return there if not here.exists() and there.exists() else here


def names_of_arrays(there: list[str], test_share: float | None, place: Path) -> dict[str, str]:
    """Under which name each array stands in the file."""
    names = {key: name for key in ARRAYS for name in (OTHER_NAMES[key], key) if name in there}
    missing = [key for key in ARRAYS if key not in names]
    if missing == ["x_train", "y_train"]:
        return names
    if missing == ["x_test", "y_test"]:
        if test_share is not None:
            return names
        raise DatasetError(
            f"{place} has no {', '.join(missing)}: add them, or draw a test split with test_share=0.2 (--test-share 0.2)"
        )
    if missing:
        raise DatasetError(f"{place} has no {', '.join(missing)}; it holds {', '.join(there) or 'nothing'}")
    if test_share is not None:
        raise DatasetError(f"{place} has a test split, so test_share={test_share:g} has nothing to draw: leave it out")
    return names


def channel_axis(shape: tuple[int, ...], layout: str, file: Path, key: str) -> int:
    """Axis of the channels: 1 or 3; images without one count as channels first."""
    if len(shape) != 4 or layout != "auto":
        return 3 if layout == "nhwc" else 1
    first, last = shape[1] in _COLOUR_CHANNELS, shape[3] in _COLOUR_CHANNELS
    if first == last:
        problem = "both the second and the last axis" if first else "neither the second nor the last axis"
        raise DatasetError(f"{file}: {problem} of {key} {shape} could be 1 or 3 channels; set layout to nchw or nhwc")
    return 1 if first else 3


def as_images(x: AnyArray, axis: int, key: str) -> AnyArray:
    """Images (N, C, H, W) of uint8 or float32, contiguous."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and axis == 3:
        x = x.transpose(0, 3, 1, 2)
    if x.dtype.kind == "f":
        x = x.astype(np.float32, copy=False)
    elif x.dtype.kind in "iu" and x.dtype != np.uint8 and x.size:
        if x.min() < 0 or x.max() > 255:
            raise DatasetError(f"{key} of whole numbers must lie in 0..255, got {x.min()}..{x.max()}")
        x = x.astype(np.uint8)
    return np.ascontiguousarray(x)


def as_labels(y: AnyArray, key: str) -> npt.NDArray[np.int64]:
    """Labels (N,) of integers, of a column or of one-hot rows."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    elif y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        y = y.argmax(axis=1)
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise DatasetError(f"{key} must be integers (N,) or one-hot (N, K), got {y.dtype} of shape {y.shape}")
    return y.astype(np.int64)


def class_names(classes: AnyArray | None, *labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """The names given, or the numbers of the classes as text."""
    if classes is None:
        return tuple(str(k) for k in range(1 + max((int(y.max()) for y in labels if y.size), default=0)))
    if classes.ndim != 1 or classes.dtype.kind not in "USiu":
        raise DatasetError(f"classes must be K names (K,), got {classes.dtype} of shape {classes.shape}")
    return tuple(item.decode() if isinstance(item, bytes) else str(item) for item in classes.tolist())


def two_splits(
    images: Mapping[str, Images],
    labels: dict[str, npt.NDArray[np.int64]],
    columns: Mapping[str, SplitValues],
    test_share: float | None,
    test_seed: int,
    name: object,
) -> dict[str, Any]:
    """Training and test split of what is there: both, or training images to draw from, or test images alone."""
    note, nothing, images = "", np.arange(0), dict(images)
    if "train" in images and not len(images["train"]):
        raise DatasetError(f"x_train is empty, its shape is {images['train'].shape}")
    if "train" not in images:
        images["train"], labels["train"] = select(images["test"], nothing), labels["test"][:0]
        note = "test images alone"
    elif "test" not in images and test_share is not None:
        if len(images["train"]) != len(labels["train"]):
            raise DatasetError(f"x_train and y_train differ in length: {len(images['train'])} and {len(labels['train'])}")
        train, test = split_off(labels["train"], test_share, seed=test_seed, name=name)
        note = f"test images drawn from the training images: a share of {test_share:g} of each class, seed {test_seed}"
        images = {"train": select(images["train"], train), "test": select(images["train"], test)}
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
