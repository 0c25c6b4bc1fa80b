"""Tiny-ImageNet-200 from the files of its archive, decoded once."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DataRoot, Dataset, DatasetError, DownloadError, data_folder
from fairart.datasets.image_view import ImageView
from fairart.files import replacing

__all__ = ["load_tiny_imagenet"]

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"
DECODED = "fairart-decoded.npz"
"""The decoded images, written beside the JPEG files at the first load."""

Arrays = dict[str, npt.NDArray[Any]]
_FAILURES = (OSError, RuntimeError, ValueError, HTTPException, BadZipFile)


def load_tiny_imagenet(*, data_root: DataRoot = None) -> Dataset:
    """Tiny-ImageNet-200: 100 000 + 10 000 colour 64x64 images of 200 classes; the validation split is the test split.

    The JPEG files are decoded once, which takes a minute or two, and kept in one file of 1.4 GB beside them.

    Args:
        data_root: folder that holds ``tiny-imagenet-200``; the archive is downloaded only where that is missing.

    Returns:
        Images (N, 3, 64, 64) uint8, augmentation ``"crop-flip"``.

    Raises:
        DownloadError: the archive could not be fetched, or its files could not be read; the message says how to place them.

    Source: Le and Yang, Tiny ImageNet Visual Recognition Challenge, CS 231N, 2015.
    """
    root = data_folder(data_root)
    try:
        if not (root / FOLDER).is_dir():
            from torchvision.datasets.utils import download_and_extract_archive  # 3 s: only when it is needed

            download_and_extract_archive(URL, str(root))
        arrays = _decoded(root / FOLDER)
    except _FAILURES as error:
        raise DownloadError(
            f"tiny-imagenet could not be downloaded or read in {root} ({type(error).__name__}: {error}). "
            f"By hand: fetch {URL} and unpack it, so that wnids.txt lies in {root / FOLDER}; remove damaged files there first"
        ) from error
    return Dataset(
        name="tiny-imagenet",
        x_train=arrays["x_train"],
        y_train=arrays["y_train"],
        x_test=arrays["x_test"],
        y_test=arrays["y_test"],
        classes=tuple(map(str, arrays["classes"])),
        augmentation="crop-flip",
    )


def _decoded(folder: Path) -> Arrays:
    kept = folder / DECODED
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            return {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test", "classes")}
    wnids = (folder / "wnids.txt").read_text(encoding="utf-8").split()
    train = [(path, label) for label, wnid in enumerate(wnids) for path in _training_files(folder, wnid)]
    arrays: Arrays = {"classes": np.array(_class_names(folder, wnids))}
    for split, files in (("train", train), ("test", _validation_files(folder, wnids))):
        arrays[f"x_{split}"] = _read_all([path for path, _ in files])
        arrays[f"y_{split}"] = np.array([label for _, label in files], dtype=np.int64)
    with replacing(kept) as temporary, Path(temporary).open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # stubs of newer numpy read the names as options
    return arrays


def _training_files(folder: Path, wnid: str) -> list[Path]:
    files = sorted((folder / "train" / wnid / "images").glob("*.JPEG"))
    if not files:
        raise DatasetError(f"{folder / 'train' / wnid / 'images'} has no *.JPEG files")
    return files


def _validation_files(folder: Path, wnids: list[str]) -> list[tuple[Path, int]]:
    labels, place = {wnid: label for label, wnid in enumerate(wnids)}, folder / "val"
    files = []
    for number, line in enumerate((place / "val_annotations.txt").read_text(encoding="utf-8").splitlines(), start=1):
        name, wnid = (*line.split("\t"), "")[:2]
        if wnid not in labels:
            raise DatasetError(
                f"{place / 'val_annotations.txt'}, line {number}: expected a file and one of wnids.txt, got {line!r}"
            )
        files.append((place / "images" / name, labels[wnid]))
    return files


def _read_all(files: list[Path]) -> npt.NDArray[np.uint8]:
    images: npt.NDArray[np.uint8] | None = None
    for index, file in enumerate(files):
        pixels = ImageView().pixels(file)
        if images is None:
            images = np.empty((len(files), *pixels.shape), dtype=np.uint8)
        if pixels.shape != images.shape[1:]:
            raise DatasetError(f"{file} has the shape {pixels.shape}, the images before it have {images.shape[1:]}")
        images[index] = pixels
    if images is None:
        raise DatasetError("there are no images")
    return images


def _class_names(folder: Path, wnids: list[str]) -> list[str]:
    """The first word for each class; the identifier is added where two classes have one word, or there is none."""
    words: dict[str, str] = {}
    listed = folder / "words.txt"
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8").splitlines():
            wnid, _, names = line.partition("\t")
            words[wnid] = names.partition(",")[0].strip()
    shown = [words.get(wnid) or wnid for wnid in wnids]
    return [name if shown.count(name) == 1 else f"{name} ({wnid})" for name, wnid in zip(shown, wnids, strict=True)]
