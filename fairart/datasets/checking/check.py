"""A look through a data set, from the arrays to the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import Dataset, DatasetError
from fairart.datasets.checking.duplicates import exact_duplicates, near_duplicates
from fairart.datasets.checking.label_errors import LabelErrors, confident_learning, out_of_fold_probabilities
from fairart.datasets.checking.report import DataReport, describe_split

__all__ = ["check_dataset"]

FloatArray = npt.NDArray[np.float64]


def check_dataset(
    data: Dataset,
    *,
    tolerance: float | None = 0.03,
    label_errors: bool = True,
    probabilities: FloatArray | None = None,
    folds: int = 5,
    neighbours: int = 25,
    seed: int = 0,
) -> DataReport:
    """Look through both splits of a data set; nothing is changed.

    Args:
        data: the data set.
        tolerance: images within this root mean square of each other are nearly equal, in units of [0, 1]; None not to look.
        label_errors: whether to look for wrong labels.
        probabilities: (N, K) of a classifier of your own that was not trained on the image, training images first, test images
            after them; or of the training images alone. None for nearest neighbours, see :func:`out_of_fold_probabilities`.
        folds: of the nearest neighbours, >= 2.
        neighbours: how many of them vote, >= 1.
        seed: of the folds.

    Raises:
        DatasetError: probabilities of another number of images or classes, or that are no shares; images on disk.
    """
    if data.on_disk:
        raise DatasetError(
            f"{data.name}: every image is compared with every other one, which needs all of them in memory, and they stay on "
            f"disk ({data.storage}): allow more (data_memory), or check a part of them"
        )
    splits = {"train": (data.x_train, data.y_train), "test": (data.x_test, data.y_test)}
    x, y = (np.concatenate([split[place] for split in splits.values()]) for place in (0, 1))
    given = None if probabilities is None else _checked(probabilities, data)
    places = _Places(data, y)
    found, remarks = None, []
    if label_errors:
        try:
            p = given if given is not None else out_of_fold_probabilities(
                x, y, data.nb_classes, folds=folds, neighbours=neighbours, seed=seed
            )  # fmt: skip
            found = confident_learning(p, y[: len(p)])
        except ValueError as error:
            remarks.append(f"labels were not looked at: {error}")
    near = None if tolerance is None else near_duplicates(x, tolerance)
    return DataReport(
        name=data.name,
        note=data.note,
        classes=data.classes,
        splits={name: describe_split(*split, data.nb_classes) for name, split in splits.items() if len(split[1])},
        exact=[places.group(rows) for rows in exact_duplicates(x)],
        near=[] if near is None else [places.group(pair) for pair in near.pairs],
        near_complete=near is None or near.complete,
        tolerance=tolerance,
        label_errors=None if found is None else places.errors(found),
        suspected=None if found is None else (found.counts - np.diag(np.diag(found.counts))).tolist(),
        noise=None if found is None else found.noise,
        agreement=None if found is None else found.agreement,
        known_noise=None if found is None else _known(data, found),
        remarks=tuple(remarks),
    )


class _Places:
    """Says where a row of both splits together lies.

    Args:
        data: the data set.
        labels: (n,) of both splits.
    """

    def __init__(self, data: Dataset, labels: npt.NDArray[np.int64]) -> None:
        self.training, self.labels = len(data.y_train), labels

    def of(self, row: int) -> dict[str, Any]:
        """Split and index in it."""
        inside = row < self.training
        return {"split": "train" if inside else "test", "index": int(row) if inside else int(row) - self.training}

    def group(self, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Images that belong together."""
        labels = self.labels[rows].tolist()
        return {"images": [self.of(row) for row in rows.tolist()], "labels": labels, "conflict": len(set(labels)) > 1}

    def errors(self, found: LabelErrors) -> list[dict[str, Any]]:
        """The suspected labels."""
        columns = zip(found.suspected.tolist(), found.suggested.tolist(), found.margins.tolist(), strict=True)
        return [
            {**self.of(row), "label": int(self.labels[row]), "suggested": suggested, "margin": margin}
            for row, suggested, margin in columns
        ]


def _checked(probabilities: FloatArray, data: Dataset) -> FloatArray:
    p = np.asarray(probabilities)
    sizes = (len(data.y_train) + len(data.y_test), len(data.y_train))
    if p.ndim != 2 or p.dtype.kind != "f" or len(p) not in sizes or p.shape[1] != data.nb_classes or not len(p):
        raise DatasetError(
            f"{data.name}: probabilities must be floating numbers of shape ({sizes[0]}, {data.nb_classes}), or "
            f"({sizes[1]}, {data.nb_classes}) for the training images alone, got {p.dtype} of shape {p.shape}"
        )
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-3)):
        raise DatasetError(f"{data.name}: probabilities must be rows of shares >= 0 with the sum 1; were logits given?")
    return p.astype(np.float64)


def _known(data: Dataset, found: LabelErrors) -> dict[str, Any] | None:
    if data.y_train_original is None:
        return None
    suspected = found.suspected[found.suspected < len(data.y_train)]
    right = int(np.isin(suspected, data.noisy).sum())
    return {
        "noisy": len(data.noisy),
        "found": right,
        "precision": right / len(suspected) if len(suspected) else None,
        "recall": right / len(data.noisy) if len(data.noisy) else None,
    }
