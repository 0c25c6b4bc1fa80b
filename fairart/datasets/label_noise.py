"""Noisy training labels: how many samples of each class get which wrong label."""

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

__all__ = ["is_file_of_labels", "noisy_labels", "pair_matrix", "symmetric_matrix"]

Labels = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

KIND = re.compile(r"(symmetric|pair):(.+)")
EXPECTED = "label_noise expects symmetric:RATE, pair:RATE or a file"


def symmetric_matrix(nb_classes: int, rate: float) -> FloatArray:
    """(K, K) shares, rows true, columns given: 1 - rate on the diagonal, rate / (K - 1) elsewhere.

    Args:
        nb_classes: K >= 2.
        rate: share of every class that gets a wrong label, in [0, 1].
    """
    shares: FloatArray = np.full((nb_classes, nb_classes), rate / (nb_classes - 1))
    np.fill_diagonal(shares, 1 - rate)
    return shares


def pair_matrix(nb_classes: int, rate: float) -> FloatArray:
    """(K, K) shares, rows true, columns given: 1 - rate on the diagonal, rate for the next class (Han et al., NeurIPS 2018).

    Args:
        nb_classes: K >= 2; after the last class comes the first.
        rate: share of every class that gets a wrong label, in [0, 1].
    """
    shares: FloatArray = (1 - rate) * np.eye(nb_classes) + rate * np.roll(np.eye(nb_classes), 1, axis=1)
    return shares


def is_file_of_labels(noise: str) -> bool:
    """Whether a noise names a file, and no kind.

    Args:
        noise: see :func:`noisy_labels`.
    """
    return KIND.fullmatch(noise) is None


def noisy_labels(noise: str, y: Labels, nb_classes: int, *, seed: int, name: str) -> Labels:
    """Labels with noise; ``y`` is left alone.

    The shares hold in every class, up to rounding. With one seed, the samples with a wrong label at a lower rate have one at a
    higher rate as well.

    Args:
        noise: ``"symmetric:RATE"``, ``"pair:RATE"``, or a file: the new label of every training sample, in their order (``.npy``,
            a JSON list, or text with numbers between spaces, commas or line ends), or a JSON list of K rows of K shares: row k
            says how the labels of class k come out.
        y: (n,) labels in [0, K).
        nb_classes: K.
        seed: of the choice of samples, >= 0; a file of labels leaves nothing to choose.
        name: of the data set, for messages.

    Returns:
        (n,) labels.

    Raises:
        DatasetError: neither a kind of noise nor a file, a rate outside [0, 1], labels of another number of samples or outside
            the classes, or rows that are no shares.
    """
    found = KIND.fullmatch(noise)
    if found is not None:
        rate = _rate(found[2], found[1], name)
        shares = (symmetric_matrix if found[1] == "symmetric" else pair_matrix)(nb_classes, rate)
        return _drawn(shares, y, seed)
    given = _read(noise, name)
    if given.ndim == 2:
        return _drawn(_shares(given, nb_classes, noise, name), y, seed)
    return _labels(given, len(y), nb_classes, noise, name)


def _rate(text: str, kind: str, name: str) -> float:
    try:
        rate = float(parse_number(text))
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise DatasetError(f"{name}: label_noise {kind} expects a rate from 0 to 1, such as {kind}:0.2, got {text!r}")
    return rate


def _drawn(shares: FloatArray, y: Labels, seed: int) -> Labels:
    generator, nb_classes = np.random.default_rng(seed), len(shares)
    labels: Labels = y.copy()
    for k in range(nb_classes):
        # A whole permutation is drawn per class, whatever the shares: that nests the noise of one seed.
        order = generator.permutation(np.flatnonzero(y == k))
        wrong = np.delete(np.arange(nb_classes), k)
        # Cumulated before rounding: the number of wrong labels is exact, whatever it is split into.
        ends = np.floor(np.cumsum(shares[k, wrong]) * len(order) + 0.5 - 1e-9).astype(np.int64)
        for target, first, end in zip(wrong, [0, *ends[:-1]], ends, strict=True):
            labels[order[first:end]] = target
    return labels


def _read(noise: str, name: str) -> npt.NDArray[Any]:
    """The numbers of a file: (n,), or (K, K')."""
    path = Path(noise).expanduser()
    if not path.is_file():
        raise DatasetError(f"{name}: {EXPECTED}, got {noise!r}")
    try:
        return _numbers(path)
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise DatasetError(
            f"{name}: the file {noise!r} must hold one label for every training image, or K rows of K shares ({error})"
        ) from error


def _numbers(path: Path) -> npt.NDArray[Any]:
    if path.suffix == ".npy":
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    else:
        text = path.read_text(encoding="utf-8").strip()
        listed: Sequence[Any] = json.loads(text) if text.startswith("[") else [int(part) for part in re.split(r"[\s,;]+", text)]
        array = np.array(listed)
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"got {array.dtype} of shape {array.shape}")
    return array


def _shares(given: npt.NDArray[Any], nb_classes: int, noise: str, name: str) -> FloatArray:
    shares = given.astype(np.float64)
    if shares.shape != (nb_classes, nb_classes) or not (shares >= 0).all() or not np.allclose(shares.sum(axis=1), 1, atol=1e-6):
        raise DatasetError(
            f"{name}: the file {noise!r} must have {nb_classes} rows of {nb_classes} shares >= 0, each row with the sum 1, got "
            f"shape {shares.shape} with sums from {shares.sum(axis=1).min():g} to {shares.sum(axis=1).max():g}"
        )
    return shares


def _labels(given: npt.NDArray[Any], count: int, nb_classes: int, noise: str, name: str) -> Labels:
    if given.dtype.kind not in "iu":
        raise DatasetError(f"{name}: the labels in {noise!r} must be whole numbers, got {given.dtype}")
    if len(given) != count:
        raise DatasetError(f"{name}: the file {noise!r} must have {count} labels, one a training image, got {len(given)}")
    if given.min() < 0 or given.max() >= nb_classes:
        raise DatasetError(f"{name}: the labels in {noise!r} must lie in 0..{nb_classes - 1}, got {given.min()}..{given.max()}")
    labels: Labels = given.astype(np.int64)
    return labels
