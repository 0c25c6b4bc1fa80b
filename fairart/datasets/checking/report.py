"""What a look through a data set found, as numbers and as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.stored import Images

__all__ = ["DataReport", "SplitReport", "describe_split"]

FORMAT, FORMAT_VERSION = "fairart.data_check", 1

WEAK = 0.7
"""Agreement with the labels below which suspicions are said to be weak."""

PLACES = {"train": "within train", "test": "within test", "both": "across train and test"}

IntArray = npt.NDArray[np.int64]
Place = dict[str, Any]
"""An image: ``{"split": "train" or "test", "index": row}``."""


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """One split by itself.

    Args:
        images: number of them.
        shape: (C, H, W).
        dtype: of the stored images.
        counts: (K,) images of each class.
        low: (C,) smallest value of each channel, in [0, 1].
        high: (C,) largest value.
        mean: (C,) mean.
        std: (C,) standard deviation.
        one_colour: rows of the images in which every channel has one value only.
    """

    images: int
    shape: tuple[int, ...]
    dtype: str
    counts: list[int]
    low: list[float]
    high: list[float]
    mean: list[float]
    std: list[float]
    one_colour: list[int]


def describe_split(x: Images, y: IntArray, nb_classes: int, *, images_at_once: int = 2048) -> SplitReport:
    """Sizes, counts, ranges and images of one colour.

    Args:
        x: (n, C, H, W) uint8, or floating images in [0, 1].
        y: (n,) labels.
        nb_classes: K.
        images_at_once: images that are converted together.
    """
    scale, channels = (255.0 if x.dtype == np.uint8 else 1.0), x.shape[1]
    low, high, total, squares = np.full(channels, np.inf), np.full(channels, -np.inf), np.zeros(channels), np.zeros(channels)
    one_colour: list[int] = []
    for first in range(0, len(x), images_at_once):
        part = x[first : first + images_at_once]
        smallest, largest = part.min(axis=(2, 3)), part.max(axis=(2, 3))
        one_colour += (first + np.flatnonzero((smallest == largest).all(axis=1))).tolist()
        low, high = np.minimum(low, smallest.min(axis=0) / scale), np.maximum(high, largest.max(axis=0) / scale)
        values = part.astype(np.float64) / scale
        total, squares = total + values.sum(axis=(0, 2, 3)), squares + (values**2).sum(axis=(0, 2, 3))
    number = max(1, x.size // channels)
    mean = total / number
    return SplitReport(
        images=len(x),
        shape=tuple(x.shape[1:]),
        dtype=str(x.dtype),
        counts=np.bincount(y, minlength=nb_classes).tolist(),
        low=low.tolist() if len(x) else [],
        high=high.tolist() if len(x) else [],
        mean=mean.tolist() if len(x) else [],
        std=np.sqrt(np.maximum(squares / number - mean**2, 0)).tolist() if len(x) else [],
        one_colour=one_colour,
    )


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What :func:`fairart.datasets.checking.check_dataset` found.

    Args:
        name: of the data set.
        note: its note.
        classes: (K,) names.
        splits: ``"train"`` and ``"test"``, those with images.
        exact: groups of equal images, each with ``images`` (places), ``labels`` and whether these ``conflict``.
        near: pairs of nearly equal images, in the same form.
        near_complete: whether all such pairs are there.
        tolerance: root mean square difference up to which images are nearly equal; None where that was not looked for.
        label_errors: suspected labels: ``split``, ``index``, ``label``, ``suggested`` and ``margin``, the most suspicious first;
            None where that was not looked for.
        suspected: (K, K) of them by label and suggested class; None likewise.
        noise: estimated share of wrong labels; None likewise.
        agreement: share of the labels that the classifier's predictions agree with; None likewise.
        known_noise: where noise was put in: how many wrong labels there are (``noisy``) and are suspected (``found``), and the
            shares ``precision`` and ``recall``; else None.
        remarks: sentences about what could not be looked at.
    """

    name: str
    note: str
    classes: tuple[str, ...]
    splits: dict[str, SplitReport]
    exact: list[dict[str, Any]]
    near: list[dict[str, Any]]
    near_complete: bool
    tolerance: float | None
    label_errors: list[dict[str, Any]] | None
    suspected: list[list[int]] | None
    noise: float | None
    agreement: float | None
    known_noise: dict[str, Any] | None
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the findings among them."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "splits"}
        splits = {name: {**vars(split), "shape": list(split.shape)} for name, split in self.splits.items()}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **plain,
            "classes": list(self.classes),
            "remarks": list(self.remarks),
            "splits": splits,
            "findings": self.findings(),
        }

    def findings(self) -> list[str]:
        """What deserves a look, in sentences; empty where nothing does."""
        found = [*self._about_classes(), *self._about_values(), *self._about_duplicates()]
        if self.label_errors and self.noise is not None and self.agreement is not None:
            found.append(
                f"{_number(len(self.label_errors), 'label')} suspected to be wrong; estimated share of wrong labels "
                f"{100 * self.noise:.1f} %"
            )
            if self.agreement < WEAK:
                found.append(
                    f"the classifier that suspects them agrees with {100 * self.agreement:.0f} % of the labels only: it is too "
                    "weak for these images, or very many labels are wrong; give probabilities of a better one"
                )
        return found

    def _about_classes(self) -> list[str]:
        found = []
        for name, split in self.splits.items():
            absent = [self.classes[k] for k, count in enumerate(split.counts) if count == 0]
            if absent:
                found.append(f"{name}: no image of class {', '.join(absent)}")
            largest, smallest = max(split.counts), min(count for count in split.counts if count)
            if largest > 2 * smallest:
                found.append(f"{name}: the largest class has {largest / smallest:.1f} times the images of the smallest")
        return found

    def _about_values(self) -> list[str]:
        found = []
        for name, split in self.splits.items():
            if split.one_colour:
                found.append(f"{name}: {_number(len(split.one_colour), 'image')} of one colour")
            if max(split.high) <= 0.05:
                found.append(f"{name}: no value is above {max(split.high):.4f}: were the images divided by 255 twice?")
            flat = [str(c) for c, std in enumerate(split.std) if std == 0]
            if flat and len(split.one_colour) != split.images:
                found.append(f"{name}: channel {', '.join(flat)} has one value in all images")
        if len(self.splits) == 2:
            train, test = self.splits["train"], self.splits["test"]
            apart = [abs(a - b) for a, b in zip(train.mean, test.mean, strict=True)]
            if any(gap > 0.25 * max(std, 1e-6) for gap, std in zip(apart, train.std, strict=True)):
                found.append("the mean values of training and test images differ by more than a quarter of their deviation")
        return found

    def _about_duplicates(self) -> list[str]:
        found = [_grouped(self.exact, where, "group", "of equal images") for where in PLACES]
        near = "of nearly equal images" if self.near_complete else "or more of nearly equal images"
        found += [_grouped(self.near, where, "pair", near) for where in PLACES]
        return [line for line in found if line]


def _grouped(groups: Sequence[dict[str, Any]], where: str, unit: str, text: str) -> str:
    inside = [group for group in groups if _where(group["images"]) == where]
    if not inside:
        return ""
    conflicts = sum(group["conflict"] for group in inside)
    labels = f", {conflicts} of them with different labels" if conflicts else ""
    return f"{_number(len(inside), unit)} {text} {PLACES[where]}{labels}"


def _number(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"


def _where(images: Sequence[Place]) -> str:
    names = {image["split"] for image in images}
    return "both" if len(names) == 2 else str(min(names))
