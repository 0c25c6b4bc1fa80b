"""Checks of the user's data, and the hold-out: every fault is reported once, before any work."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier

from fairart.datasets.stored import Images, StoredImages

__all__ = [
    "as_array",
    "check_inputs",
    "check_labels",
    "check_pair",
    "name_class",
    "stratified_split",
    "uint8_divisor",
    "warn_absent_classes",
]

Array = npt.NDArray[Any]

_CHUNK = 1 << 22


def as_array(values: Any) -> Array:
    """An array of whatever holds numbers; a tensor's values, wherever it is and whether or not it requires a gradient."""
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)


@overload
def check_inputs(x: StoredImages, classifier: PyTorchClassifier, *, name: str = "x") -> StoredImages: ...
@overload
def check_inputs(x: npt.ArrayLike, classifier: PyTorchClassifier, *, name: str = "x") -> Array: ...
@overload
def check_inputs(x: npt.ArrayLike | StoredImages, classifier: PyTorchClassifier, *, name: str = "x") -> Images: ...
def check_inputs(x: npt.ArrayLike | StoredImages, classifier: PyTorchClassifier, *, name: str = "x") -> Images:
    """Check images and bring them to uint8 or float32, contiguous. Images on disk stay there.

    Args:
        x: (n, *input_shape) numbers within the classifier's clip values; uint8 with clip values (0, 1) or (0, 255).
        classifier: says the input shape and the clip values.
        name: what an error calls the array.

    Returns:
        The array itself where nothing had to change, else a copy. uint8 stays uint8 (see :func:`uint8_divisor`).

    Raises:
        ValueError: empty, of another shape, no numbers, NaN or infinite, or outside the clip values.
    """
    array = x if isinstance(x, StoredImages) else as_array(x)
    shape = tuple(classifier.input_shape)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numbers (float, or uint8 images), got dtype {array.dtype}")
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise ValueError(f"{name} must have the classifier's input shape (n, {', '.join(map(str, shape))}), got {array.shape}")
    if not len(array):
        raise ValueError(f"{name} is empty: expected at least one sample, got shape {array.shape}")
    if array.dtype == np.uint8:
        uint8_divisor(classifier, name=name)
        return array if isinstance(array, StoredImages) else np.ascontiguousarray(array)
    if not isinstance(array, StoredImages):
        array = np.ascontiguousarray(array, dtype=np.float32)
    _check_values(array, classifier, name)
    return array


def uint8_divisor(classifier: PyTorchClassifier, *, name: str = "x") -> float:
    """What uint8 images are divided by: 1 for clip values (0, 255), 255 for (0, 1).

    Raises:
        ValueError: the classifier has other clip values.
    """
    clip = classifier.clip_values
    if clip is not None:
        low, high = np.asarray(clip[0]), np.asarray(clip[1])
        if (low == 0).all() and (high == 255).all():
            return 1.0
        if (low == 0).all() and (high == 1).all():
            return 255.0
    raise ValueError(f"{name} is uint8: expected a classifier with clip_values (0, 1) or (0, 255), got {clip}")


def _check_values(array: Images, classifier: PyTorchClassifier, name: str) -> None:
    low, high = classifier.clip_values if classifier.clip_values is not None else (-np.inf, np.inf)
    floor, ceiling = _spread(low, array.shape[1:]), _spread(high, array.shape[1:])
    step = max(1, _CHUNK // max(1, int(np.prod(array.shape[1:]))))
    slack = 1e-6 * max(1.0, float(np.max(np.abs(np.where(np.isfinite(high), high, 1)))))
    for first in range(0, len(array), step):
        chunk = array[first : first + step]
        if not np.isfinite(chunk).all():
            where = first + int(np.argwhere(~np.isfinite(chunk))[0][0])
            raise ValueError(f"{name} must be finite numbers, got NaN or infinity in sample {where}")
        if (chunk < floor - slack).any() or (chunk > ceiling + slack).any():
            raise ValueError(
                f"{name} must lie in the classifier's clip_values {_short(low)} to {_short(high)}, "
                f"got values from {chunk.min():g} to {chunk.max():g}"
            )


def _spread(value: Any, shape: tuple[int, ...]) -> Array:
    """A clip value against one sample: a number, one a feature, or what broadcasts."""
    values = np.asarray(value)
    return values.reshape(shape) if values.ndim and values.size == np.prod(shape) else values


def _short(value: Any) -> str:
    return f"{float(value):g}" if np.ndim(value) == 0 else f"array({np.min(value):g}..{np.max(value):g})"


def check_labels(y: npt.ArrayLike, nb_classes: int, *, name: str = "y") -> npt.NDArray[np.int64]:
    """Check labels and give them as integers.

    Args:
        y: (n,) or (n, 1) whole numbers in [0, nb_classes), or (n, nb_classes) one-hot.
        nb_classes: K.
        name: what an error calls the array.

    Returns:
        (n,) int64.

    Raises:
        ValueError: another shape or dtype, a class outside, or one-hot rows with fractions or not exactly one 1.
    """
    array = as_array(y)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be integer labels or one-hot rows, got dtype {array.dtype}")
    if array.ndim == 2 and array.shape[1] == nb_classes and nb_classes > 1:
        return _from_one_hot(array, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must be labels (n,) or one-hot (n, {nb_classes}), got shape {array.shape}")
    if not len(array):
        raise ValueError(f"{name} is empty: expected at least one label")
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise ValueError(f"{name} must be whole numbers, got a label such as {array[array != np.floor(array)][0]}")
    labels = array.astype(np.int64)
    if labels.min() < 0 or labels.max() >= nb_classes:
        hint = ": labels begin at 0, subtract 1" if (labels.min(), labels.max()) == (1, nb_classes) else ""
        raise ValueError(f"{name} must be labels in [0, {nb_classes}), got {labels.min()} to {labels.max()}{hint}")
    return labels


def _from_one_hot(array: Array, name: str) -> npt.NDArray[np.int64]:
    if not len(array):
        raise ValueError(f"{name} is empty: expected at least one label")
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must be one-hot rows of 0 and 1, got fractions: soft labels are not supported")
    if not (array.sum(axis=1) == 1).all():
        row = int(np.flatnonzero(array.sum(axis=1) != 1)[0])
        raise ValueError(f"{name} must be one-hot, got {int(array[row].sum())} ones in row {row}")
    labels: npt.NDArray[np.int64] = array.argmax(axis=1).astype(np.int64)
    return labels


def check_pair(
    x: npt.ArrayLike | StoredImages, y: npt.ArrayLike, classifier: PyTorchClassifier, *, name: str = ""
) -> tuple[Images, npt.NDArray[np.int64]]:
    """Check images and labels that belong together; see :func:`check_inputs` and :func:`check_labels`.

    Raises:
        ValueError: as those, or the lengths differ.
    """
    images = check_inputs(x, classifier, name=f"{name}x")
    labels = check_labels(y, classifier.nb_classes, name=f"{name}y")
    if len(images) != len(labels):
        raise ValueError(f"{name}x and {name}y must be of one length, got {len(images)} and {len(labels)}")
    return images, labels


def name_class(index: int, class_names: Sequence[str] | None) -> str:
    """A class for a message: its number, and its name where known."""
    return f"{index} ({class_names[index]})" if class_names else str(index)


def warn_absent_classes(support: npt.NDArray[np.int64], *, stacklevel: int = 3) -> None:
    """Warn once, naming the classes that have no training sample at all.

    Args:
        support: (K,) training samples of each class.
        stacklevel: whose line the warning points at, as for ``warnings.warn``.
    """
    absent = np.flatnonzero(support == 0)
    if len(absent):
        names = ", ".join(map(str, absent))
        warnings.warn(
            f"no training sample of class {names} (of {len(support)}): its statistics are NaN and it keeps the base budget",
            UserWarning,
            stacklevel=stacklevel,
        )


def stratified_split(
    labels: npt.NDArray[np.int64], fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hold out a share of every class.

    Args:
        labels: (n,) labels.
        fraction: share held out, in (0, 1); at least one sample of each class that has two.
        seed: of the draw.

    Returns:
        Indices kept and indices held out, both ascending.

    Raises:
        ValueError: ``fraction`` outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"hold_out must be in (0, 1), got {fraction!r}")
    random = np.random.default_rng(seed)
    held: list[npt.NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        number = min(len(members) - 1, max(1, round(fraction * len(members))))
        held.append(random.permutation(members)[:number])
    out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), out), out
