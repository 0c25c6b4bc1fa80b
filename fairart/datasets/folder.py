"""Data sets from the user's own images: folders of files."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from fairart.datasets._arrays import Augmentation, Name, find, two_splits
from fairart.datasets._images import read_split, split_folders
from fairart.datasets.base import DataRoot, Dataset
from fairart.datasets.splitting import TestSeed, TestShare
from fairart.datasets.stored import Images
from fairart.plugins.options import Option, validate_options

__all__ = ["load_folder"]


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
    the class folders that stand directly in the folder.

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
    folder = find(path, data_root)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset 'folder': there is no folder {folder}")
    splits, classes = split_folders(folder, test_share)
    images: dict[str, Images] = {}
    labels: dict[str, npt.NDArray[np.int64]] = {}
    shape: tuple[int, int] | None = None
    for split, place in splits.items():
        images[split], labels[split] = read_split(place, classes, size=size, grey=colour == "grey", shape=shape)
        # The first image fixes the size for both splits.
        shape = (int(images[split].shape[2]), int(images[split].shape[3]))
    return Dataset(
        name=name or folder.resolve().name,
        **two_splits(images, labels, test_share, test_seed, folder),
        classes=classes,
        augmentation=augmentation,
    )
