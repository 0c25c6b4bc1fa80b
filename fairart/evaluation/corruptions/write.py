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

from fairart.evaluation.corruptions.common import SEVERITIES
from fairart.evaluation.corruptions.folder import LABELS_FILE, MADE_FILE
from fairart.evaluation.corruptions.make import MadeCorruptions

__all__ = ["write_corruptions"]


def write_corruptions(
    x: npt.NDArray[Any] | Tensor,
    y: npt.ArrayLike,
    folder: str | Path,
    *,
    corruptions: str | Sequence[str] = "all",
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write corrupted versions of images, all five severities of each, as CIFAR-10-C is published.

    ``<corruption>.npy`` is uint8 (5 * n, H, W, C), severity 1 first, ``labels.npy`` five times the classes. Values are rounded to
    the nearest of 256 (the published ones are cut off). ``made.json`` says that fairart made the folder, with version, seed and
    what differs from CIFAR-10-C. Each file has its name only when it is complete.

    Args:
        x: (n, C, H, W), uint8 or floating point in [0, 1].
        y: (n,) classes.
        folder: made where it is not there.
        corruptions: a named set, a name, or several.
        seed: of all corruptions.
        options: options of single corruptions, as for :class:`MadeCorruptions`.
        device: where images are corrupted.
        overwrite: replace files of a folder that fairart made before.
        progress: told the name of each corruption when its file is complete.

    Returns:
        The folder.

    Raises:
        FileExistsError: a file to write is there, and ``overwrite`` is not set or the folder was not made by fairart.
        TypeError, ValueError, MissingTexturesError: as :class:`MadeCorruptions`, before anything is written.
    """
    made = MadeCorruptions(x, y, corruptions=corruptions, seed=seed, options=options, device=device)
    target = Path(folder).expanduser()
    _refuse_to_replace(target, made.names, overwrite)
    target.mkdir(parents=True, exist_ok=True)
    # First, so that a folder that is never finished is not taken for a published one.
    text = json.dumps(made.describe(), indent=2, default=str) + "\n"
    _renamed(target / MADE_FILE, lambda file: file.write_text(text, encoding="utf-8"))
    labels = np.tile(made.labels, len(SEVERITIES))
    labels = labels.astype(np.uint8 if labels.max() < 256 else np.int64)
    _renamed(target / LABELS_FILE, lambda file: _save(file, labels))
    for name in made.names:
        _renamed(target / f"{name}.npy", lambda file, name=name: _write_images(file, made, name))  # type: ignore[misc]
        if progress is not None:
            progress(name)
    return target


def _refuse_to_replace(target: Path, names: Sequence[str], overwrite: bool) -> None:
    taken = [file for file in (MADE_FILE, LABELS_FILE, *(f"{name}.npy" for name in names)) if (target / file).exists()]
    if taken and not overwrite:
        raise FileExistsError(f"{target} already holds {', '.join(taken)}; give another folder, or overwrite")
    if taken and not (target / MADE_FILE).exists():
        raise FileExistsError(f"{target} was not made by fairart and is not overwritten; it holds {', '.join(taken)}")


def _renamed(file: Path, write: Callable[[Path], object]) -> None:
    part = file.with_name(f".{file.name}.part")
    try:
        write(part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _save(file: Path, array: npt.NDArray[Any]) -> None:
    with file.open("wb") as opened:
        np.save(opened, array, allow_pickle=False)


def _write_images(file: Path, made: MadeCorruptions, name: str) -> None:
    array: npt.NDArray[np.uint8] | None = None
    written = 0
    for severity in SEVERITIES:
        for images, _ in made.batches(name, severity):
            pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            if array is None:
                shape = (len(SEVERITIES) * len(made), *pixels.shape[1:])
                array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
            array[written : written + len(pixels)] = pixels
            written += len(pixels)
    if array is not None:
        array.flush()  # type: ignore[attr-defined]
