"""Shifted test sets of an evaluation: loaded by name, with their classes brought into the order of the run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.datasets import Dataset, DatasetError
from fairart.datasets.stored import Images, select
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.runs.build import load_dataset
from fairart.runs.evaluation import Limit, choose_images

__all__ = ["load_shifts", "named_shifts"]

Pair = tuple[Images, npt.NDArray[np.int64]]


def named_shifts(given: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=DATASET`` texts.

    Args:
        given: the texts.

    Returns:
        name -> data set.

    Raises:
        OptionError: another form, or a name twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, dataset = text.partition("=")
        if not (name and equals and dataset):
            raise OptionError(f"shift {text!r}: expected NAME=DATASET, such as camera-2=npz:camera2.npz")
        if name in found:
            raise OptionError(f"shift {text!r}: two shifts are called {name!r}")
        found[name] = dataset
    return found


def load_shifts(shifts: Mapping[str, str], data: Dataset, *, data_root: str | None, limit: Limit, seed: int) -> dict[str, Pair]:
    """Test images of shifted data sets, with labels in the order of the run's classes.

    Classes are matched by name, and some may be missing. A data set that numbers its classes, as an ``.npz`` file without
    ``classes`` does, has the run's classes in their order.

    Args:
        shifts: name -> data set: a registered name, ``npz:PATH`` or ``folder:PATH``.
        data: the data set of the run.
        data_root: folder of the data files.
        limit: images at most of each, in all or of each class.
        seed: of the choice.

    Returns:
        name -> images and labels.

    Raises:
        OptionError: images of another shape, or a class that the run does not have; the message names the shift.
        DatasetError, FileNotFoundError: files that do not form a data set.
    """
    found: dict[str, Pair] = {}
    for name, dataset in shifts.items():
        try:
            shifted = load_dataset(dataset, data_root=data_root)
        except (DatasetError, FileNotFoundError) as error:
            raise type(error)(f"shift {name!r}: {error}") from error
        if shifted.input_shape != data.input_shape:
            raise OptionError(f"shift {name!r}: images have the shape {shifted.input_shape}, the run's {data.input_shape}")
        places = _places(shifted.classes, data, name)
        keep = choose_images(shifted.y_test, limit, seed)
        found[name] = _as_trained(select(shifted.x_test, keep), data), places[shifted.y_test[keep]]
    return found


def _places(classes: Sequence[str], data: Dataset, name: str) -> npt.NDArray[np.int64]:
    """(k,) the run's class of each class of the shift."""
    numbered = tuple(classes) == tuple(str(index) for index in range(len(classes)))
    if numbered and len(classes) <= data.nb_classes:
        return np.arange(len(classes))
    unknown = [one for one in classes if one not in data.classes]
    if unknown:
        known = "" if numbered else f"; {did_you_mean(unknown[0], data.classes)}"
        raise OptionError(
            f"shift {name!r}: {len(unknown)} of its {len(classes)} classes are not among the {data.nb_classes} of the run, "
            f"such as {unknown[0]!r}{known}"
        )
    return np.array([data.classes.index(one) for one in classes], dtype=np.int64)


def _as_trained(images: Images, data: Dataset) -> Images:
    """Images in the type that the run's have: whole numbers over 255 are floats in [0, 1]."""
    if images.dtype == data.x_test.dtype or images.dtype != np.uint8:
        return images
    scaled: npt.NDArray[Any] = np.asarray(images).astype(np.float32) / np.float32(255)
    return scaled
