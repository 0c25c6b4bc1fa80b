"""Training data that stays on disk: batches are read a little ahead of the step that needs them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.datasets.memory import cores
from fairart.datasets.stored import Images, StoredImages
from fairart.engine.data.arrays import uint8_divisor
from fairart.engine.data.decoding import Read, decoders
from fairart.engine.data.sources import DeviceData, Rows, to_device
from fairart.statistics import Groups

__all__ = ["StreamedData", "on_device"]

THREADS = 2
MOST_BYTES = 1 << 27
"""Images that are read and not yet used, at most; one batch is always read ahead."""
MOST_BATCHES = 8


class StreamedData(DeviceData):
    """Images on disk and labels on the device. Batches are those of :class:`DeviceData`, bit for bit.

    Args:
        images: (n, ...) checked images.
        y: (n,) checked labels.
        classifier: says what uint8 is divided by.
        device: where batches go.
        dtype: of the batches.
        seed: of what is drawn anew each time an image is trained on, such as a random crop.
        workers: processes that decode, where reading is decoding; None for those that the images ask for, else one a core.
        groups: of the samples, or None.
    """

    def __init__(
        self,
        images: StoredImages,
        y: npt.NDArray[np.int64],
        *,
        classifier: PyTorchClassifier,
        device: torch.device,
        dtype: torch.dtype,
        seed: int = 0,
        workers: int | None = None,
        groups: Groups | None = None,
    ) -> None:
        self.x, self.y = images, to_device(y, device)  # type: ignore[assignment]
        self.images, self.dtype = images, dtype
        self.divisor = uint8_divisor(classifier) if images.dtype == np.uint8 else 1.0
        self.groups, self.seed = groups, seed
        self._group_of = None if groups is None else to_device(groups.index, device)
        self._ahead: Iterator[tuple[slice, Read]] | None = None
        self._decoders = decoders(images, seed=seed, workers=workers, pinned=self.y.is_cuda)

    @property
    def rows_on(self) -> torch.device:
        """The CPU, which reads them."""
        return torch.device("cpu")

    def take(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """See :meth:`DeviceData.take`."""
        rows = torch.arange(len(self))[index] if isinstance(index, slice) else index.cpu()
        x, y, _ = self._on_device(self._read(rows))
        return x, y

    def batch(self, rows: Rows, places: slice, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`DeviceData.batch`.

        Raises:
            RuntimeError: another batch than the next one that was read ahead.
        """
        if self._ahead is None:
            return self._on_device(self._read_to_train(rows(places).cpu(), places, epoch))
        found, read = next(self._ahead)
        if found != places:
            raise RuntimeError(f"the batch at {places} was asked for, and the one at {found} was read")
        return self._on_device(read)

    @contextlib.contextmanager
    def reading_ahead(self, rows: Rows, places: Sequence[slice], epoch: int) -> Iterator[None]:
        """See :meth:`DeviceData.reading_ahead`."""
        if not places:
            yield
            return
        with contextlib.ExitStack() as stack:
            if self._decoders is None:
                self._ahead = self._in_threads(rows, places, epoch, stack)
            else:
                stack.enter_context(self._decoders.watched())
                self._ahead = self._decoders.batches(rows, places, epoch)
            try:
                yield
            finally:
                self._ahead = None

    def _in_threads(
        self, rows: Rows, places: Sequence[slice], epoch: int, stack: contextlib.ExitStack
    ) -> Iterator[tuple[slice, Read]]:
        """Read by threads: what they wait for is the disk."""
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fairart-read")
        stack.callback(threads.shutdown, wait=True, cancel_futures=True)
        one = max(1, self.images.nbytes // len(self.images)) * (places[0].stop - places[0].start)
        depth = min(MOST_BATCHES, max(1, MOST_BYTES // one))
        return _in_order(places, lambda at: threads.submit(self._read_to_train, rows(at), at, epoch), depth)

    def _read(self, rows: Tensor) -> Read:
        return self._pinned(rows, self.images[rows.numpy()])

    def _read_to_train(self, rows: Tensor, places: slice, epoch: int) -> Read:
        return self._pinned(rows, self.images.read_to_train(rows.numpy(), seed=self.seed, epoch=epoch, first=places.start))

    def _pinned(self, rows: Tensor, pixels: npt.NDArray[np.generic]) -> Read:
        images = torch.from_numpy(pixels)
        # From pinned memory, a GPU takes a batch while it computes.
        return (rows.pin_memory(), [images.pin_memory()]) if self.y.is_cuda else (rows, [images])

    def _on_device(self, read: Read) -> tuple[Tensor, Tensor, Tensor]:
        # Piece by piece, since joining pinned pieces here would lose the pinning.
        rows, *images = (part.to(self.y.device, non_blocking=True) for part in (read[0], *read[1]))
        return self._converted(images[0] if len(images) == 1 else torch.cat(images)), self.y[rows], rows


def _in_order(places: Sequence[slice], begin: Callable[[slice], Future[Read]], depth: int) -> Iterator[tuple[slice, Read]]:
    waiting: deque[tuple[slice, Future[Read]]] = deque()
    for place in places:
        waiting.append((place, begin(place)))
        if len(waiting) > depth:
            at, read = waiting.popleft()
            yield at, read.result()
    while waiting:
        at, read = waiting.popleft()
        yield at, read.result()


def on_device(
    x: Images,
    y: npt.NDArray[np.int64],
    *,
    classifier: PyTorchClassifier,
    device: torch.device,
    dtype: torch.dtype,
    groups: Groups | None = None,
    seed: int = 0,
    processes: int = 1,
) -> DeviceData:
    """Images on the device, or read from disk batch by batch where they are stored there.

    Args:
        x: (n, ...) checked images.
        y: (n,) checked labels.
        classifier: says what uint8 is divided by.
        device: where batches go.
        dtype: of the batches.
        groups: of the samples, or None.
        seed: of what is drawn anew each time an image is trained on.
        processes: that train on this machine, and share its cores.
    """
    if isinstance(x, StoredImages):
        workers = max(1, cores() // processes)
        return StreamedData(x, y, classifier=classifier, device=device, dtype=dtype, seed=seed, workers=workers, groups=groups)
    return DeviceData(x, y, classifier=classifier, device=device, dtype=dtype, groups=groups)
