"""Shifted test sets, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from art.estimators.classification import PyTorchClassifier

from fairart.datasets.stored import Images, StoredImages
from fairart.engine.data import check_inputs, check_labels

__all__ = ["Shifted", "Shifts", "check_shifts"]

Shifts = Mapping[str, tuple[npt.ArrayLike | StoredImages, npt.ArrayLike]]
"""Name -> images and labels of a test set."""

Shifted = dict[str, tuple[Images, npt.NDArray[np.int64]]]
"""The same, checked."""


def check_shifts(shifts: Shifts | None, classifier: PyTorchClassifier) -> Shifted:
    """Check shifted test sets: each is one that the classifier takes, with classes that it knows.

    Args:
        shifts: what the user gave; None for none.
        classifier: gives the input shape, clip values and classes.

    Raises:
        ValueError: no mapping of names to pairs, or bad data; the message names the set.
    """
    if shifts is None:
        return {}
    if not isinstance(shifts, Mapping) or not all(isinstance(name, str) and name for name in shifts):
        raise ValueError(f"shifts expects name -> (x, y), got {type(shifts).__name__}")
    found: Shifted = {}
    for name, given in shifts.items():
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ValueError(f"shift {name!r}: expected a pair (x, y), got {type(given).__name__}")
        images = check_inputs(given[0], classifier, name=f"shift {name!r}: x")
        labels = check_labels(given[1], classifier.nb_classes, name=f"shift {name!r}: y")
        if len(images) != len(labels):
            raise ValueError(f"shift {name!r}: x and y must be of one length, got {len(images)} and {len(labels)}")
        found[name] = images, labels
    return found
