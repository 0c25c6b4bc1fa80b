"""Images in an ``.npy`` file, read row by row."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DatasetError
from fairart.datasets.stored import ImageArray, Rows, StoredImages

__all__ = ["ArrayFileImages"]


class ArrayFileImages(StoredImages):
    """Images of an ``.npy`` file. Each read opens the file, so processes and threads share the object freely.

    Rows are read with ``preadv``, not through a memory map: a row then costs one request to the disk whatever its size, the
    process's resident memory stays that of a batch, and an address space limit does not count the file.

    Args:
        path: (N, H, W), (N, C, H, W) or (N, H, W, C) in C order; whole numbers 0..255 or floats in [0, 1].
        channel_axis: 1 or 3, where the channels of (N, ., ., .) stand.

    Raises:
        DatasetError: the file is no ``.npy`` file of such an array, or is shorter than its header says.
    """

    def __init__(self, path: Path, *, channel_axis: int = 1) -> None:
        self.path, self._channel_axis = path, channel_axis
        mapped = open_array(path)
        self._stored_shape, self._stored_dtype = tuple(map(int, mapped.shape)), mapped.dtype
        if mapped.ndim not in (3, 4) or mapped.dtype.kind not in "fiu":
            raise DatasetError(
                f"{path} must hold images (N, H, W), (N, C, H, W) or (N, H, W, C), got {mapped.dtype} {mapped.shape}"
            )
        if len(mapped) > 1 and not mapped.flags.c_contiguous:
            raise DatasetError(f"{path} is in Fortran order, its images do not lie side by side: save np.ascontiguousarray(x)")
        self._offset = int(mapped.offset)
        self._stamp = _stamp(path.stat())
        if self._stored_dtype.kind in "iu" and self._stored_dtype != np.uint8:
            self._check_whole_numbers()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        if len(self._stored_shape) == 3:
            count, height, width = self._stored_shape
            return count, 1, height, width
        count, first, second, third = self._stored_shape
        return (count, third, first, second) if self._channel_axis == 3 else (count, first, second, third)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 of floats, uint8 of whole numbers."""
        return np.dtype(np.float32 if self._stored_dtype.kind == "f" else np.uint8)

    def read(self, rows: Rows) -> ImageArray:
        """See :meth:`StoredImages.read`.

        Raises:
            DatasetError: the file is gone, cut short or was changed since it was opened.
        """
        stored = self._read_stored(rows)
        if stored.ndim == 3:
            stored = stored[:, None]
        elif self._channel_axis == 3:
            stored = stored.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(stored, dtype=self.dtype)

    def _read_stored(self, rows: Rows) -> npt.NDArray[Any]:
        found = np.empty((len(rows), *self._stored_shape[1:]), dtype=self._stored_dtype)
        if not found.size:
            return found
        try:
            with self.path.open("rb", buffering=0) as file:
                if _stamp(os.fstat(file.fileno())) != self._stamp:
                    raise DatasetError(f"{self.path} was changed since it was opened: begin again")
                _read_rows(file, rows, found, offset=self._offset)
        except OSError as error:
            raise DatasetError(f"{self.path} cannot be read: {error}") from error
        return found

    def _check_whole_numbers(self) -> None:
        step = max(1, (1 << 25) // max(1, int(np.prod(self._stored_shape[1:])) * self._stored_dtype.itemsize))
        for first in range(0, self._stored_shape[0], step):
            chunk = self._read_stored(np.arange(first, min(first + step, self._stored_shape[0])))
            if chunk.size and (chunk.min() < 0 or chunk.max() > 255):
                raise DatasetError(f"{self.path} of whole numbers must lie in 0..255, got {chunk.min()}..{chunk.max()}")


def open_array(path: Path) -> np.memmap[Any, Any]:
    """Map an ``.npy`` file, without reading it.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: it is no ``.npy`` file, holds Python objects, or is shorter than its header says.
    """
    if not path.is_file():
        raise FileNotFoundError(f"dataset 'npy': there is no file {path}")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path} cannot be read as an .npy file: {error}") from error
    if not isinstance(found, np.memmap):
        raise DatasetError(f"{path} cannot be read as an .npy file: it is an archive of several arrays")
    return found


def _stamp(about: os.stat_result) -> tuple[int, int]:
    return about.st_size, about.st_mtime_ns


def _read_rows(file: BinaryIO, rows: Rows, target: npt.NDArray[Any], *, offset: int) -> None:
    """Read rows of equal size; neighbours in one request."""
    width = target[0].nbytes
    view: memoryview = memoryview(target.reshape(len(rows), -1).view(np.uint8).reshape(-1).data)
    # Where a run of neighbours begins and ends.
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    read = _pread if hasattr(os, "preadv") else _read_mapped
    for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True):
        read(file, view[first * width : last * width], offset + int(rows[first]) * width)


def _pread(file: BinaryIO, target: memoryview, offset: int) -> None:
    while target:
        done = os.preadv(file.fileno(), [target], offset)
        if not done:
            raise OSError("the file ends before its last image")
        target, offset = target[done:], offset + done


def _read_mapped(file: BinaryIO, target: memoryview, offset: int) -> None:
    """For systems without ``preadv``."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        target[:] = mapped[offset : offset + len(target)]
