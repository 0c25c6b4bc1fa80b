"""Folders of image files, read into one array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DatasetError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["read_split", "split_files", "split_folders"]

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


def read_split(
    folder: Path, classes: tuple[str, ...], *, size: int | None, grey: bool, shape: tuple[int, int] | None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read the images of one split.

    Args:
        folder: holds one folder per class.
        classes: their names, in the order of the labels.
        size: side to resize to, in pixels, or None.
        grey: one channel instead of three.
        shape: (H, W) that every image must have, or None for that of the first image.

    Returns:
        Images (N, C, H, W) uint8 and labels (N,) int64.

    Raises:
        DatasetError: a class without images, a file that is no image, or one whose size differs; the message names it.
    """
    files = split_files(folder, classes)
    images: npt.NDArray[np.uint8] | None = None
    for index, (file, _) in enumerate(files):
        pixels = _read_image(file, size=size, grey=grey)
        shape = shape or (pixels.shape[1], pixels.shape[2])
        if pixels.shape[1:] != shape:
            raise DatasetError(
                f"{file} has {pixels.shape[1]}x{pixels.shape[2]} pixels (height x width), the images before it have "
                f"{shape[0]}x{shape[1]}; set size to resize all"
            )
        if images is None:
            images = np.empty((len(files), *pixels.shape), dtype=np.uint8)
        images[index] = pixels
    if images is None:
        raise DatasetError(f"{folder} has no images; {_LAYOUT}")
    return images, np.array([label for _, label in files], dtype=np.int64)


def split_files(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """The image files of one split with their labels, in the order of its images.

    Args:
        folder: holds one folder per class.
        classes: their names, in the order of the labels.

    Raises:
        DatasetError: a class without images.
    """
    return [(file, label) for label, name in enumerate(classes) for file in _image_files(folder / name)]


def _image_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _ENDINGS and file.name[0] != ".")
    if not files:
        raise DatasetError(f"class folder {folder} has no images ({', '.join(sorted(_ENDINGS))})")
    return files


def _read_image(file: Path, *, size: int | None, grey: bool) -> npt.NDArray[np.uint8]:
    """One image as (C, H, W) uint8."""
    from PIL import Image

    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise DatasetError(f"{file} has pixels of more than 8 bits (mode {opened.mode}); save it with 8 bits")
            image: Image.Image = opened.convert("L" if grey else "RGB")
    # SyntaxError is what Pillow raises for a damaged PNG.
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{file} cannot be read as an image: {error}") from error
    if size is not None and image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)
