"""Data sets from the user's own images: folders of files."""

from __future__ import annotations

from typing import Annotated, Any

from fairart.datasets._arrays import Augmentation, Name, find_file
from fairart.datasets._images import list_split, split_folders
from fairart.datasets.base import DataRoot, Dataset
from fairart.datasets.columns import read_metadata
from fairart.datasets.listed_images import Colour, CropOption, Reading, Side, SkipUnreadable, Workers, dataset_of
from fairart.datasets.memory import DataMemory
from fairart.datasets.splitting import TestSeed, TestShare
from fairart.plugins.options import Option, validate_options

__all__ = ["load_folder"]


def load_folder(
    *,
    path: Annotated[str, Option("folder of train/<class>/*.png and test/<class>/*.png")],
    data_root: DataRoot = None,
    data_memory: DataMemory = None,
    test_share: TestShare = None,
    test_seed: TestSeed = 0,
    size: Side = None,
    crop: CropOption = "none",
    colour: Colour = "rgb",
    skip_unreadable: SkipUnreadable = False,
    workers: Workers = None,
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
    reading = Reading(
        kind="folder",
        size=size,
        crop=crop,
        colour=colour,
        data_memory=data_memory,
        skip_unreadable=skip_unreadable,
        workers=workers,
    )
    reading.check()
    folder = find_file(path, data_root)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset 'folder': there is no folder {folder}")
    places, classes = split_folders(folder, test_share)
    listed = {split: list_split(place, classes) for split, place in places.items()}
    return dataset_of(
        listed,
        reading,
        folder=folder,
        classes=classes,
        columns=read_metadata(folder, places, {split: names for split, (names, _) in listed.items()}),
        test_share=test_share,
        test_seed=test_seed,
        augmentation=augmentation,
        name=name,
    )
