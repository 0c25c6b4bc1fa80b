"""The digits that scikit-learn carries: real data without a download."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from fairart.datasets.base import DataRoot, Dataset
from fairart.plugins.options import Option, validate_options

__all__ = ["load_digits"]


def load_digits(
    *,
    data_root: DataRoot = None,
    test_fraction: Annotated[float, Option("share of each class held out for testing", low=0.05, high=0.95)] = 0.25,
    split_seed: Annotated[int, Option("seed of the split into training and test images", low=0)] = 0,
) -> Dataset:
    """1797 handwritten digits of 8x8 grey pixels, bundled with scikit-learn.

    Args:
        data_root: taken so that every loader can be called alike; nothing is read there.
        test_fraction: share of each class held out for testing, 0.05..0.95.
        split_seed: seed of the class-stratified split.

    Returns:
        Images (N, 1, 8, 8) float32 in [0, 1]: the 17 grey levels over 16.

    Raises:
        OptionError: an option is outside its range.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998; its test
    part.
    """
    options = {"test_fraction": test_fraction, "split_seed": split_seed}
    validate_options(load_digits, options, where="dataset 'digits'")

    from sklearn.datasets import load_digits as bundled
    from sklearn.model_selection import train_test_split

    pixels, labels = bundled(return_X_y=True)
    x = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    y = labels.astype(np.int64)
    train, test = train_test_split(np.arange(len(y)), test_size=test_fraction, random_state=split_seed, stratify=y)
    return Dataset(
        name="digits",
        x_train=x[train],
        y_train=y[train],
        x_test=x[test],
        y_test=y[test],
        classes=tuple(str(digit) for digit in range(10)),
        augmentation="none",
    )
