"""Folders in the published layout of CIFAR-10-C: read without loading, checked before any work."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.corruptions.common import SEVERITIES
from fairart.corruptions.make import check_severities
from fairart.corruptions.sets import corruption_names
from fairart.corruptions.source import check_asked_for, in_batches
from fairart.fingerprint import array_digest, file_stamp

__all__ = ["LABELS_FILE", "MADE_FILE", "CorruptionFolder", "CorruptionFolderError", "read_made"]

LABELS_FILE = "labels.npy"
MADE_FILE = "made.json"
"""Tells a folder that fairart made from a published one."""


class CorruptionFolderError(ValueError):
    """A folder is not in the published layout; the message names the file and the rule."""


class CorruptionFolder:
    """CIFAR-10-C, CIFAR-100-C, or any folder like them: ``<corruption>.npy`` of 5 * n images, severity 1 first.

    Every file asked for is opened and checked here, before any work; pixels are read from disk when they are asked for.

    Args:
        folder: holds ``labels.npy`` and one ``<corruption>.npy`` each, uint8 (5 * n, H, W, C), C 1 or 3.
        corruptions: a named set, a name, or several, see :func:`corruption_names`; None for those whose files are there.
        severities: any of 1 to 5.
        nb_classes: K; labels must be in 0 to K - 1, and a class may have no image. None accepts any.
        input_shape: (C, H, W) that images must have. None accepts any, the same for all files.
        device: device of the returned batches.

    Raises:
        UnknownNameError: there is no such corruption.
        CorruptionFolderError: a file is missing, truncated, no .npy, of another shape or type, or the labels do not fit.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        corruptions: str | Sequence[str] | None = None,
        severities: Sequence[int] = SEVERITIES,
        nb_classes: int | None = None,
        input_shape: tuple[int, int, int] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.folder = Path(folder).expanduser()
        self.device = torch.device(device)
        self.severities = check_severities(severities)
        if not self.folder.is_dir():
            raise CorruptionFolderError(f"there is no folder {self.folder}")
        there = tuple(sorted(file.stem for file in self.folder.glob("*.npy") if file.name != LABELS_FILE))
        if corruptions is None and not there:
            raise CorruptionFolderError(f"{self.folder} holds no <corruption>.npy")
        # A file of another name is somebody's own corruption: it can be asked for as well.
        self.names = there if corruptions is None else corruption_names(corruptions, known=_known(there))
        self.labels = _read_labels(self.folder / LABELS_FILE, nb_classes)
        self._chosen: npt.NDArray[np.int64] = np.arange(len(self.labels))
        self._arrays: dict[str, npt.NDArray[np.uint8]] = {}
        shape = None if input_shape is None else (input_shape[1], input_shape[2], input_shape[0])
        for name in self.names:
            self._arrays[name] = _open_images(self.folder / f"{name}.npy", len(self.labels), shape)
            shape = self._arrays[name].shape[1:]
        self._made = read_made(self.folder / MADE_FILE)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        height, width, channels = next(iter(self._arrays.values())).shape[1:]
        return int(channels), int(height), int(width)

    def subset(self, indices: npt.ArrayLike) -> CorruptionFolder:
        """The same folder cut down to some of its images, the same ones at every severity; nothing is loaded.

        Args:
            indices: (m,) positions in 0 to n - 1.

        Raises:
            ValueError: none at all, or positions outside.
        """
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not len(chosen) or chosen.min() < 0 or chosen.max() >= len(self):
            raise ValueError(f"expected positions from 0 to {len(self) - 1}, at least one, got {indices!r}")
        made = copy.copy(self)
        made._chosen, made.labels = self._chosen[chosen], self.labels[chosen]
        return made

    def identity(self, name: str) -> dict[str, Any]:
        """What the images of one corruption follow from, as plain values: the choice, and size and time of change of the file.

        Args:
            name: one of ``names``.
        """
        return {
            "corruption": name,
            "file": file_stamp(self.folder / f"{name}.npy"),
            "choice of images": array_digest(self._chosen),
            "labels": array_digest(self.labels),
        }

    def describe(self) -> dict[str, Any]:
        """What was read, for a result file: plain values only."""
        source = "a folder in the published layout" if self._made is None else str(self._made.get("source", "made by fairart"))
        return {
            "source": source,
            "folder": str(self.folder),
            "made": self._made,
            "corruptions": list(self.names),
            "severities": list(self.severities),
            "images": len(self),
        }

    def batches(self, name: str, severity: int, *, batch_size: int = 512) -> Iterator[tuple[Tensor, Tensor]]:
        """Read the images of one corruption and severity, a batch at a time.

        Args:
            name: one of ``names``.
            severity: one of ``severities``.
            batch_size: images a batch.

        Yields:
            Images (b, C, H, W) float32 in [0, 1] and classes (b,) int64, on the device.

        Raises:
            ValueError: a name or severity that was not asked for, or a batch size below 1.
        """
        check_asked_for(self, name, severity)
        return in_batches(self, name, severity, batch_size)

    def images(self, name: str, severity: int, first: int, stop: int) -> Tensor:
        """Read some images of one corruption and severity.

        Args:
            name: one of ``names``.
            severity: one of ``severities``.
            first: position of the first image.
            stop: position after the last one.

        Returns:
            (stop - first, C, H, W) float32 in [0, 1], on the device.

        Raises:
            ValueError: a name or severity that was not asked for.
        """
        check_asked_for(self, name, severity)
        array = self._arrays[name]
        offset = (severity - 1) * (len(array) // len(SEVERITIES))
        # Indexing by positions copies: only these images leave the disk.
        pixels = torch.from_numpy(array[offset + self._chosen[first:stop]]).to(self.device)
        return pixels.permute(0, 3, 1, 2).contiguous().float() / 255


def _known(there: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*corruption_names("all"), *there]))


def _load(file: Path) -> npt.NDArray[Any]:
    if not file.is_file():
        raise CorruptionFolderError(f"{file} is missing")
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CorruptionFolderError(f"{file} is truncated or no .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise CorruptionFolderError(f"{file} is an archive of several arrays, expected one array")
    return array


def _read_labels(file: Path, nb_classes: int | None) -> npt.NDArray[np.int64]:
    labels = _load(file)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise CorruptionFolderError(f"{file} must hold integers (5 * n,), got {labels.dtype} of shape {labels.shape}")
    if len(labels) == 0 or len(labels) % len(SEVERITIES):
        raise CorruptionFolderError(f"{file} must hold 5 * n labels, one n for each severity, got {len(labels)}")
    blocks: npt.NDArray[np.int64] = np.asarray(labels).astype(np.int64).reshape(len(SEVERITIES), -1)
    if (blocks != blocks[0]).any():
        raise CorruptionFolderError(f"{file}: the labels must be the same for every severity, and are not")
    classes = np.unique(blocks[0])
    if classes[0] < 0:
        raise CorruptionFolderError(f"{file}: labels must be >= 0, got {classes[0]}")
    if nb_classes is not None and classes[-1] >= nb_classes:
        raise CorruptionFolderError(f"{file}: label {classes[-1]} is out of range for {nb_classes} classes")
    first: npt.NDArray[np.int64] = blocks[0].copy()
    return first


def _open_images(file: Path, number: int, shape: tuple[int, ...] | None) -> npt.NDArray[np.uint8]:
    images = _load(file)
    if images.dtype != np.uint8:
        raise CorruptionFolderError(f"{file} must hold uint8, got {images.dtype}")
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise CorruptionFolderError(f"{file} must hold images (5 * n, H, W, 1 or 3), got shape {images.shape}")
    if len(images) != len(SEVERITIES) * number:
        raise CorruptionFolderError(
            f"{file} holds {len(images)} images, expected {len(SEVERITIES)} severities of {number} as {LABELS_FILE} has"
        )
    if shape is not None and images.shape[1:] != shape:
        raise CorruptionFolderError(f"{file} holds images (H, W, C) of shape {images.shape[1:]}, expected {shape}")
    return images


def read_made(file: Path) -> dict[str, Any] | None:
    """What ``made.json`` says; None where there is none.

    Raises:
        CorruptionFolderError: it cannot be read.
    """
    if not file.exists():
        return None
    try:
        made = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptionFolderError(f"{file} cannot be read: {error}") from error
    if not isinstance(made, dict):
        raise CorruptionFolderError(f"{file} must hold an object, got {type(made).__name__}")
    if not isinstance(made.get("version"), int):
        raise CorruptionFolderError(
            f"{file} must say which version of fairart's corruptions made the images, got {made.get('version')!r}"
        )
    return made
