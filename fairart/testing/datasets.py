"""The check of data sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fairart.datasets import Dataset
from fairart.datasets.stored import Images
from fairart.testing.rules import called, global_random_state, require, require_keywords

__all__ = ["check_dataset"]

COMMON = 0.1
"""Share of test images that may stand in the training split as well: published data sets have a few."""


def check_dataset(load: Callable[..., Dataset], *, data_root: str | None = None) -> None:
    """Check that a data set keeps the rules.

    Args:
        load: a function ``load(*, data_root, **options) -> Dataset``, options filled in; it is called twice.
        data_root: folder of the data files.

    Raises:
        AssertionError: no :class:`~fairart.datasets.Dataset`; another one at the second call; global random state that was used;
            a split without samples of most classes; a test split that is part of the training split.
        DatasetError: the arrays break a rule of :class:`~fairart.datasets.Dataset`.
    """
    require_keywords(load, "data_root")
    name, untouched = called(load), global_random_state()
    data, again = (load(data_root=data_root) for _ in range(2))
    require(isinstance(data, Dataset), f"{name}: expected a fairart.datasets.Dataset, got {type(data).__name__}")
    require(untouched(), f"{name}: global random state was used, draw from a generator with a seed of its own")
    for split in ("x_train", "y_train", "x_test", "y_test"):
        same = np.array_equal(getattr(data, split), getattr(again, split))
        require(same, f"{name}: {split} differs from call to call; runs are repeated from the name and its options alone")
    require(data.classes == again.classes, f"{name}: classes differ from call to call")
    for split, labels in (("training", data.y_train), ("test", data.y_test)):
        present = len(np.unique(labels))
        require(2 * present > data.nb_classes, f"{name}: the {split} split has samples of {present} of {data.nb_classes} classes")
    train = _digests(data.x_train)
    common = sum(digest in train for digest in _digests_in_order(data.x_test))
    detail = f"{common} of {len(data.x_test)} test images stand in the training split, byte for byte"
    require(common <= COMMON * len(data.x_test), f"{name}: {detail}: accuracy on them says nothing")


def _digests(images: Images) -> set[int]:
    return set(_digests_in_order(images))


def _digests_in_order(images: Images) -> list[int]:
    return [hash(image.tobytes()) for image in images]
