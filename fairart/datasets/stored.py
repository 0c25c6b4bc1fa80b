"""Images that stay on disk: they look like an array (N, C, H, W), and only the rows that are asked for are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Images", "StoredImages", "select"]

ImageArray = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]

CHUNK_BYTES = 1 << 25


class StoredImages(ABC):
    """Images on disk.

    Indexing with rows or a slice reads these images into an array; :meth:`select` chooses images without reading them.
    ``np.asarray`` reads everything.
    """

    costly: bool = False
    """Whether reading an image is work for the processor, such as decoding, so that processes share it."""

    workers: int | None = None
    """Processes that are to read it for training, where reading is costly; None for one a processor core, 0 for none."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """uint8 or float32, as read."""

    @abstractmethod
    def read(self, rows: Rows) -> ImageArray:
        """Images (len(rows), C, H, W), contiguous, in an array of their own.

        Args:
            rows: in 0..N-1, in any order, repeated or not.

        Raises:
            DatasetError: an image that cannot be read; the message names the file.
        """

    def read_to_train(self, rows: Rows, *, seed: int, epoch: int, first: int) -> ImageArray:
        """As :meth:`read`, with what is drawn anew each time an image is trained on, such as a random crop.

        Args:
            rows: see :meth:`read`.
            seed: of the run.
            epoch: its number, from 0.
            first: place of the first image in the epoch; with seed and epoch it gives everything that is drawn.
        """
        return self.read(rows)

    @property
    def unreadable(self) -> dict[str, str]:
        """Files that could not be read and were passed over so far, and what was wrong with them."""
        return {}

    def note_unreadable(self, found: dict[str, str]) -> None:
        """Take over what another process could not read.

        Args:
            found: its :attr:`unreadable`.
        """
        self.unreadable.update(found)

    def readable(self) -> Rows | None:
        """The rows of the images that can be read, where the others are to be passed over; None where none is to be."""
        return None

    def select(self, rows: Rows) -> StoredImages:
        """The images of some rows, in their order, still on disk.

        Args:
            rows: in 0..N-1.
        """
        return SelectedImages(self, np.asarray(rows, dtype=np.int64))

    def described(self) -> str | None:
        """One line that differs where the images do; None where a digest has to read all of them."""
        return None

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """4."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values of all images."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of all images as an array."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, rows: Any) -> ImageArray:
        if isinstance(rows, slice):
            return self.read(np.arange(len(self))[rows])
        index = np.asarray(rows)
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        if index.size and index.dtype.kind not in "iu":
            raise IndexError(f"images are indexed by rows, a slice or a mask of rows, got {rows!r}")
        index = index.astype(np.int64)
        if index.size and not (index.min() >= -len(self) and index.max() < len(self)):
            raise IndexError(f"rows must lie in 0..{len(self) - 1}, got {index.min()}..{index.max()}")
        found = self.read(np.atleast_1d(np.where(index < 0, index + len(self), index)))
        return found if index.ndim else found[0]

    def chunks(self, nbytes: int | None = None) -> Iterator[ImageArray]:
        """All images in order, some at a time.

        Args:
            nbytes: of one chunk, about; None for 32 MiB.
        """
        step = max(1, (nbytes or CHUNK_BYTES) // max(1, self.nbytes // max(1, len(self))))
        for start in range(0, len(self), step):
            yield self[start : start + step]

    def __iter__(self) -> Iterator[ImageArray]:
        for chunk in self.chunks():
            yield from chunk

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ImageArray:
        everything = self[:]
        return everything if dtype is None else everything.astype(dtype, copy=False)


class SelectedImages(StoredImages):
    """Some of the images that are stored.

    Args:
        images: all of them.
        rows: those that are meant, in this order.
    """

    def __init__(self, images: StoredImages, rows: Rows) -> None:
        self.images, self.rows = images, rows
        self.costly, self.workers = images.costly, images.workers

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return (len(self.rows), *self.images.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of all images."""
        return self.images.dtype

    def read(self, rows: Rows) -> ImageArray:
        """See :meth:`StoredImages.read`."""
        return self.images.read(self.rows[rows])

    def select(self, rows: Rows) -> StoredImages:
        """See :meth:`StoredImages.select`."""
        return self.images.select(self.rows[rows])

    def described(self) -> str | None:
        """See :meth:`StoredImages.described`."""
        line = self.images.described()
        return None if line is None else f"{line}, rows {blake2b(self.rows.data, digest_size=16).hexdigest()}"


Images = ImageArray | StoredImages
"""Images in memory or on disk."""


@overload
def select(images: ImageArray, rows: Rows) -> ImageArray: ...
@overload
def select(images: StoredImages, rows: Rows) -> StoredImages: ...
@overload
def select(images: Images, rows: Rows) -> Images: ...
def select(images: Images, rows: Rows) -> Images:
    """Some of the images, in the order of the rows; those on disk stay there.

    Args:
        images: N images.
        rows: in 0..N-1.
    """
    return images.select(rows) if isinstance(images, StoredImages) else images[rows]
