"""A data set without some of its classes: what is left is trained on, what is left out are outliers of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import Dataset, DatasetError
from fairart.datasets.stored import Images, select
from fairart.did_you_mean import did_you_mean

__all__ = ["leave_out", "left_out_images"]

Bools = npt.NDArray[np.bool_]


def leave_out(data: Dataset, names: Sequence[str]) -> Dataset:
    """Take classes out of both splits; the other classes keep their order and are numbered anew.

    Args:
        data: the whole data set.
        names: of the classes to leave out.

    Returns:
        The smaller data set; its note says what was left out.

    Raises:
        DatasetError: a class that there is not, or fewer than two classes left, or no test image.
    """
    out = _chosen(data, names)
    kept = np.flatnonzero(~out)
    if len(kept) < 2:
        raise DatasetError(f"{data.name}: expected at least two classes to be left, got {len(kept)} of {data.nb_classes}")
    number = np.cumsum(~out) - 1
    train, test = np.flatnonzero(~out[data.y_train]), np.flatnonzero(~out[data.y_test])
    note = f"classes left out: {', '.join(data.classes[index] for index in np.flatnonzero(out))}"
    return replace(
        data,
        x_train=select(data.x_train, train),
        y_train=number[data.y_train[train]],
        x_test=select(data.x_test, test),
        y_test=number[data.y_test[test]],
        classes=tuple(data.classes[index] for index in kept),
        columns={name: column.of_both(train, test) for name, column in data.columns.items()},
        note=f"{data.note}; {note}" if data.note else note,
    )


def left_out_images(data: Dataset, names: Sequence[str], *, split: str = "test") -> Images:
    """The images of some classes.

    Args:
        data: the whole data set.
        names: of the classes.
        split: ``"test"`` or ``"train"``.

    Raises:
        DatasetError: a class that there is not, or no image of them.
    """
    x, y = (data.x_test, data.y_test) if split == "test" else (data.x_train, data.y_train)
    found = select(x, np.flatnonzero(_chosen(data, names)[y]))
    if not len(found):
        raise DatasetError(f"{data.name} has no {split} images of the classes {', '.join(names)}")
    return found


def _chosen(data: Dataset, names: Sequence[str]) -> Bools:
    for name in names:
        if name not in data.classes:
            raise DatasetError(f"{data.name} has no class {name!r} to leave out; {did_you_mean(name, data.classes)}")
    return np.isin(np.array(data.classes, dtype=object), list(names))
