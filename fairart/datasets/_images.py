"""Folders of image files: where the splits are, and what lies in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DatasetError
from fairart.datasets.image_files import FileNames

__all__ = ["list_split", "split_folders"]

_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
_LAYOUT = "expected train/<class>/*.png (or jpg, ...) and test/<class>/*.png, with the same class folders in both"


def split_folders(folder: Path, test_share: float | None = None) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Where the splits of a folder of images are, and the class names, sorted.

    Args:
        folder: holds ``train`` and ``test``, or ``test`` alone; with ``test_share``, ``train`` alone or the class folders.
        test_share: what will be drawn from the training images, or None.

    Raises:
        DatasetError: a split is missing or the two have different classes.
    """
    there = {split: folder / split for split in ("train", "test") if (folder / split).is_dir()}
    if "test" not in there and test_share is None:
        missing = "test" if there else "train"
        offer = "; or draw a test split with test_share=0.2 (--test-share 0.2)"
        raise DatasetError(f"{folder} has no folder {missing!r}; {_LAYOUT}{offer}")
    if "test" in there and test_share is not None:
        raise DatasetError(f"{folder} has a folder 'test', so test_share={test_share:g} has nothing to draw: leave it out")
    there = there or {"train": folder}
    # Hidden folders belong to tools (.ipynb_checkpoints), they are no classes.
    found = {
        split: {entry.name for entry in place.iterdir() if entry.is_dir() and entry.name[0] != "."}
        for split, place in there.items()
    }
    if len(found) == 2:
        odd = sorted(found["train"] ^ found["test"])
        if odd:
            where = "train" if odd[0] in found["train"] else "test"
            raise DatasetError(f"{folder}: class folder {odd[0]!r} is in {where!r} only; {_LAYOUT}")
    for split, names in found.items():
        if not names:
            raise DatasetError(f"{there[split]} has no class folders; {_LAYOUT}")
    return there, tuple(sorted(next(iter(found.values()))))


def list_split(folder: Path, classes: tuple[str, ...]) -> tuple[FileNames, npt.NDArray[np.int64]]:
    """The image files of one split, class by class, and their labels.

    Args:
        folder: holds one folder per class.
        classes: their names, in the order of the labels.

    Raises:
        DatasetError: a class without images; the message names its folder.
    """
    counts: list[int] = []

    def names() -> Iterator[str]:
        for name in classes:
            # In the order of paths, as pathlib sorts them; one class at a time.
            files = sorted(_files(folder / name), key=lambda file: file.split("/"))
            if not files:
                raise DatasetError(f"class folder {folder / name} has no images ({', '.join(sorted(_ENDINGS))})")
            counts.append(len(files))
            yield from (f"{name}/{file}" for file in files)

    listed = FileNames(folder, names())
    return listed, np.repeat(np.arange(len(classes)), counts)


def _files(folder: Path, below: str = "") -> Iterator[str]:
    """Image files of a folder and of those in it, relative to it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(folder / entry.name, f"{below}{entry.name}/")
            elif Path(entry.name).suffix.lower() in _ENDINGS and entry.name[0] != ".":
                yield below + entry.name
