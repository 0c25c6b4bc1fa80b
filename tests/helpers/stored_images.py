"""Images on disk for tests, which note what is read and refuse to be read as a whole."""

from __future__ import annotations

import numpy as np

from fairart.datasets.array_file import ArrayFileImages


class WatchedImages(ArrayFileImages):
    """Notes the rows of every read."""

    def __init__(self, path, **options):
        super().__init__(path, **options)
        self.reads = []

    def read(self, rows):
        self.reads.append(np.array(rows))
        return super().read(rows)

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the images were read as a whole")


def stored(folder, x, *, name="x"):
    """The images of an array, on disk."""
    path = folder / f"{name}.npy"
    np.save(path, x)
    return WatchedImages(path)


def as_bytes(x):
    """Floats in [0, 1] as uint8 images."""
    return (255 * x).round().astype(np.uint8)
