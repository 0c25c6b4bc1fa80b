"""Extra images, generated or pseudo-labelled, mixed into every batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.datasets.joined import JoinedImages
from fairart.datasets.memory import cores
from fairart.datasets.stored import Images, StoredImages
from fairart.engine.data.arrays import uint8_divisor
from fairart.engine.data.sources import DeviceData
from fairart.engine.data.streamed import StreamedData
from fairart.fingerprint import short_digest

__all__ = ["DataWithExtra", "StreamedWithExtra", "check_extra_share", "data_with_extra"]

Pair = tuple[Images, npt.NDArray[np.int64]]


def check_extra_share(share: float) -> float:
    """Check the share of extra images in a batch.

    Args:
        share: in (0, 1).

    Raises:
        ValueError: outside.
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.floating) or not 0 < share < 1:
        raise ValueError(f"extra_share must lie between 0 and 1, got {share!r}")
    return float(share)


class _ExtraOrder(DeviceData):
    """The training samples first, extra ones after them; each batch takes a share of the extra ones."""

    own: int
    extra: int
    share: float

    def __len__(self) -> int:
        return self.own

    @property
    def own_labels(self) -> Tensor:
        """(n,) labels of the training set."""
        return self.y[: self.own]

    def identity(self) -> str:
        """Numbers of samples, the share, and a digest of all of them."""
        return f"{self.own} samples and {self.share:g} of {self.extra} extra ones ({short_digest(self.x, self.y)})"

    def order(self, batches: Sequence[slice], generator: torch.Generator) -> Tensor:
        """The rows of an epoch, batch by batch: its own samples, then the extra ones.

        Args:
            batches: the places of each batch.
            generator: random state on the CPU.
        """
        sizes = [batch.stop - batch.start for batch in batches]
        extras = [min(size, round(self.share * size)) for size in sizes]
        own = torch.randperm(self.own, generator=generator)
        rounds = -(-sum(extras) // self.extra)
        drawn = torch.cat([torch.randperm(self.extra, generator=generator) for _ in range(max(1, rounds))]) + self.own
        parts, at, beyond = [], 0, 0
        for size, extra in zip(sizes, extras, strict=True):
            parts += [own[at : at + size - extra], drawn[beyond : beyond + extra]]
            at, beyond = at + size - extra, beyond + extra
        return torch.cat(parts)


class DataWithExtra(_ExtraOrder):
    """Training samples and extra ones; each batch takes a share of the extra ones.

    An epoch has as many samples as the training set, of which ``1 - share`` come from it, drawn anew in each epoch (Carmon et
    al., NeurIPS 2019; Gowal et al., NeurIPS 2021). Extra samples are drawn without replacement; where there are too few they are
    used again.

    Args:
        own: (x, y) of the training set.
        extra: (x, y) of the extra samples.
        share: of each batch that is extra, in (0, 1), rounded to whole samples.
        classifier: says what uint8 is divided by.
        device: where to keep them.
        dtype: of the batches.
    """

    def __init__(
        self, own: Pair, extra: Pair, share: float, *, classifier: PyTorchClassifier, device: torch.device, dtype: torch.dtype
    ) -> None:
        images = [np.asarray(own[0]), np.asarray(extra[0])]
        if images[0].dtype != images[1].dtype:
            divisor = np.float32(uint8_divisor(classifier))
            images = [x.astype(np.float32) / divisor if x.dtype == np.uint8 else x for x in images]
        super().__init__(
            np.concatenate(images), np.concatenate([own[1], extra[1]]), classifier=classifier, device=device, dtype=dtype
        )
        self.own, self.extra, self.share = len(own[1]), len(extra[1]), check_extra_share(share)


class StreamedWithExtra(_ExtraOrder, StreamedData):
    """As :class:`DataWithExtra`, where one of the two stays on disk; it takes the same arguments, and two more.

    Args:
        seed: of what is drawn anew each time an image is trained on.
        processes: that train on this machine, and share its cores.
    """

    def __init__(
        self,
        own: Pair,
        extra: Pair,
        share: float,
        *,
        classifier: PyTorchClassifier,
        device: torch.device,
        dtype: torch.dtype,
        seed: int = 0,
        processes: int = 1,
    ) -> None:
        mixed = own[0].dtype != extra[0].dtype
        images = JoinedImages([own[0], extra[0]], divisor=uint8_divisor(classifier) if mixed else 1.0)
        StreamedData.__init__(
            self,
            images,
            np.concatenate([own[1], extra[1]]),
            classifier=classifier,
            device=device,
            dtype=dtype,
            seed=seed,
            workers=max(1, cores() // processes),
        )
        self.own, self.extra, self.share = len(own[1]), len(extra[1]), check_extra_share(share)


def data_with_extra(own: Pair, extra: Pair, share: float, *, seed: int, processes: int, **options: Any) -> DeviceData:
    """Training samples and extra ones, on the device or read from disk; the arguments are those of :class:`StreamedWithExtra`."""
    if isinstance(own[0], StoredImages) or isinstance(extra[0], StoredImages):
        return StreamedWithExtra(own, extra, share, seed=seed, processes=processes, **options)
    return DataWithExtra(own, extra, share, **options)
