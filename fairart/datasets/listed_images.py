"""A data set of images that are listed and not yet read: into memory, or left where they are and decoded while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fairart.datasets._arrays import two_splits
from fairart.datasets.base import Dataset, DatasetError
from fairart.datasets.columns import SplitValues
from fairart.datasets.image_files import ImageFiles, ImageNames, Labels
from fairart.datasets.image_view import Crop, ImageView, UnreadableImageError
from fairart.datasets.memory import stays_on_disk
from fairart.datasets.stored import Images, Rows
from fairart.errors import OptionError
from fairart.plugins.options import Option

__all__ = ["Colour", "CropOption", "Listed", "Reading", "Side", "SkipUnreadable", "Workers", "dataset_of"]

Listed = Mapping[str, tuple[ImageNames, Labels]]
"""Split -> images and their classes."""

Side = Annotated[int | None, Option("side in pixels to resize all images to; None wants equal sizes", low=1)]
CropOption = Annotated[
    Crop,
    Option(
        "resize the whole image (none), cut a square from its middle (centre), or train on random resized crops and evaluate "
        "the middle (random)",
        choices=("none", "centre", "random"),
    ),
]
Colour = Annotated[str, Option("read the images with 3 channels or with 1", choices=("rgb", "grey"))]
SkipUnreadable = Annotated[bool, Option("pass over images that cannot be read, and list them")]
Workers = Annotated[
    int | None, Option("processes that decode images on disk, 0 for threads alone; by default one a processor core", low=0)
]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How images are read.

    Args:
        kind: of the data set, as errors call it.
        size: side in pixels, or None.
        crop: see :class:`~fairart.datasets.image_view.ImageView`.
        colour: ``"rgb"`` or ``"grey"``.
        data_memory: most memory for the decoded images of both splits, or None.
        skip_unreadable: pass over images that cannot be read.
        workers: processes that decode.
    """

    kind: str
    size: int | None
    crop: Crop
    colour: str
    data_memory: str | None
    skip_unreadable: bool
    workers: int | None

    def check(self) -> None:
        """Refuse a crop without a size.

        Raises:
            OptionError: that.
        """
        if self.crop != "none" and self.size is None:
            raise OptionError(f"dataset {self.kind!r}: crop={self.crop!r} needs a size, in pixels")


def dataset_of(
    listed: Listed,
    reading: Reading,
    *,
    folder: Path,
    classes: tuple[str, ...],
    columns: Mapping[str, SplitValues],
    test_share: float | None,
    test_seed: int,
    augmentation: Any,
    name: str | None,
) -> Dataset:
    """The data set of some listed images.

    Args:
        listed: the images of each split.
        reading: how they are read.
        folder: where they are.
        classes: names in the order of the labels.
        columns: values of all listed images.
        test_share: share of each class that is drawn for testing, or None.
        test_seed: of the draw.
        augmentation: of the data set.
        name: what reports call it; None for the folder's name.

    Raises:
        DatasetError: an image that cannot be read, or sizes that differ.
    """
    unreadable: dict[str, str] = {}
    view = ImageView(size=reading.size, crop=reading.crop, grey=reading.colour == "grey")
    view, shape = _view(listed, view, unreadable if reading.skip_unreadable else None)
    given: dict[str, Any] = {"skip_unreadable": reading.skip_unreadable, "workers": reading.workers, "unreadable": unreadable}
    files = {split: ImageFiles(names, labels, view, shape, **given) for split, (names, labels) in listed.items()}
    storage = _storage(sum(one.nbytes for one in files.values()), reading, view)
    images: dict[str, Images] = dict(files)
    labels = {split: one.labels for split, one in files.items()}
    if not storage:
        for split, one in files.items():
            rows = one.readable()
            chosen = one if rows is None else one.select(rows)
            images[split], labels[split] = chosen[:], chosen.labels
            columns = {name: _of_rows(values, split, rows) for name, values in columns.items()}
    return Dataset(
        name=name or folder.resolve().name,
        **two_splits(images, labels, columns, test_share, test_seed, folder),
        classes=classes,
        augmentation=augmentation,
        storage=storage,
        unreadable=unreadable,
    )


def _view(listed: Listed, view: ImageView, unreadable: dict[str, str] | None) -> tuple[ImageView, tuple[int, int]]:
    """The view with the shape that all images must have, and that shape; without a size, the first image fixes it."""
    if view.size is not None:
        return view, (view.size, view.size)
    for file in (names[row] for names, _ in listed.values() for row in range(len(names))):
        try:
            _, height, width = view.pixels(file).shape
        except UnreadableImageError as error:
            if unreadable is None:
                raise
            unreadable[str(file)] = str(error)
            continue
        return ImageView(crop=view.crop, grey=view.grey, shape=(height, width)), (height, width)
    raise DatasetError("none of the images can be read")


def _storage(nbytes: int, reading: Reading, view: ImageView) -> str:
    """Why images stay in their files; empty where they do not."""
    _, why = stays_on_disk(nbytes, reading.data_memory, where=f"dataset {reading.kind!r}")
    if view.varies:
        return "images are decoded batch by batch: each is cropped anew in every epoch"
    return why and why.replace("read from disk", "read from their files and decoded")


def _of_rows(values: SplitValues, split: str, rows: Rows | None) -> SplitValues:
    """A column without the images of a split that were passed over."""
    return values if rows is None or split not in values else {**values, split: values[split][rows]}
