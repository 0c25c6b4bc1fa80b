"""Images in tar files: an index of where each of them begins, so that any of them can be read at any time."""

from __future__ import annotations

import functools
import io
import tarfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fairart.datasets.base import DatasetError
from fairart.datasets.image_files import FileNames

__all__ = ["IMAGES", "TarImage", "TarImages", "list_shard"]

IMAGES = frozenset({"png", "jpg", "jpeg", "bmp", "webp", "ppm", "pgm", "tif", "tiff"})
"""Last parts of the names of images, in lower case."""


@dataclass(frozen=True)
class TarImage:
    """One image in a tar file.

    Args:
        shard: the tar file.
        name: of the image in it.
        first: byte that it begins at.
        size: its bytes.
    """

    shard: Path
    name: str
    first: int
    size: int

    def open(self) -> io.BytesIO:
        """Its bytes.

        Raises:
            OSError: the file is gone, or shorter than it was.
        """
        with self.shard.open("rb") as file:
            file.seek(self.first)
            found = file.read(self.size)
        if len(found) != self.size:
            raise OSError(f"{self.shard} ends within it")
        return io.BytesIO(found)

    def __str__(self) -> str:
        return f"{self.shard}: {self.name}"


class Sample(NamedTuple):
    """One sample of a shard: its image, and the text of its label."""

    name: str
    first: int
    size: int
    label: str


class TarImages:
    """The images of many tar files, in a few blocks of memory.

    Args:
        samples: each tar file with its samples, one after the other: those of a million images at once would fill memory.
    """

    def __init__(self, samples: Iterable[tuple[Path, Sequence[Sample]]]) -> None:
        self.shards: list[Path] = []
        places = array("q")

        def names() -> Iterator[str]:
            for shard, own in samples:
                self.shards.append(shard)
                for sample in own:
                    places.extend((len(self.shards) - 1, sample.first, sample.size))
                    yield sample.name

        self._names = FileNames(Path(), names())
        self._places = np.frombuffer(places, dtype=np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, row: int) -> TarImage:
        shard, first, size = map(int, self._places[row])
        return TarImage(self.shards[shard], self._names[row].as_posix(), first, size)

    def __iter__(self) -> Iterator[TarImage]:
        return (self[row] for row in range(len(self)))

    @functools.cached_property
    def digest(self) -> str:
        """Of the names of the shards and all images, and where these lie, wherever the folder stands."""
        found = blake2b("\n".join(shard.name for shard in self.shards).encode(), digest_size=16)
        found.update("\n".join(self._names[row].as_posix() for row in range(len(self))).encode())
        found.update(self._places.data)
        return found.hexdigest()


def list_shard(shard: Path, label: str) -> list[Sample]:
    """The samples of a tar file: members of one name up to the first dot, one an image and one a label, in any order.

    Args:
        shard: the tar file, not compressed.
        label: ending of the member with the label.

    Raises:
        DatasetError: no tar file, one that is compressed, damaged or cut short, a sample without an image or a label, or with two
            of them; the message names it.
    """
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, str] = {}
    others: set[str] = set()
    try:
        # Without ":" tarfile would unpack a compressed file on the way, and no image could be found again by its place.
        with tarfile.open(shard, mode="r:") as file:
            for member in file:
                folder, slash, last = member.name.rpartition("/")
                stem, _, ending = last.partition(".")
                key, ending = f"{folder}{slash}{stem}", ending.lower()
                if not member.isfile() or stem == "":
                    continue
                kept: dict[str, tarfile.TarInfo] | dict[str, str] = images if ending in IMAGES else labels
                if (ending in IMAGES or ending == label) and key in kept:
                    raise DatasetError(f"{shard}: sample {key!r} has two {'images' if kept is images else 'labels'}")
                if ending in IMAGES:
                    images[key] = member
                elif ending == label:
                    labels[key] = _text(file, member, shard)
                else:
                    others.add(ending)
            end = file.offset
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DatasetError(f"{shard} cannot be read as an uncompressed tar file: {error}") from error
    _check_end(shard, end)
    _check_pairs(set(images), set(labels), others, shard, label)
    return [Sample(member.name, member.offset_data, member.size, labels[key]) for key, member in images.items()]


def _text(file: tarfile.TarFile, member: tarfile.TarInfo, shard: Path) -> str:
    opened = file.extractfile(member)
    assert opened is not None
    found = opened.read()
    if len(found) != member.size:
        raise DatasetError(f"{shard} is cut short: it ends within {member.name!r}")
    try:
        return found.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{shard}: {member.name!r} is no text: {error}") from error


def _check_end(shard: Path, end: int) -> None:
    """``tarfile`` takes a damaged header, and the end of a file that was cut, for the end of the samples."""
    with shard.open("rb") as file:
        file.seek(end)
        rest = file.read(tarfile.BLOCKSIZE)
        if len(rest) < tarfile.BLOCKSIZE:
            raise DatasetError(f"{shard} is cut short: it has {shard.stat().st_size} bytes, and not the end of a tar file")
        while rest:
            if rest.strip(b"\0"):
                raise DatasetError(
                    f"{shard} is damaged, or several tar files in one: what stands behind byte {end} is neither a member nor the "
                    "end of the file"
                )
            rest = file.read(1 << 20)


def _check_pairs(with_image: set[str], with_label: set[str], others: set[str], shard: Path, label: str) -> None:
    for odd, what in ((with_image - with_label, f"member .{label}"), (with_label - with_image, "image")):
        if odd:
            raise DatasetError(
                f"{shard}: sample {min(odd)!r} has no {what}, as {len(odd)} of {len(with_image | with_label)} samples"
            )
    if not with_image:
        there = f"; there are endings {', '.join(sorted(others)[:4])}, behind the first dot" if others else ""
        raise DatasetError(f"{shard} has no samples: expected members such as 000.jpg and 000.{label}{there}")
