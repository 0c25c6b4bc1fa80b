"""Held-out training images in place of the test images, for choosing settings."""

from __future__ import annotations

from dataclasses import replace

from fairart.datasets.base import Dataset
from fairart.datasets.splitting import split_off
from fairart.datasets.stored import select

__all__ = ["validating"]


def validating(data: Dataset, share: float, *, seed: int) -> Dataset:
    """Set a share of each class of the training images apart; they take the place of the test images, which are dropped.

    A setting that was chosen on test images makes their accuracy too high. What is trained on this data set cannot see them.

    Args:
        data: with training images.
        share: of each class that is set apart, in (0, 1).
        seed: of the draw.

    Returns:
        The smaller data set; its note says what was set apart.

    Raises:
        DatasetError: a class has too few images to be on both sides.
    """
    train, apart = split_off(data.y_train, share, seed=seed, name=data.name, option="validation_share")
    note = f"{share:g} of the training images set apart, seed {seed}, in place of the test images"
    return replace(
        data,
        x_train=select(data.x_train, train),
        y_train=data.y_train[train],
        y_train_original=None if data.y_train_original is None else data.y_train_original[train],
        x_test=select(data.x_train, apart),
        y_test=data.y_train[apart],
        columns={name: column.split(train, apart) for name, column in data.columns.items()},
        note=f"{data.note}; {note}" if data.note else note,
    )
