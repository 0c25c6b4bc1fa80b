"""A training batch from its rows: taken, augmented, and mixed where that is wanted."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fairart.draws import Part, PartGenerator
from fairart.engine.data.augmentation import AnyAugmentation, AugmentationChain
from fairart.engine.data.sources import DeviceData, Rows, rows_of
from fairart.objectives.answers import checked_images

__all__ = ["Samples", "places_taken", "take_samples"]


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


def _mixing(augmentation: AnyAugmentation | None) -> AugmentationChain | None:
    return augmentation if isinstance(augmentation, AugmentationChain) and augmentation.mixes else None


def places_taken(batch: slice, part: Part | None, augmentation: AnyAugmentation | None) -> slice:
    """The places whose samples :func:`take_samples` takes from the pool: the process's own, or where samples are mixed, all.

    Args:
        batch: the places of the whole batch.
        part: what this process takes of it; None for all.
        augmentation: applied to the images, or None.
    """
    return rows_of(batch, part if _mixing(augmentation) is None else None)


def take_samples(
    data: DeviceData,
    rows: Rows,
    batch: slice,
    part: Part | None,
    *,
    epoch: int,
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
        epoch: its number, from 0.
        augmentation: applied to the images, or None.
        nb_classes: K.
        generator: random state of the run; its part is set to ``part``.

    Raises:
        PolicyError: an augmentation returned something else than images.
    """
    chain = _mixing(augmentation)
    generator.part = part if chain is None else None
    x, y, chosen = data.batch(rows, rows_of(batch, generator.part), epoch)
    if augmentation is not None:
        x = checked_images(augmentation, augmentation(x, generator), x)
    if chain is None:
        return Samples(x, y, groups=data.groups_of(chosen))
    mixed = chain.mixed(x, y, nb_classes, generator)
    generator.part = part
    return Samples(*(mixed if part is None else (one[part.first : part.stop] for one in mixed)))
