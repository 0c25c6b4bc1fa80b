"""Images that stay in their files and are decoded when they are asked for."""

from __future__ import annotations

import functools
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DatasetError
from fairart.datasets.image_view import ImageSource, ImageView, Pixels, UnreadableImageError
from fairart.datasets.memory import cores
from fairart.datasets.stored import ImageArray, Rows, StoredImages

__all__ = ["FileNames", "ImageFiles", "ImageNames"]

Labels = npt.NDArray[np.int64]

BLOCK = 64
"""Images that threads decode before their pixels are put in place."""


class ImageNames(Protocol):
    """Many images, each by its row; nothing of them is opened."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> ImageSource:
        """The image of a row."""
        ...

    @property
    def digest(self) -> str:
        """A text that differs where the images do, as far as that is known without reading them."""
        ...


class FileNames:
    """The names of many files in one block of memory.

    A million ``Path`` objects take half a gigabyte, and again in every process that decodes, as counting references copies the
    pages that they lie on.

    Args:
        root: folder of all of them.
        names: relative to it.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        text, ends = bytearray(), array("q")
        for name in names:
            text += os.fsencode(name)
            ends.append(len(text))
        self._text, self._ends = np.frombuffer(text, dtype=np.uint8), np.frombuffer(ends, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> Path:
        start = int(self._ends[row - 1]) if row else 0
        return self.root / os.fsdecode(self._text[start : int(self._ends[row])].tobytes())

    def __iter__(self) -> Iterator[Path]:
        return (self[row] for row in range(len(self)))

    @functools.cached_property
    def digest(self) -> str:
        """Of names and sizes of the files, wherever their folder stands."""
        found = blake2b(self._text.data, digest_size=16)
        sizes = [_size(self[row]) for row in range(len(self))]
        found.update(np.array([*self._ends, *sizes], dtype=np.int64).data)
        return found.hexdigest()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


class ImageFiles(StoredImages):
    """Image files, decoded whenever they are read.

    Args:
        names: of the files, or images within larger files.
        labels: (N,) their classes.
        view: size and crop.
        shape: (H, W) of what the view gives.
        skip_unreadable: train on another image of the class in place of one that cannot be read, and note it.
        workers: processes that decode for training, and threads that decode otherwise; None for one a processor core, 0 for
            threads in training as well.
        unreadable: where files that were passed over are noted, with what was wrong.
    """

    costly = True

    def __init__(
        self,
        names: ImageNames,
        labels: Labels,
        view: ImageView,
        shape: tuple[int, int],
        *,
        skip_unreadable: bool = False,
        workers: int | None = None,
        unreadable: dict[str, str] | None = None,
    ) -> None:
        self.names, self.labels, self.view, self._shape = names, labels, view, shape
        self.skip_unreadable, self.workers = skip_unreadable, workers
        self._unreadable: dict[str, str] = {} if unreadable is None else unreadable
        self.rows = np.arange(len(names))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return len(self.rows), 1 if self.view.grey else 3, *self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def unreadable(self) -> dict[str, str]:
        """Files that could not be read so far, and what was wrong."""
        return self._unreadable

    def described(self) -> str:
        """Names and sizes of the files and the view: reading a million images would take as long as training on them."""
        rows = blake2b(self.rows.data, digest_size=16).hexdigest()
        return f"files {self.names.digest}, rows {rows}, {self.view}, {self._shape}, skip {self.skip_unreadable}"

    def select(self, rows: Rows) -> ImageFiles:
        """See :meth:`StoredImages.select`."""
        chosen = object.__new__(ImageFiles)
        chosen.__dict__.update(self.__dict__)
        chosen.rows, chosen.labels = self.rows[rows], self.labels[rows]
        return chosen

    def read(self, rows: Rows) -> ImageArray:
        """See :meth:`StoredImages.read`."""
        return self._read(rows, lambda place: self._decoded(int(rows[place]), self.view.pixels))

    def read_to_train(self, rows: Rows, *, seed: int, epoch: int, first: int) -> ImageArray:
        """See :meth:`StoredImages.read_to_train`; crops follow from seed, epoch and place alone."""

        def decoded(place: int) -> Pixels:
            key = np.array([seed, (epoch << 40) + first + place], dtype=np.uint64)
            # A new one at each try: an image that stands in for another is cropped as that would have been.
            return self._decoded(
                int(rows[place]), lambda file: self.view.drawn_pixels(file, np.random.Generator(np.random.Philox(key=key)))
            )

        return self._read(rows, decoded)

    def readable(self) -> Rows | None:
        """See :meth:`StoredImages.readable`; the others are noted."""
        if not self.skip_unreadable:
            return None
        kept: list[int] = []
        with self._threads() as threads:
            for first in range(0, len(self), BLOCK):
                block = range(first, min(first + BLOCK, len(self)))
                kept += [row for row, fault in zip(block, threads.map(self._fault, block), strict=True) if not fault]
        return np.array(kept, dtype=np.int64)

    def _fault(self, row: int) -> bool:
        try:
            self.view.pixels(self._file(row))
        except UnreadableImageError as error:
            self._unreadable[str(self._file(row))] = str(error)
            return True
        return False

    def _read(self, rows: Rows, decoded: Callable[[int], Pixels]) -> ImageArray:
        found = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        with self._threads(len(rows)) as threads:
            for first in range(0, len(rows), BLOCK):
                block = range(first, min(first + BLOCK, len(rows)))
                for place, pixels in zip(block, threads.map(decoded, block), strict=True):
                    found[place] = pixels
        return found

    def _threads(self, most: int = BLOCK) -> ThreadPoolExecutor | _Here:
        count = min(most, self.workers or cores())
        return ThreadPoolExecutor(count, thread_name_prefix="fairart-decode") if count > 1 and not in_worker() else _Here()

    def _decoded(self, row: int, pixels: Callable[[ImageSource], Pixels]) -> Pixels:
        try:
            return pixels(self._file(row))
        except UnreadableImageError as error:
            if not self.skip_unreadable:
                raise
            self._unreadable[str(self._file(row))] = str(error)
        for other in self._others(row):
            try:
                return pixels(self._file(other))
            except UnreadableImageError as error:
                self._unreadable[str(self._file(other))] = str(error)
        raise DatasetError(f"no image of the class of {self._file(row)} can be read")

    def _others(self, row: int) -> Iterator[int]:
        """The other images of a class, beginning behind one of them."""
        same = np.flatnonzero(self.labels == self.labels[row])
        at = int(np.searchsorted(same, row))
        return (int(other) for other in [*same[at + 1 :], *same[:at]])

    def _file(self, row: int) -> ImageSource:
        return self.names[int(self.rows[row])]


class _Here:
    """In place of threads: a process that was started to decode has none."""

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, function: Callable[[int], Any], places: Iterable[int]) -> Iterator[Any]:
        """Call the function for each place."""
        return map(function, places)


def in_worker() -> bool:
    """Whether this is a process that decodes for another one."""
    from torch.utils.data import get_worker_info

    return get_worker_info() is not None
