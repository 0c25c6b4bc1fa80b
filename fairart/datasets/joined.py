"""Images of several sources as one, each left where it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from fairart.datasets.stored import ImageArray, Images, Rows, StoredImages

__all__ = ["JoinedImages"]


class JoinedImages(StoredImages):
    """The images of several arrays or stored images, one after the other.

    Args:
        parts: of one image shape.
        divisor: what uint8 is divided by where other parts are float32.
    """

    def __init__(self, parts: Sequence[Images], *, divisor: float) -> None:
        self._parts, self._divisor = list(parts), np.float32(divisor)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        asked = [part.workers for part in self._stored() if part.costly and part.workers is not None]
        self.workers = max(asked, default=None)
        self.costly = any(isinstance(part, StoredImages) and part.costly for part in parts)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        _, channels, height, width = self._parts[0].shape
        return int(self._starts[-1]), int(channels), int(height), int(width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the parts, float32 where they differ."""
        kinds = {part.dtype for part in self._parts}
        return self._parts[0].dtype if len(kinds) == 1 else np.dtype(np.float32)

    def read(self, rows: Rows) -> ImageArray:
        """See :meth:`StoredImages.read`."""
        return self._gathered(rows, lambda part, own, first: part[own])

    def read_to_train(self, rows: Rows, *, seed: int, epoch: int, first: int) -> ImageArray:
        """See :meth:`StoredImages.read_to_train`."""

        def read(part: Images, own: Rows, place: int) -> ImageArray:
            if isinstance(part, StoredImages):
                return part.read_to_train(own, seed=seed, epoch=epoch, first=first + place)
            return part[own]

        return self._gathered(rows, read)

    @property
    def unreadable(self) -> dict[str, str]:
        """See :attr:`StoredImages.unreadable`."""
        return {file: why for part in self._stored() for file, why in part.unreadable.items()}

    def note_unreadable(self, found: dict[str, str]) -> None:
        """See :meth:`StoredImages.note_unreadable`."""
        for part in self._stored():
            part.note_unreadable(found)

    def _stored(self) -> list[StoredImages]:
        return [part for part in self._parts if isinstance(part, StoredImages)]

    def _gathered(self, rows: Rows, read: Callable[[Images, Rows, int], ImageArray]) -> ImageArray:
        found = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for index, part in enumerate(self._parts):
            places = np.flatnonzero(owner == index)
            if len(places):
                images = read(part, rows[places] - self._starts[index], int(places[0]))
                found[places] = images.astype(np.float32) / self._divisor if images.dtype != self.dtype else images
        return found

    def described(self) -> str | None:
        """See :meth:`StoredImages.described`."""
        lines = [part.described() if isinstance(part, StoredImages) else None for part in self._parts]
        if all(line is None for line in lines):
            return None
        return " + ".join(line or _content(part) for line, part in zip(lines, self._parts, strict=True))


def _content(part: Images) -> str:
    found = blake2b(f"{part.dtype}{part.shape}".encode(), digest_size=16)
    for chunk in part.chunks() if isinstance(part, StoredImages) else [np.ascontiguousarray(part)]:
        found.update(chunk.reshape(-1).view(np.uint8).data)
    return found.hexdigest()
