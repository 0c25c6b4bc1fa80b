"""Data sets from tar shards in the layout of WebDataset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from fairart.datasets._arrays import Augmentation, Name, find_file
from fairart.datasets.base import DataRoot, Dataset, DatasetError
from fairart.datasets.listed_images import Colour, CropOption, Reading, Side, SkipUnreadable, Workers, dataset_of
from fairart.datasets.memory import DataMemory
from fairart.datasets.splitting import TestSeed, TestShare
from fairart.datasets.tar_images import Sample, TarImages, list_shard
from fairart.datasets.wds_labels import LabelMember, classes_of
from fairart.plugins.options import Option, validate_options

__all__ = ["load_wds"]

SPLITS = {"train": "train", "test": "test", "validation": "test", "val": "test"}
"""Word in the name of a shard, or name of its folder -> split."""
TAR = re.compile(r"\.(tar|tgz)(\.\w+)?$", re.IGNORECASE)


def load_wds(
    *,
    path: Annotated[str, Option("folder of shards train-000.tar, ... and test-000.tar, ... (or validation-, val-)")],
    data_root: DataRoot = None,
    data_memory: DataMemory = None,
    label: Annotated[str, Option("member with the class: its ending, such as cls, or json:FIELD")] = "cls",
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
    """Your own images in tar shards as WebDataset has them: train-000.tar, ... and test-000.tar, ...

    A sample is an image and a label whose names are the same up to the first dot: ``n01440764_18.jpg`` and
    ``n01440764_18.cls``. The shards are not streamed: where each image begins is read from the tar headers at the start, so that
    the order of a run follows from its seed alone, and it is resumed bit for bit as one from a folder of files.

    Shards of the test split are called ``test``, ``validation`` or ``val``; they may stand in folders of these names instead.
    Numbered shards must be without a gap. Labels are whole numbers from 0, named by the lines of ``classes.txt`` if there is one,
    or texts, which are the names of the classes then.

    Args:
        path: the folder; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
        data_memory: most memory for the decoded images of both splits, such as ``"4GiB"``; None for half of what is free.
        label: ``"cls"`` or another ending, or ``"json:label"`` for the field ``label`` of the member ``.json``.
        test_share: share of each class kept for testing, in (0, 1); only for folders without test shards.
        test_seed: of the draw of that share.
        size: see ``folder``.
        crop: see ``folder``.
        colour: ``"rgb"`` for three channels, ``"grey"`` for one.
        skip_unreadable: leave images out that cannot be read, see ``folder``.
        workers: processes that decode images on disk.
        augmentation: ``"none"`` or ``"crop-flip"``.
        name: what reports call the data set; the folder's name by default.

    Returns:
        Images (N, C, H, W) uint8, arrays or :class:`~fairart.datasets.StoredImages`.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: a shard that is missing, compressed, damaged or cut short, a sample without an image or a label, labels that
            do not fit, or a file that is no image; the message names the culprit.
        OptionError: an option is outside its range, or a crop without a size.
    """
    options: dict[str, Any] = {"path": str(path), "size": size, "crop": crop, "colour": colour, "augmentation": augmentation}
    options |= {"test_share": test_share, "test_seed": test_seed, "data_memory": data_memory, "workers": workers, "label": label}
    validate_options(load_wds, options, where="dataset 'wds'")
    reading = Reading(
        kind="wds",
        size=size,
        crop=crop,
        colour=colour,
        data_memory=data_memory,
        skip_unreadable=skip_unreadable,
        workers=workers,
    )
    reading.check()
    member = LabelMember.of(label)
    folder = find_file(path, data_root)
    if not folder.is_dir():
        raise FileNotFoundError(f"dataset 'wds': there is no folder {folder}")
    texts: dict[str, list[str]] = {}
    images = {
        split: TarImages(_samples(shards, member, texts.setdefault(split, [])))
        for split, shards in _shards(folder, test_share).items()
    }
    labels, classes = classes_of(texts, folder)
    return dataset_of(
        {split: (images[split], labels[split]) for split in images},
        reading,
        folder=folder,
        classes=classes,
        columns={},
        test_share=test_share,
        test_seed=test_seed,
        augmentation=augmentation,
        name=name,
    )


def _samples(shards: Sequence[Path], label: LabelMember, texts: list[str]) -> Iterator[tuple[Path, list[Sample]]]:
    """Every shard with its samples; the texts of their labels are added to the list."""
    for shard in shards:
        samples = list_shard(shard, label.ending)
        texts += (label.label(sample, shard) for sample in samples)
        yield shard, samples


def _shards(folder: Path, test_share: float | None) -> dict[str, list[Path]]:
    """Split -> its shards, in the order of their names."""
    found: dict[str, dict[str, list[Path]]] = {}
    files = sorted(file for place in ("*", "*/*") for file in folder.glob(place) if TAR.search(file.name) and file.is_file())
    for file in files:
        words = re.split(r"[-_.]", file.name.lower()) if file.parent == folder else [file.parent.name.lower()]
        # The last one: what stands before is the name of the data set.
        word = next((word for word in reversed(words) if word in SPLITS), None)
        if word is None:
            continue
        if not file.name.endswith(".tar"):
            raise DatasetError(
                f"{file} is compressed, or not called .tar: images are read at any place, so unpack it to a file called .tar"
            )
        found.setdefault(SPLITS[word], {}).setdefault(word, []).append(file)
    offer = "; or draw a test split with test_share=0.2 (--test-share 0.2)"
    if "train" not in found and "test" not in found:
        there = f"; there: {', '.join(file.relative_to(folder).as_posix() for file in files[:3])}" if files else ""
        raise DatasetError(
            f"{folder} has no shards: expected train-000.tar, ... and test-000.tar, ... (or validation-, val-), or folders of "
            f"these names{there}"
        )
    if "test" not in found and test_share is None:
        raise DatasetError(f"{folder} has no shards of a test split (test-*.tar, validation-*.tar or val-*.tar){offer}")
    if "test" in found and test_share is not None:
        raise DatasetError(f"{folder} has test shards, so test_share={test_share:g} has nothing to draw: leave it out")
    for split, by_word in found.items():
        if len(by_word) > 1:
            raise DatasetError(f"{folder} has several sets of shards for the {split} split: {', '.join(by_word)}; keep one")
    shards: dict[str, list[Path]] = {split: found[split].popitem()[1] for split in ("train", "test") if split in found}
    for own in shards.values():
        _check_without_gap(own)
    return shards


def _check_without_gap(shards: Sequence[Path]) -> None:
    """Numbered shards begin with 0 or 1 and leave none out; ``-of-00010`` says how many there are."""
    series: dict[tuple[str, int], set[int]] = {}
    for shard in shards:
        found = re.fullmatch(r"(.*?)(\d+)(?:-of-(\d+))?", shard.stem)
        if found is not None:
            series.setdefault((found[1], int(found[3] or 0)), set()).add(int(found[2]))
    for (stem, total), numbers in series.items():
        first = 1 if min(numbers) == 1 else 0
        missing = sorted(set(range(first, max([*numbers, total + first - 1]) + 1)) - numbers)
        if missing:
            shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            raise DatasetError(
                f"{shards[0].parent}: of the shards {stem}* number {shown} is missing; there are {len(numbers)}, up to number "
                f"{max(numbers)}" + (f" of {total}" if total else "")
            )
