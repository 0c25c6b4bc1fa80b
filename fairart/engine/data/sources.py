"""Where batches come from: arrays that live on the device, or an ART data generator. Both feed the same loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from art.data_generators import DataGenerator
from art.estimators.classification import PyTorchClassifier
from torch import Tensor
from torch.utils.data import DataLoader

from fairart.draws import Part
from fairart.engine.data.arrays import as_array, check_pair, uint8_divisor
from fairart.engine.data.worker_ends import is_lost, why_it_ended
from fairart.fingerprint import short_digest
from fairart.statistics import Groups

__all__ = [
    "ArraySource",
    "DeviceData",
    "GeneratorSource",
    "Rows",
    "Source",
    "as_generator",
    "batch_slices",
    "rows_of",
    "to_device",
]

Array = npt.NDArray[Any]
Rows = Callable[[slice], Tensor]


class DeviceData:
    """Images and labels on the device; images stay in the type they came in and are converted batch by batch.

    Args:
        x: (n, ...) checked images, uint8 or float32.
        y: (n,) checked labels.
        classifier: says what uint8 is divided by.
        device: where to keep them.
        dtype: of the batches.
        groups: of the samples, or None.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        *,
        classifier: PyTorchClassifier,
        device: torch.device,
        dtype: torch.dtype,
        groups: Groups | None = None,
    ) -> None:
        self.x, self.y = to_device(x, device), to_device(y, device)
        self.divisor = uint8_divisor(classifier) if x.dtype == np.uint8 else 1.0
        self.dtype = dtype
        self.groups = groups
        self._group_of = None if groups is None else to_device(groups.index, device)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def rows_on(self) -> torch.device:
        """Where the rows of a batch are wanted."""
        return self.y.device

    @property
    def own_labels(self) -> Tensor:
        """(n,) labels of the training set; extra samples are left out."""
        return self.y

    def identity(self) -> str:
        """Number of samples, and a digest of images and labels."""
        text = f"{len(self)} samples ({short_digest(self.x, self.y)})"
        if self.groups is None:
            return text
        return f"{text} in {len(self.groups)} groups by {self.groups.name} ({short_digest(self.groups.index)})"

    def order(self, batches: Sequence[slice], generator: torch.Generator) -> Tensor:
        """The rows of an epoch, in random order.

        Args:
            batches: the places of each batch.
            generator: random state on the CPU.
        """
        return torch.randperm(len(self), generator=generator)

    def groups_of(self, index: Tensor | slice) -> Tensor | None:
        """(n,) groups of some samples; None without groups."""
        return None if self._group_of is None else self._group_of[index]

    def take(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Images in clip values and labels of some samples, as they are."""
        return self._converted(self.x[index]), self.y[index]

    def batch(self, rows: Rows, places: slice, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images in clip values and labels to train on, and their rows.

        Args:
            rows: gives the rows at some places.
            places: in the epoch.
            epoch: its number, from 0.
        """
        chosen = rows(places)
        return *self.take(chosen), chosen

    def reading_ahead(self, rows: Rows, places: Sequence[slice], epoch: int) -> contextlib.AbstractContextManager[None]:
        """While this is open, :meth:`batch` is asked for these places, in their order.

        Args:
            rows: gives the rows at some places, at any time.
            places: in the epoch; none where rows are not known before their turn.
            epoch: its number, from 0.
        """
        return contextlib.nullcontext()

    def _converted(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            return x.to(self.dtype)
        x = x.to(self.dtype)
        return x.div_(self.divisor) if self.divisor != 1.0 else x


class _LoaderGenerator(DataGenerator):  # type: ignore[misc]  # ART has no types
    """A torch ``DataLoader`` as ART's generator. It is begun at the first batch, under the random state of the run."""

    def __init__(self, loader: DataLoader[Any], size: int, batch_size: int) -> None:
        super().__init__(size=size, batch_size=batch_size)
        self._loader = loader
        self._batches: Iterator[Any] = iter(())

    def get_batch(self) -> tuple[Any, ...]:
        """The next batch; the loader begins anew after its last one.

        Raises:
            RuntimeError: a process of the loader ended.
            ValueError: the loader yields nothing.
        """
        try:
            for _ in range(2):
                for batch in self._batches:
                    return tuple(as_array(part) for part in batch)
                self._batches = iter(self._loader)
        except (RuntimeError, ConnectionError, EOFError) as error:
            if not self._loader.num_workers or not is_lost(error):
                raise
            raise RuntimeError(
                f"one of {self._loader.num_workers} processes of the data loader ended. {why_it_ended(error)} Take fewer "
                "(num_workers), or none (num_workers=0)"
            ) from error
        raise ValueError("the data loader yields no batch")


def as_generator(data: Any) -> Any:
    """A torch ``DataLoader`` as ART's generator; everything else as it is.

    Args:
        data: what the user gave.

    Raises:
        ValueError: a loader whose dataset has no length, or that does not batch.
    """
    if not isinstance(data, DataLoader):
        return data
    if not hasattr(data.dataset, "__len__"):
        raise ValueError(f"the data loader's dataset must have a length, {type(data.dataset).__name__} has none")
    if data.batch_size is None:
        raise ValueError("the data loader must have a batch size, got batch_size=None")
    # What one pass of the loader yields: a sampler may draw fewer or more samples than there are.
    sampler: Any = data.sampler
    size = len(sampler) if hasattr(sampler, "__len__") else len(data.dataset)
    if data.drop_last:
        size -= size % data.batch_size
    if size == 0:
        raise ValueError(
            f"the data loader yields no batch: {len(data.dataset)} samples, batch_size={data.batch_size}, drop_last=True"
        )
    return _LoaderGenerator(data, size, min(data.batch_size, size))


def to_device(array: Array, device: torch.device) -> Tensor:
    """A tensor of its own on the device; the array is neither shared nor changed, and may be read-only."""
    return torch.tensor(array, device=device)


def batch_slices(n: int, batch_size: int, *, smallest: int = 2) -> list[slice]:
    """Cut ``n`` samples into batches; a last batch of less than ``smallest`` is merged into the one before.

    Batch-norm cannot train on a single sample, in no process.
    """
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] < smallest:
        starts.pop()
    return [slice(first, last) for first, last in zip(starts, [*starts[1:], n], strict=True)]


def rows_of(batch: slice, part: Part | None) -> slice:
    """The samples of a batch that one process takes."""
    return batch if part is None else slice(batch.start + part.first, batch.start + part.stop)


class Source(Protocol):
    """Gives an epoch's data in pools, each shuffled and cut by the loop."""

    batch_size: int
    repeatable: bool
    """Whether an epoch can be begun anew with the same data, in one pool, so that a checkpoint may lie in the middle of it."""

    def identity(self) -> str:
        """What data it is, in one line, for a checkpoint."""

    def pools(self) -> Iterator[DeviceData]:
        """The epoch's data, in as few pools as memory allows."""

    def nb_batches(self, smallest: int = 2) -> int:
        """Batches an epoch, for the progress bar and schedulers; one of less than ``smallest`` is merged into the one before."""

    def class_counts(self, nb_classes: int) -> npt.NDArray[np.int64] | None:
        """(K,) samples of each class in an epoch's data; None where nobody has counted them."""


class ArraySource:
    """Arrays that stay on the device for the whole run."""

    repeatable = True

    def __init__(self, data: DeviceData, batch_size: int) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size must be an integer >= 1, got {batch_size!r}")
        self.data, self.batch_size = data, min(int(batch_size), len(data))

    def identity(self) -> str:
        """What data it is."""
        return self.data.identity()

    def pools(self) -> Iterator[DeviceData]:
        """One pool: everything."""
        yield self.data

    def nb_batches(self, smallest: int = 2) -> int:
        """Batches an epoch."""
        return len(batch_slices(len(self.data), self.batch_size, smallest=smallest))

    def class_counts(self, nb_classes: int) -> npt.NDArray[np.int64]:
        """(K,) samples of each class."""
        counts: npt.NDArray[np.int64] = torch.bincount(self.data.own_labels, minlength=nb_classes).cpu().numpy()
        return counts


class GeneratorSource:
    """An ART ``DataGenerator``, drawn from anew in every epoch, so that its own augmentation is fresh.

    Its batches are gathered into pools of about ``pool_bytes`` and shuffled there; a generator that does not shuffle and fits one
    pool trains exactly as arrays do. One that drops its remainder trains on what it gives in one pass.

    Args:
        generator: gives batches ``(x, y)`` without end and knows its size.
        classifier: says which batches are right.
        device: where pools go.
        dtype: of the batches.
        pool_bytes: images gathered before they are trained on.

    Raises:
        TypeError: no ART ``DataGenerator``.
        ValueError: it does not know its size.
    """

    repeatable = False

    def __init__(
        self,
        generator: DataGenerator,
        *,
        classifier: PyTorchClassifier,
        device: torch.device,
        dtype: torch.dtype,
        pool_bytes: int = 1 << 30,
    ) -> None:
        if not isinstance(generator, DataGenerator):
            raise TypeError(f"expected an art.data_generators.DataGenerator, got {type(generator).__qualname__}")
        if generator.size is None:
            raise ValueError("the data generator must know its size, got size None")
        self.generator, self.batch_size = generator, int(generator.batch_size)
        self._classifier, self._device, self._dtype = classifier, device, dtype
        self._pool_bytes = pool_bytes
        self._held: tuple[Array, Array] | None = None

    def nb_batches(self, smallest: int = 2) -> int:
        """Batches an epoch."""
        return -(-int(self.generator.size) // self.batch_size)

    def class_counts(self, nb_classes: int) -> None:
        """Not known before the generator was drawn from."""

    def identity(self) -> str:
        """Kind and size; what it will give cannot be known."""
        return f"{type(self.generator).__name__} of {self.generator.size} samples"

    def pools(self) -> Iterator[DeviceData]:
        """The epoch's batches, gathered.

        Raises:
            ValueError: a batch is wrong; see ``check_pair``.
        """
        waiting: list[tuple[Array, Array]] = []
        size = left = int(self.generator.size)
        gathered = 0
        while left > 0:
            x, y = self._draw()
            if len(x) > left and left < size:
                # It dropped its remainder: this batch begins the next pass.
                self._held = x, y
                break
            waiting.append((x, y))
            gathered, left = gathered + x.nbytes, left - len(x)
            # A single sample left over would make a pool, and so a batch, of its own.
            if gathered >= self._pool_bytes and left > 1:
                yield self._pool(waiting)
                waiting, gathered = [], 0
        if waiting:
            yield self._pool(waiting)

    def _draw(self) -> tuple[Array, Array]:
        if self._held is not None:
            (x, y), self._held = self._held, None
            return x, y
        x, y = self.generator.get_batch()[:2]
        images, labels = check_pair(x, y, self._classifier, name="generator ")
        return np.asarray(images), labels

    def _pool(self, batches: list[tuple[Array, Array]]) -> DeviceData:
        x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        return DeviceData(x, y, classifier=self._classifier, device=self._device, dtype=self._dtype)
