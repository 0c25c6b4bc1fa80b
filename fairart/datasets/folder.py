"""Data sets from the user's own images: folders of files."""

from __future__ import annotations

from typing import Annotated, Any

from fairart.datasets._arrays import Augmentation, Name, find_file, two_splits
from fairart.datasets._images import list_split, split_folders
from fairart.datasets.base import DataRoot, Dataset, DatasetError
from fairart.datasets.columns import SplitValues, read_metadata
from fairart.datasets.image_files import FileNames, ImageFiles, Labels
from fairart.datasets.image_view import Crop, ImageView, UnreadableImageError
from fairart.datasets.memory import DataMemory, stays_on_disk
from fairart.datasets.splitting import TestSeed, TestShare
from fairart.datasets.stored import Images, Rows
from fairart.errors import OptionError
from fairart.plugins.options import Option, validate_options

__all__ = ["load_folder"]


def load_folder(
    *,
    path: Annotated[str, Option("folder of train/<class>/*.png and test/<class>/*.png")],
    data_root: DataRoot = None,
    data_memory: DataMemory = None,
    test_share: TestShare = None,
    test_seed: TestSeed = 0,
    size: Annotated[int | None, Option("side in pixels to resize all images to; None wants equal sizes", low=1)] = None,
    crop: Annotated[
        Crop,
        Option(
            "resize the whole image (none), cut a square from its middle (centre), or train on random resized crops and evaluate "
            "the middle (random)",
            choices=("none", "centre", "random"),
        ),
    ] = "none",
    colour: Annotated[str, Option("read the images with 3 channels or with 1", choices=("rgb", "grey"))] = "rgb",
    skip_unreadable: Annotated[bool, Option("pass over images that cannot be read, and list them")] = False,
    workers: Annotated[
        int | None, Option("processes that decode images on disk, 0 for threads alone; by default one a processor core", low=0)
    ] = None,
    augmentation: Augmentation = "none",
    name: Name = None,
) -> Dataset:
    """Your own images: folders train/<class>/ and test/<class>/ of image files.

    A folder with ``test`` alone serves for evaluation. If there is no ``test``, ``test_share`` draws it from ``train``, or from
    the class folders that stand directly in the folder. A file ``metadata.csv`` with a column ``file_name``, such as
    ``train/cat/1.png``, gives the images columns, such as ``site``.

    Images of more than ``data_memory`` stay in their files, and processes decode batches while training. So do images for
    ``crop="random"``, each cropped anew in every epoch by seed, epoch and place.

    Args:
        path: the folder that holds ``train`` and ``test``; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
        data_memory: most memory for the decoded images of both splits, such as ``"4GiB"``; None for half of what is free.
        test_share: share of each class kept for testing, in (0, 1); only for folders without ``test``.
        test_seed: of the draw of that share.
        size: pixels; images are brought to ``size`` x ``size``, bilinear with antialiasing.
        crop: ``"none"`` resizes the whole image, whatever its shape; ``"centre"`` resizes its shorter side to ``size`` / 0.875
            and cuts the middle; ``"random"`` evaluates that and trains on random resized crops.
        colour: ``"rgb"`` for three channels, ``"grey"`` for one.
        skip_unreadable: leave images out that cannot be read. Of a training split on disk, the next image of the class is trained
            on in place of one: which they are is known only when their turn comes.
        workers: processes that decode images on disk.
        augmentation: ``"none"`` or ``"crop-flip"``.
        name: what reports call the data set; the folder's name by default.

    Returns:
        Images (N, C, H, W) uint8, arrays or :class:`~fairart.datasets.StoredImages`; classes are the names of the class folders,
        sorted.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: the folder is laid out differently, a file is no image, or sizes differ; the message names the culprit.
        OptionError: an option is outside its range, or a crop without a size.
    """
    options: dict[str, Any] = {"path": str(path), "size": size, "crop": crop, "colour": colour, "augmentation": augmentation}
    options |= {"test_share": test_share, "test_seed": test_seed, "data_memory": data_memory, "workers": workers}
    validate_options(load_folder, options, where="dataset 'folder'")
    if crop != "none" and size is None:
        raise OptionError(f"dataset 'folder': crop={crop!r} needs a size, in pixels")
    folder = find_file(path, data_root)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset 'folder': there is no folder {folder}")
    places, classes = split_folders(folder, test_share)
    listed = {split: list_split(place, classes) for split, place in places.items()}
    unreadable: dict[str, str] = {}
    view, shape = _view(listed, ImageView(size=size, crop=crop, grey=colour == "grey"), unreadable if skip_unreadable else None)
    given: dict[str, Any] = {"skip_unreadable": skip_unreadable, "workers": workers, "unreadable": unreadable}
    files = {split: ImageFiles(names, labels, view, shape, **given) for split, (names, labels) in listed.items()}
    storage = _storage(sum(one.nbytes for one in files.values()), data_memory, view)
    images: dict[str, Images] = dict(files)
    labels = {split: one.labels for split, one in files.items()}
    columns = read_metadata(folder, places, {split: names for split, (names, _) in listed.items()})
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


def _view(
    listed: dict[str, tuple[FileNames, Labels]], view: ImageView, unreadable: dict[str, str] | None
) -> tuple[ImageView, tuple[int, int]]:
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


def _storage(nbytes: int, data_memory: str | None, view: ImageView) -> str:
    """Why images stay in their files; empty where they do not."""
    _, why = stays_on_disk(nbytes, data_memory, where="dataset 'folder'")
    if view.varies:
        return "images are decoded batch by batch: each is cropped anew in every epoch"
    return why and why.replace("read from disk", "read from their files and decoded")


def _of_rows(values: SplitValues, split: str, rows: Rows | None) -> SplitValues:
    """A column without the images of a split that were passed over."""
    return values if rows is None or split not in values else {**values, split: values[split][rows]}
