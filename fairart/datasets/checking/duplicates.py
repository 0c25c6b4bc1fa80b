"""Images that are there twice: byte for byte, or nearly."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_PAIRS", "NearDuplicates", "exact_duplicates", "near_duplicates"]

MAX_PAIRS = 100_000
"""Pairs of similar images after which the search ends: a data set of nearly one image would have millions."""

GRID, ROWS_AT_ONCE, VALUES_AT_ONCE = 8, 128, 1 << 22

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class NearDuplicates(NamedTuple):
    """Pairs of similar images.

    Args:
        pairs: (m, 2) rows of the images, the smaller one first, ordered.
        complete: False where the search ended at :data:`MAX_PAIRS`.
    """

    pairs: IntArray
    complete: bool


def exact_duplicates(x: npt.NDArray[Any]) -> list[IntArray]:
    """Groups of images that are equal byte for byte.

    Args:
        x: (n, C, H, W) images.

    Returns:
        The rows of each group of two or more, ascending; groups in the order of their first rows.
    """
    groups: dict[bytes, list[int]] = {}
    for row, image in enumerate(x):
        groups.setdefault(hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest(), []).append(row)
    return [np.array(rows, dtype=np.int64) for rows in groups.values() if len(rows) > 1]


def near_duplicates(x: npt.NDArray[Any], tolerance: float) -> NearDuplicates:
    """Pairs of images that differ by no more than a root mean square of ``tolerance`` over their pixels; equal ones count once.

    None is missed: pairs are first compared by the means of the cells of a grid, whose difference is never larger than that of
    the pixels, and the rest pixel by pixel. Images that were moved, mirrored or cut differ by much more, and are not found.

    Args:
        x: (n, C, H, W) uint8, or floating images in [0, 1].
        tolerance: in units of [0, 1], >= 0; JPEG compression alone changes an image by about 0.02.

    Returns:
        The pairs, of the first image of every group of equal ones.
    """
    repeated = [rows[1:] for rows in exact_duplicates(x)]
    own = np.setdiff1d(np.arange(len(x)), np.concatenate(repeated)) if repeated else np.arange(len(x))
    means = _cell_means(x[own])
    along = _along_largest_spread(means)
    order = np.argsort(along, kind="stable")
    means, along, own = means[order], along[order], own[order]
    found: list[IntArray] = []
    for first in range(0, len(own), ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, len(own))
        # Whatever lies further along one direction than the tolerance differs by more than the tolerance.
        end = int(np.searchsorted(along, along[last - 1] + tolerance + 1e-9, side="right"))
        rows, columns = _close(means[first:last], means[first:end], tolerance)
        pairs = np.stack([own[first + rows], own[first + columns]], axis=1)
        found.append(pairs[_difference(x, pairs) <= tolerance])
        if sum(map(len, found)) > MAX_PAIRS:
            return NearDuplicates(_ordered(found)[:MAX_PAIRS], complete=False)
    return NearDuplicates(_ordered(found), complete=True)


def _cell_means(x: npt.NDArray[Any]) -> FloatArray:
    """(n, d) means over the cells of a grid, scaled so that their distance is at most the root mean square of the images' one."""
    if not len(x):
        return np.zeros((0, 1))
    height, width = x.shape[2:]
    rows, columns = (np.unique(np.linspace(0, size, min(GRID, size) + 1).astype(int)[:-1]) for size in (height, width))
    area = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    scale = (255.0 if x.dtype == np.uint8 else 1.0) * np.sqrt(area * x[0].size)
    parts = []
    step = max(1, VALUES_AT_ONCE // max(1, int(np.prod(x.shape[1:]))))
    for first in range(0, len(x), step):
        sums = np.add.reduceat(np.add.reduceat(x[first : first + step].astype(np.float64), rows, axis=2), columns, axis=3)
        parts.append((sums / scale).reshape(len(sums), -1))
    return np.concatenate(parts)


def _along_largest_spread(means: FloatArray) -> FloatArray:
    """(n,) places along the direction in which the images differ most."""
    if len(means) < 2:
        return np.zeros(len(means))
    centred = means - means.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along: FloatArray = centred @ direction
    return along


def _close(some: FloatArray, others: FloatArray, tolerance: float) -> tuple[IntArray, IntArray]:
    """Rows and columns of the pairs within the tolerance; the first ones of ``others`` are ``some``, and count once."""
    squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * some @ others.T
    rows, columns = np.nonzero(squares <= tolerance**2 + 1e-9)
    once = columns > rows
    return rows[once].astype(np.int64), columns[once].astype(np.int64)


def _difference(x: npt.NDArray[Any], pairs: IntArray) -> FloatArray:
    """(m,) root mean square of the difference of two images."""
    scale = 255.0 if x.dtype == np.uint8 else 1.0
    step, found = max(1, VALUES_AT_ONCE // max(1, int(np.prod(x.shape[1:])))), np.zeros(len(pairs))
    for first in range(0, len(pairs), step):
        one, other = (x[pairs[first : first + step, side]].astype(np.float64) for side in (0, 1))
        found[first : first + step] = np.sqrt(((one - other) ** 2).mean(axis=(1, 2, 3))) / scale
    return found


def _ordered(found: list[IntArray]) -> IntArray:
    pairs = np.sort(np.concatenate(found), axis=1) if found else np.zeros((0, 2), dtype=np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
