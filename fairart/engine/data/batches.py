"""A training batch from its rows: taken, augmented, and mixed where that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from fairart.draws import Part, PartGenerator
from fairart.engine.data.augmentation import AnyAugmentation, AugmentationChain
from fairart.engine.data.sources import DeviceData, rows_of
from fairart.objectives.answers import checked_images

__all__ = ["Samples", "take_samples"]


class Samples(NamedTuple):
    """The samples of a batch that a process trains on.

    Args:
        x: (n, ...) inputs.
        y: (n,) labels; of a mixed sample the one with the larger share.
        soft_labels: (n, K) shares of the classes where samples are mixed, else None.
        groups: (n,) group of each sample where there are groups, else None; never with mixed samples.
    """

    x: Tensor
    y: Tensor
    soft_labels: Tensor | None = None
    groups: Tensor | None = None


def take_samples(
    data: DeviceData,
    rows: Callable[[slice], Tensor],
    batch: slice,
    part: Part | None,
    *,
    augmentation: AnyAugmentation | None,
    nb_classes: int,
    generator: PartGenerator,
) -> Samples:
    """Take one batch, or a process's part of it, and augment it.

    Where samples are mixed, every process makes the whole batch, since partners may lie in another part, and keeps its rows. What
    is drawn is in every case what one process would draw.

    Args:
        data: the pool.
        rows: gives the rows of the pool at some places.
        batch: the places of the whole batch.
        part: what this process takes of it; None for all.
        augmentation: applied to the images, or None.
        nb_classes: K.
        generator: random state of the run; its part is set to ``part``.

    Raises:
        PolicyError: an augmentation returned something else than images.
    """
    chain = augmentation if isinstance(augmentation, AugmentationChain) and augmentation.mixes else None
    generator.part = part if chain is None else None
    chosen = rows(rows_of(batch, generator.part))
    x, y = data.take(chosen)
    if augmentation is not None:
        x = checked_images(augmentation, augmentation(x, generator), x)
    if chain is None:
        return Samples(x, y, groups=data.groups_of(chosen))
    mixed = chain.mixed(x, y, nb_classes, generator)
    generator.part = part
    return Samples(*(mixed if part is None else (one[part.first : part.stop] for one in mixed)))
