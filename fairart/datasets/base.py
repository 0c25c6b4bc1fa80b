"""What every data set is: two splits of images with labels, checked once and never changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.columns import Column
from fairart.datasets.stored import Images, StoredImages, select
from fairart.plugins.options import Option

__all__ = ["AUGMENTATIONS", "DataRoot", "Dataset", "DatasetError", "DownloadError", "data_folder"]

LabelArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

AUGMENTATIONS = ("none", "crop-flip")
"""What training may do to the images: nothing, or random crops after padding and horizontal flips."""

DataRoot = Annotated[str | None, Option("folder of the data files; by default FAIRART_DATA, else ~/.cache/fairart")]
"""The option that every loader takes."""

_CHUNK_VALUES = 1 << 22  # 32 MiB in float64, whatever the size of the data set
_COLOUR_CHANNELS = (1, 3)
STATISTICS_IMAGES = 10_000
"""Decoded for mean and standard deviation; both are then known to about 1 %."""


class DatasetError(ValueError):
    """Arrays or files are no data set; the message names the data set or the file, and the rule."""


class DownloadError(RuntimeError):
    """A public data set could not be fetched or read; the message says how to put it in place by hand."""


def data_folder(data_root: str | Path | None = None) -> Path:
    """The folder in which data sets are looked for.

    Args:
        data_root: the user's choice; None takes the environment variable ``FAIRART_DATA``, else ``~/.cache/fairart``.
    """
    return Path(data_root or os.environ.get("FAIRART_DATA") or "~/.cache/fairart").expanduser()


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split of images with labels.

    Args:
        name: what reports call it.
        x_train: (N, C, H, W) uint8 in 0..255 or float32 in [0, 1], an array or images on disk; N is 0 for data that is for
            evaluation alone.
        y_train: (N,) int64 in 0..K-1.
        x_test: as ``x_train``, of the same type and image shape.
        y_test: as ``y_train``.
        classes: names of the K >= 2 classes; a class may have no samples.
        augmentation: ``"none"`` or ``"crop-flip"``, what suits these images in training.
        note: provenance that stands beside every number, such as the part of the data that was used.
        storage: where images stay on disk, a sentence that says so and why; it changes no number.
        unreadable: files that could not be read and were passed over, and what was wrong with them; grows while images are read.
        columns: name -> one value for each image, such as the site where it was taken.
        y_train_original: labels before noise was put into ``y_train``; None where there is no such noise.

    Raises:
        DatasetError: one of these rules is broken.
    """

    name: str
    x_train: Images = field(repr=False)
    y_train: LabelArray = field(repr=False)
    x_test: Images = field(repr=False)
    y_test: LabelArray = field(repr=False)
    classes: tuple[str, ...]
    augmentation: str = "none"
    note: str = ""
    storage: str = ""
    unreadable: dict[str, str] = field(default_factory=dict, repr=False)
    columns: Mapping[str, Column] = field(default_factory=dict, repr=False)
    y_train_original: LabelArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._check_names()
        for split, x, y in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            _check_images(x, f"{self.name}: x_{split}", empty=split == "train")
            _check_labels(y, len(x), self.nb_classes, f"{self.name}: y_{split}")
        if self.y_train_original is not None:
            _check_labels(self.y_train_original, len(self.x_train), self.nb_classes, f"{self.name}: y_train_original")
        if self.x_train.shape[1:] != self.x_test.shape[1:] or self.x_train.dtype != self.x_test.dtype:
            raise DatasetError(
                f"{self.name}: both splits must have one image shape and type, got {self.x_train.shape[1:]} "
                f"{self.x_train.dtype} for training and {self.x_test.shape[1:]} {self.x_test.dtype} for testing"
            )
        for name, column in self.columns.items():
            for split, values, count in (("train", column.train, len(self.x_train)), ("test", column.test, len(self.x_test))):
                if values is not None and values.shape != (count,):
                    raise DatasetError(f"{self.name}: column {name!r} must have {count} values for {split}, got {values.shape}")

    def _check_names(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise DatasetError(f"a data set needs a name, got {self.name!r}")
        if not isinstance(self.classes, tuple) or not all(isinstance(label, str) for label in self.classes):
            raise DatasetError(f"{self.name}: classes must be a tuple of names, got {self.classes!r}")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise DatasetError(f"{self.name}: classes must be two or more different names, got {self.classes!r}")
        if self.augmentation not in AUGMENTATIONS:
            raise DatasetError(f"{self.name}: augmentation must be one of {', '.join(AUGMENTATIONS)}, got {self.augmentation!r}")

    @property
    def nb_classes(self) -> int:
        """K, the number of classes."""
        return len(self.classes)

    @property
    def on_disk(self) -> bool:
        """Whether images stay on disk and are read batch by batch."""
        return isinstance(self.x_train, StoredImages) or isinstance(self.x_test, StoredImages)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.x_train.shape[1:]
        return int(channels), int(height), int(width)

    def with_readable_test(self) -> Dataset:
        """Without the test images on disk that cannot be read, where those are to be passed over; each is read once for that."""
        if not isinstance(self.x_test, StoredImages) or (rows := self.x_test.readable()) is None:
            return self
        columns = {name: replace(one, test=None if one.test is None else one.test[rows]) for name, one in self.columns.items()}
        return replace(self, x_test=self.x_test.select(rows), y_test=self.y_test[rows], columns=columns)

    def subset(self, *, per_class: int, seed: int = 0) -> Dataset:
        """Keep the same number of training images of every class; the test split stays whole.

        With one seed, a smaller subset is contained in every larger one, so results of several sizes compare.

        Args:
            per_class: training images kept of each class, >= 1.
            seed: of the choice, >= 0.

        Returns:
            The smaller data set; its note says what was kept.

        Raises:
            DatasetError: a class has fewer training images than asked for.
        """
        if per_class < 1:
            raise DatasetError(f"{self.name}: per_class must be at least 1, got {per_class}")
        note = f"{per_class} training images per class, seed {seed}"
        return self.with_counts([per_class] * self.nb_classes, seed=seed, note=note)

    @property
    def training_counts(self) -> list[int]:
        """(K,) training images of each class."""
        return [int(count) for count in np.bincount(self.y_train, minlength=self.nb_classes)]

    def with_counts(self, counts: Sequence[int] | npt.NDArray[np.int64], *, seed: int = 0, note: str = "") -> Dataset:
        """Keep some training images of every class; the test split stays whole.

        With one seed, fewer images of a class are contained in more of them, so results of several sizes compare.

        Args:
            counts: (K,) training images kept of each class, >= 1.
            seed: of the choice, >= 0.
            note: what was kept, for the data set's note.

        Returns:
            The smaller data set.

        Raises:
            DatasetError: a class has fewer training images than asked for.
        """
        asked, there = np.asarray(counts, dtype=np.int64), np.array(self.training_counts)
        worst = int((asked - there).argmax())
        if asked[worst] > there[worst]:
            raise DatasetError(
                f"{self.name}: class {self.classes[worst]!r} has {there[worst]} training images, asked for {asked[worst]}"
            )
        generator = np.random.default_rng(seed)
        # A whole permutation is drawn per class, whatever is kept of it: that nests the subsets of one seed.
        orders = [generator.permutation(np.flatnonzero(self.y_train == k)) for k in range(self.nb_classes)]
        keep = np.sort(np.concatenate([order[:count] for order, count in zip(orders, asked, strict=True)]))
        return replace(
            self,
            x_train=select(self.x_train, keep),
            y_train=self.y_train[keep],
            columns={name: column.of_train(keep) for name, column in self.columns.items()},
            y_train_original=None if self.y_train_original is None else self.y_train_original[keep],
            note=self._noted(note),
        )

    def with_labels(self, labels: LabelArray, *, note: str = "") -> Dataset:
        """Replace the training labels by noisy ones; the test split stays as it is.

        Args:
            labels: (N,) int64 in 0..K-1.
            note: what was done, for the data set's note.

        Returns:
            The data set with these labels; ``y_train_original`` has the labels before any noise.

        Raises:
            DatasetError: labels of another number, type or range.
        """
        before = self.y_train if self.y_train_original is None else self.y_train_original
        return replace(self, y_train=labels, y_train_original=before, note=self._noted(note))

    @property
    def noisy(self) -> LabelArray:
        """Rows of the training split, ascending, whose label is not the original one."""
        if self.y_train_original is None:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(self.y_train != self.y_train_original).astype(np.int64)

    def _noted(self, note: str) -> str:
        return f"{self.note}; {note}" if self.note and note else self.note or note

    def mean_std(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of each channel over the training split, for ART's ``preprocessing``.

        Of image files that stay on disk, 10 000 drawn with a fixed seed are read: all of them would take as long as an epoch.

        Returns:
            Two float32 arrays (C, 1, 1) in units of [0, 1]. A constant channel gets 1 as its deviation, so that dividing
            by it leaves zeros and no NaN.

        Raises:
            DatasetError: there are no training images.
        """
        if not len(self.x_train):
            raise DatasetError(f"{self.name} has no training images: it is for evaluation alone")
        channels = self.input_shape[0]
        total, squares = np.zeros(channels), np.zeros(channels)
        images = self.x_train
        if isinstance(images, StoredImages) and images.costly and len(images) > STATISTICS_IMAGES:
            rows = np.random.default_rng(0).choice(len(images), STATISTICS_IMAGES, replace=False)
            images = images.select(np.sort(rows))
        for chunk in self._chunks(images):
            total += chunk.sum(axis=(0, 2, 3))
            squares += np.einsum("nchw,nchw->c", chunk, chunk)
        mean = total / (images.size // channels)
        variance = squares / (images.size // channels) - mean**2
        std = np.sqrt(np.where(variance > 1e-12, variance, 1.0))
        shape = (channels, 1, 1)
        return mean.astype(np.float32).reshape(shape), std.astype(np.float32).reshape(shape)

    def _chunks(self, images: Images) -> Iterator[npt.NDArray[np.float64]]:
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        step = max(1, _CHUNK_VALUES // int(np.prod(self.input_shape)))
        for start in range(0, len(images), step):
            yield images[start : start + step].astype(np.float64) / scale


def _check_images(x: Any, label: str, *, empty: bool = False) -> None:
    known = isinstance(x, np.ndarray | StoredImages)
    if not known or x.dtype not in (np.uint8, np.float32):
        got = str(x.dtype) if known else type(x).__name__
        raise DatasetError(f"{label} must be a numpy array of uint8 or float32, got {got}")
    if x.ndim != 4:
        raise DatasetError(f"{label} must have the shape (N, C, H, W), got {x.shape}")
    if x.size == 0 and not (empty and len(x) == 0 and min(x.shape[1:]) > 0):
        raise DatasetError(f"{label} is empty, its shape is {x.shape}")
    if x.shape[1] not in _COLOUR_CHANNELS and x.shape[3] in _COLOUR_CHANNELS:
        raise DatasetError(f"{label} must be (N, C, H, W), got {x.shape}, which looks like (N, H, W, C)")
    # Written so that NaN, which compares false with everything, is refused as well.
    for chunk in (x.chunks() if isinstance(x, StoredImages) else [x]) if x.dtype == np.float32 and x.size else []:
        if not (chunk.min() >= 0 and chunk.max() <= 1):
            raise DatasetError(f"{label} of float32 must lie in [0, 1], got [{chunk.min():g}, {chunk.max():g}]")


def _check_labels(y: Any, count: int, nb_classes: int, label: str) -> None:
    if not isinstance(y, np.ndarray) or y.dtype != np.int64:
        got = str(y.dtype) if isinstance(y, np.ndarray) else type(y).__name__
        raise DatasetError(f"{label} must be a numpy array of int64, got {got}")
    if y.shape != (count,):
        raise DatasetError(f"{label} must have the shape ({count},), one label per image, got {y.shape}")
    if len(y) and (y.min() < 0 or y.max() >= nb_classes):
        raise DatasetError(f"{label} must lie in 0..{nb_classes - 1}, got {y.min()}..{y.max()}")
