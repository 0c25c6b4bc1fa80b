"""Corrupted images as a folder in the published layout of CIFAR-10-C."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import fairart
from fairart.corruptions.common import SEVERITIES
from fairart.corruptions.folder import LABELS_FILE, MADE_FILE, CorruptionFolderError, read_made
from fairart.corruptions.make import MadeCorruptions
from fairart.datasets.stored import StoredImages
from fairart.files import remove_leftovers, replaced, replacing, write_text

__all__ = ["write_corruptions"]


def write_corruptions(
    x: npt.NDArray[Any] | Tensor | StoredImages,
    y: npt.ArrayLike,
    folder: str | Path,
    *,
    corruptions: str | Sequence[str] = "all",
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: torch.device | str = "cpu",
    resume: bool = False,
    overwrite: bool = False,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[str, int], object] | None = None,
) -> Path:
    """Write corrupted versions of images, all five severities of each, as CIFAR-10-C is published.

    ``<corruption>.npy`` is uint8 (5 * n, H, W, C), severity 1 first, ``labels.npy`` five times the classes. Values are rounded to
    the nearest of 256 (the published ones are cut off). ``made.json`` says that fairart made the folder, with version, seed and
    what differs from CIFAR-10-C. Each file has its name only when it is complete.

    Args:
        x: (n, C, H, W), uint8 or floating point in [0, 1].
        y: (n,) classes.
        folder: created if it does not exist.
        corruptions: a named set, a name, or several.
        seed: of all corruptions.
        options: options of single corruptions, as for :class:`MadeCorruptions`.
        device: where images are corrupted.
        resume: go on where an earlier writing of the same images with the same seed and options was interrupted, or add
            corruptions to it: files that are there stay.
        overwrite: delete the files that fairart wrote to the folder earlier.
        about: what else stands in ``made.json``, such as the name of the data set: plain values.
        progress: called with the name of the corruption and the number of images done, with 0 where one begins.

    Returns:
        The folder.

    Raises:
        FileExistsError: files are there, and neither ``resume`` nor ``overwrite`` is set, or they are of other images, another
            seed or other options, or were not made by fairart.
        TypeError, ValueError, MissingTexturesError: as :class:`MadeCorruptions`, before anything is written.
    """
    made = MadeCorruptions(x, y, corruptions=corruptions, seed=seed, options=options, device=device)
    target = Path(folder).expanduser()
    note = {**made.describe(), **(about or {}), "fairart": fairart.__version__}
    note["identities"] = {name: made.identity(name) for name in made.names}
    earlier = _earlier(target, note, resume=resume, overwrite=overwrite)
    target.mkdir(parents=True, exist_ok=True)
    # First, so that a folder that is never finished is not taken for a published one.
    text = json.dumps(_joined(note, earlier), indent=2, default=str) + "\n"
    write_text(target / MADE_FILE, text)
    labels = np.tile(made.labels, len(SEVERITIES))
    labels = labels.astype(np.uint8 if labels.max() < 256 else np.int64)
    with replaced(target / LABELS_FILE) as file:
        np.save(file, labels, allow_pickle=False)
    tell = progress or (lambda name, images: None)
    for name in made.names:
        tell(name, 0)
        if earlier is not None and (target / f"{name}.npy").exists():
            tell(name, len(SEVERITIES) * len(made))
        else:
            remove_leftovers(target / f"{name}.npy")
            with replacing(target / f"{name}.npy") as part:
                _write_images(part, made, name, tell)
    return target


def _earlier(target: Path, note: Mapping[str, Any], *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """The note of what is there already and stays; None where nothing is, or it is replaced."""
    names = [MADE_FILE, LABELS_FILE, *(f"{name}.npy" for name in note["identities"])]
    taken = [file for file in names if (target / file).exists()]
    if not taken:
        return None
    if not (target / MADE_FILE).exists():
        raise FileExistsError(f"{target} was not made by fairart and is not overwritten; it holds {', '.join(taken)}")
    if overwrite:
        _remove(target)
        return None
    if not resume:
        raise FileExistsError(f"{target} already holds {', '.join(taken)}; give another folder, or overwrite")
    earlier = read_made(target / MADE_FILE) or {}
    differs = _differences(earlier.get("identities") or {}, note["identities"])
    if differs:
        raise FileExistsError(f"{target} was made with {', '.join(differs)}; give another folder, or overwrite")
    return earlier


def _remove(target: Path) -> None:
    """Take away the images that the note of a folder lists: none may be taken for those of the next note."""
    try:
        listed = (read_made(target / MADE_FILE) or {}).get("corruptions", ())
    except CorruptionFolderError:  # damaged: what it listed cannot be known
        listed = [file.stem for file in target.glob("*.npy")]
    for file in target.glob("*.npy"):
        if file.stem in listed:
            file.unlink()


def _differences(earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """In what the corruptions of a folder differ from those that are wanted, one phrase each."""
    if not earlier:
        return ["a version that did not say of which images"]
    detail: dict[str, None] = {}
    for name, theirs in earlier.items():
        # Of another corruption, what follows from its name and options may differ.
        mine = wanted.get(name)
        shared = ("corruption seed", "images", "labels") if mine is None else {**theirs, **mine}
        for key in shared:
            here = (mine or next(iter(wanted.values()))).get(key)
            if theirs.get(key) != here:
                detail[f"other {key}" if key in ("images", "labels") else f"{key} {theirs.get(key)} and not {here}"] = None
    return list(detail)


def _joined(note: Mapping[str, Any], earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """The note of a folder to which corruptions are added."""
    if earlier is None:
        return dict(note)
    both = {key: list(dict.fromkeys([*earlier.get(key, ()), *note[key]])) for key in ("corruptions", "notes")}
    joined = {key: {**(earlier.get(key) or {}), **note[key]} for key in ("options", "identities")}
    return {**note, **both, **joined}


def _write_images(file: Path, made: MadeCorruptions, name: str, tell: Callable[[str, int], object]) -> None:
    channels, height, width = made.image_shape
    shape = (len(SEVERITIES) * len(made), height, width, channels)
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    written = 0
    for severity in SEVERITIES:
        for images, _ in made.batches(name, severity):
            pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            array[written : written + len(pixels)] = pixels
            written += len(pixels)
            tell(name, len(pixels))
    array.flush()
