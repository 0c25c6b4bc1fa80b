"""Data sets from a folder of ``.npy`` files, which may be larger than memory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
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
    as_labels,
    channel_axis,
    class_names,
    find_file,
    names_of_arrays,
    two_splits,
)
from fairart.datasets.array_file import ArrayFileImages, open_array
from fairart.datasets.base import DataRoot, Dataset, DatasetError
from fairart.datasets.columns import SplitValues
from fairart.datasets.memory import DataMemory, stays_on_disk
from fairart.datasets.splitting import TestSeed, TestShare
from fairart.datasets.stored import Images
from fairart.plugins.options import Option, validate_options

__all__ = ["load_npy"]


def load_npy(
    *,
    path: Annotated[str, Option("folder of x_train.npy, y_train.npy, x_test.npy, y_test.npy and, if wanted, classes.npy")],
    data_root: DataRoot = None,
    data_memory: DataMemory = None,
    test_share: TestShare = None,
    test_seed: TestSeed = 0,
    layout: Layout = "auto",
    augmentation: Augmentation = "none",
    name: Name = None,
) -> Dataset:
    """Your own arrays of any size: a folder of x_train.npy, y_train.npy, x_test.npy and y_test.npy.

    Images of more than ``data_memory`` stay on disk, and batches are read while training; numbers are the same bit for bit. What
    the arrays hold, and which may be missing, is as for ``npz``.

    Args:
        path: the folder; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
        data_memory: most memory for the images of both splits, such as ``"4GiB"``; None for half of what is free.
        test_share: share of each class kept for testing, in (0, 1); only for folders without x_test.
        test_seed: of the draw of that share.
        layout: ``"nchw"``, ``"nhwc"``, or ``"auto"``, which takes the axis that has 1 or 3 channels.
        augmentation: ``"none"`` or ``"crop-flip"``.
        name: what reports call the data set; the folder's name by default.

    Returns:
        Images (N, C, H, W), arrays or :class:`~fairart.datasets.StoredImages`; uint8 from whole numbers and float32 from floats.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: a file is no array, or the arrays are no data set; the message names the file.
        OptionError: an option has a value that is not allowed.
    """
    options: dict[str, Any] = {"path": str(path), "layout": layout, "augmentation": augmentation, "data_memory": data_memory}
    options |= {"test_share": test_share, "test_seed": test_seed}
    validate_options(load_npy, options, where="dataset 'npy'")
    folder = find_file(path, data_root)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset 'npy': there is no folder {folder}")
    there = sorted(file.stem for file in folder.glob("*.npy"))
    names = {key: folder / f"{name}.npy" for key, name in names_of_arrays(there, test_share, folder).items()}
    stored = _stored_images(names, layout)
    streamed, storage = stays_on_disk(sum(images.nbytes for images in stored.values()), data_memory, where="dataset 'npy'")
    images: dict[str, Images] = {split: x if streamed else x[:] for split, x in stored.items()}
    try:
        labels = {split: as_labels(np.array(open_array(names[f"y_{split}"])), f"y_{split}") for split in images}
        classes = folder / "classes.npy"
        return Dataset(
            name=name or folder.resolve().name,
            **two_splits(images, labels, _columns(folder, labels), test_share, test_seed, folder),
            classes=class_names(np.array(open_array(classes)) if classes.exists() else None, *labels.values()),
            augmentation=augmentation,
            storage=storage,
        )
    except DatasetError as error:
        raise error if str(folder) in str(error) else DatasetError(f"{folder}: {error}") from error


def _columns(folder: Path, labels: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, SplitValues]:
    """Arrays with one value an image, as ``npz`` takes them: ``site_train.npy`` and ``site_test.npy``."""
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    passed_over = {*ARRAYS, *OTHER_NAMES.values()}
    for file in sorted(folder.glob("*.npy")):
        for split, own in labels.items():
            name = file.stem.removeprefix(f"{split}_").removesuffix(f"_{split}")
            if file.stem in passed_over or name == file.stem:
                continue
            with contextlib.suppress(DatasetError):  # an array that nobody asked for may be damaged
                values = open_array(file)
                if values.shape == own.shape and values.dtype.kind in "biufUS":
                    found.setdefault(name, {})[split] = np.array(values)
    return dict(found)


def _stored_images(names: dict[str, Path], layout: str) -> dict[str, ArrayFileImages]:
    splits = [split for split in ("train", "test") if f"x_{split}" in names]
    first = names[f"x_{splits[0]}"]
    axis = channel_axis(open_array(first).shape, layout, first, first.stem)
    return {split: ArrayFileImages(names[f"x_{split}"], channel_axis=axis) for split in splits}
