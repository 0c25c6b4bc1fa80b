"""Processes that decode the images of coming batches, through a torch ``DataLoader``."""

from __future__ import annotations

import contextlib
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fairart.datasets import DatasetError
from fairart.datasets.stored import StoredImages
from fairart.engine.data.sources import Rows
from fairart.engine.data.worker_ends import is_worker_end, why_it_ended

__all__ = ["Decoders", "Read", "decoders"]

Read = tuple[Tensor, list[Tensor]]
"""Rows on the CPU, and their images as they are stored, in one piece or more."""

JOB_BYTES = 1 << 23
"""Images that one process decodes at a time: a large batch is shared among several, and few bytes wait for their turn."""
JOBS_AHEAD = 2
"""Jobs that each process is ahead."""
MOST_WORKERS = 16


class _Job(NamedTuple):
    """Some images of a batch."""

    rows: npt.NDArray[np.int64]
    first: int
    epoch: int


class _Done(NamedTuple):
    """What a process gives back: images, or why there are none."""

    images: Tensor
    fault: str
    unreadable: dict[str, str]


class _Decoding(Dataset[_Done]):
    """What each process holds: the images, and the seed of their crops."""

    def __init__(self, images: StoredImages, seed: int) -> None:
        self.images, self.seed = images, seed

    def __getitem__(self, job: _Job) -> _Done:
        try:
            pixels = self.images.read_to_train(job.rows, seed=self.seed, epoch=job.epoch, first=job.first)
        except DatasetError as error:
            # Raised here, the loader would put this process's traceback in place of the message.
            return _Done(torch.empty(0), str(error), {})
        return _Done(torch.from_numpy(pixels), "", dict(self.images.unreadable))


class Decoders:
    """Decodes batches in processes, in the order of an epoch; the processes stay from epoch to epoch.

    Args:
        images: what is decoded.
        seed: of what is drawn.
        workers: number of processes.
        pinned: put images into pinned memory, from which a GPU takes them while it computes.
    """

    def __init__(self, images: StoredImages, *, seed: int, workers: int, pinned: bool) -> None:
        self.images, self.workers = images, workers
        self._jobs = _Jobs(max(1, JOB_BYTES // max(1, images.nbytes // len(images))))
        self._seed, self._pinned = seed, pinned
        self._loader: DataLoader[_Done] | None = None

    def _started(self) -> DataLoader[_Done]:
        if self._loader is None:
            self._loader = DataLoader(
                _Decoding(self.images, self._seed),
                batch_size=None,
                sampler=self._jobs,
                num_workers=self.workers,
                collate_fn=_as_it_is,
                pin_memory=self._pinned,
                persistent_workers=True,
                prefetch_factor=JOBS_AHEAD,
                # Of its own: the loader draws a number for its processes, and the run's random state must not hear of it.
                generator=torch.Generator(),
            )
        return self._loader

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While batches are used: after a failure no process stays, and one that ended by itself is explained.

        Raises:
            RuntimeError: a process ended. The loader raises from a signal's handler, wherever the program is just then.
        """
        try:
            yield
        except BaseException as error:
            self._end()
            if is_worker_end(error):
                raise RuntimeError(_explained(self.workers, error)) from error
            raise

    def _end(self) -> None:
        # At once, though the loader has no public way: an error's traceback holds the loader's iterator, and for as long as a
        # process that ended is on its list, every signal of another process raises that error again, anywhere.
        iterator, self._loader = getattr(self._loader, "_iterator", None), None
        end = getattr(iterator, "_shutdown_workers", None)
        if end is not None:
            with contextlib.suppress(RuntimeError):
                end()

    def batches(self, rows: Rows, places: Sequence[slice], epoch: int) -> Iterator[tuple[slice, Read]]:
        """The batches at some places, decoded ahead.

        Args:
            rows: gives the rows at some places.
            places: of the batches, in their order.
            epoch: its number, from 0.

        Yields:
            The places, the rows, and their images.

        Raises:
            DatasetError: an image that cannot be read; the message names it.
        """
        self._jobs.begin(rows, places, epoch)
        done = self._results()
        for _ in places:
            parts = [next(done)]
            # Known once its first job was handed out.
            place, taken, number = self._jobs.handed_out.popleft()
            parts += [next(done) for _ in range(number - 1)]
            yield place, (taken, parts)

    def _results(self) -> Iterator[Tensor]:
        try:
            for done in self._started():
                if done.fault:
                    raise DatasetError(done.fault)
                self._note(done.unreadable)
                yield done.images
        except (ConnectionError, EOFError) as error:
            # The other way in which the loader meets a process that ended: while it takes an image over from it.
            raise RuntimeError(_explained(self.workers, error)) from error

    def _note(self, found: dict[str, str]) -> None:
        known = self.images.unreadable
        fresh = {file: why for file, why in found.items() if file not in known}
        if fresh and not known:
            warnings.warn(
                f"{next(iter(fresh.values()))}: another image of its class is trained on; more such files are counted and listed "
                "at the end",
                UserWarning,
                stacklevel=2,
            )
        self.images.note_unreadable(fresh)


class _Jobs:
    """The sampler of the loader: the work of an epoch, drawn from as processes come free.

    Args:
        size: images of one job.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.begin(lambda places: torch.arange(places.start, places.stop), (), 0)

    def begin(self, rows: Rows, places: Sequence[slice], epoch: int) -> None:
        """Lay out an epoch; see :meth:`Decoders.batches`."""
        self._rows, self._places, self._epoch = rows, places, epoch
        self.handed_out: deque[tuple[slice, Tensor, int]] = deque()
        """Places, rows and number of jobs of the batches that are under way."""

    def __iter__(self) -> Iterator[_Job]:
        for place in self._places:
            rows = self._rows(place)
            starts = range(0, len(rows), self._size)
            self.handed_out.append((place, rows, len(starts)))
            for start in starts:
                yield _Job(rows[start : start + self._size].numpy(), place.start + start, self._epoch)


def _as_it_is(done: Any) -> Any:
    return done


def _explained(workers: int, error: BaseException) -> str:
    return (
        f"one of {workers} processes that decode images ended. {why_it_ended(error)} Take fewer (--set dataset.workers=2), or "
        "threads alone (dataset.workers=0)"
    )


def decoders(images: StoredImages, *, seed: int, workers: int | None, pinned: bool) -> Decoders | None:
    """Processes for images whose reading is decoding; None where threads do.

    Args:
        images: what is read.
        seed: of what is drawn.
        workers: processes, where the images ask for no number.
        pinned: put images into pinned memory.
    """
    asked: Any = images.workers
    number = workers if asked is None else asked
    if not images.costly or not number or not len(images):
        return None
    return Decoders(images, seed=seed, workers=min(MOST_WORKERS, number) if asked is None else number, pinned=pinned)
