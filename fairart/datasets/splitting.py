"""A test split for data that has none."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DatasetError
from fairart.plugins.options import Option

__all__ = ["TestSeed", "TestShare", "split_off"]

TestShare = Annotated[
    float | None,
    Option("share of each class kept for testing where the data has no test split", low=0, low_open=True, high=1, high_open=True),
]
TestSeed = Annotated[int, Option("of the draw of that share", low=0)]

Labels = npt.NDArray[np.int64]


def split_off(y: Labels, share: float, *, seed: int, name: object, option: str = "test_share") -> tuple[Labels, Labels]:
    """Positions to train on and to test on: the same share of every class, drawn with a seed, in their order.

    Args:
        y: (N,) labels.
        share: of each class that is kept for testing, in (0, 1).
        seed: of the draw.
        name: of the data, for messages.
        option: that the share was given as, for messages.

    Raises:
        DatasetError: a class with fewer than two images, or a share that leaves a class without images on one side.
    """
    from sklearn.model_selection import train_test_split  # late: data sets load numpy alone

    counts: npt.NDArray[Any] = np.bincount(y)
    present = np.flatnonzero(counts)
    if counts[present].min() < 2:
        rare = int(present[counts[present].argmin()])
        raise DatasetError(f"{name}: {option} needs two images or more of each class, class {rare} has 1")
    try:
        train, test = train_test_split(np.arange(len(y)), test_size=share, stratify=y, random_state=seed)
    except ValueError as error:
        raise DatasetError(f"{name}: {option}={share:g} cannot be drawn from {len(y)} images: {error}") from error
    if len(np.unique(y[train])) < len(present) or len(np.unique(y[test])) < len(present):
        raise DatasetError(
            f"{name}: {option}={share:g} leaves a class without images on one side; the rarest has {counts[present].min()}"
        )
    return np.sort(train), np.sort(test)
