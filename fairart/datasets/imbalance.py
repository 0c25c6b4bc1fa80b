"""Long-tailed training sets: how many images of each class to keep."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DatasetError
from fairart.plugins.options import parse_number

__all__ = ["exponential_profile", "imbalanced_counts", "is_file_of_counts", "step_profile"]

Counts = npt.NDArray[np.int64]

PROFILE = re.compile(r"(exp|step):(.+)")


def exponential_profile(nb_classes: int, ratio: float) -> npt.NDArray[np.float64]:
    """(K,) shares of the largest class: ratio^(-k / (K - 1)), from 1 to 1 / ratio (CIFAR-10-LT; Cao et al., NeurIPS 2019).

    Args:
        nb_classes: K >= 2.
        ratio: samples of the first class over those of the last, >= 1.
    """
    shares: npt.NDArray[np.float64] = ratio ** (-np.arange(nb_classes) / (nb_classes - 1))
    return shares


def step_profile(nb_classes: int, ratio: float) -> npt.NDArray[np.float64]:
    """(K,) shares of the largest class: 1 for the first half of the classes, 1 / ratio for the rest.

    Args:
        nb_classes: K >= 2.
        ratio: samples of a class of the first half over one of the second, >= 1.
    """
    return np.where(np.arange(nb_classes) < (nb_classes + 1) // 2, 1.0, 1.0 / ratio)


def is_file_of_counts(imbalance: str) -> bool:
    """Whether an imbalance names a file, and no profile.

    Args:
        imbalance: see :func:`imbalanced_counts`.
    """
    return PROFILE.fullmatch(imbalance) is None


def imbalanced_counts(imbalance: str, available: Sequence[int], *, name: str) -> Counts:
    """Images of each class that an imbalance keeps.

    Args:
        imbalance: ``"exp:RATIO"``, ``"step:RATIO"``, or a file with one number a class: a JSON list, or text with numbers between
            spaces, commas or line ends.
        available: (K,) images of each class that there are.
        name: of the data set, for messages.

    Returns:
        (K,) counts, each from 1 to what there is. A profile keeps as many images as its shape allows.

    Raises:
        DatasetError: neither a profile nor a file of K whole numbers, a ratio below 1, a class that is left without images, or
            more images than there are.
    """
    there = np.asarray(available, dtype=np.int64)
    found = PROFILE.fullmatch(imbalance)
    counts = _of_file(imbalance, len(there), name) if found is None else _of_profile(found[1], found[2], there, name)
    if counts.min() < 1:
        raise DatasetError(f"{name}: imbalance {imbalance} leaves class {int(counts.argmin())} without training images")
    short = np.flatnonzero(counts > there)
    if len(short):
        k = int(short[0])
        raise DatasetError(f"{name}: imbalance {imbalance} asks for {counts[k]} images of class {k}, which has {there[k]}")
    return counts


def _of_profile(kind: str, text: str, available: Counts, name: str) -> Counts:
    try:
        ratio = float(parse_number(text))
    except ValueError:
        ratio = 0.0
    if not 1 <= ratio < float("inf"):
        raise DatasetError(f"{name}: imbalance {kind} expects a ratio of at least 1, such as {kind}:100, got {text!r}")
    shares = (exponential_profile if kind == "exp" else step_profile)(len(available), ratio)
    largest = np.floor((available / shares).min() + 1e-9)
    # Rounding may ask for one image more than there are.
    counts: Counts = np.minimum(np.round(largest * shares).astype(np.int64), available)
    return counts


def _of_file(imbalance: str, nb_classes: int, name: str) -> Counts:
    path = Path(imbalance).expanduser()
    if not path.is_file():
        raise DatasetError(f"{name}: imbalance expects exp:RATIO, step:RATIO or a file of counts, got {imbalance!r}")
    try:
        text = path.read_text(encoding="utf-8")
        numbers: Any = json.loads(text) if text.lstrip().startswith("[") else list(map(int, re.split(r"[\s,;]+", text.strip())))
    except ValueError:  # no text, or no numbers
        numbers = None
    whole = isinstance(numbers, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in numbers)
    if not whole or len(numbers) != nb_classes:
        came = f"{len(numbers)} numbers" if whole else "something else"
        raise DatasetError(
            f"{name}: the file of counts {imbalance!r} must have {nb_classes} whole numbers, one a class, got {came}"
        )
    return np.array(numbers, dtype=np.int64)
