"""Sets of outliers: given images, or images made of nothing but seeds and the test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.datasets.stored import Images
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.attacks.target import draw_uniform
from fairart.evaluation.ood.climbing import climb
from fairart.evaluation.ood.scores import log_odds
from fairart.evaluation.running.batches import input_batch
from fairart.evaluation.running.corrupted import to_input_units
from fairart.evaluation.running.random_state import sample_seeds
from fairart.fingerprint import array_digest

__all__ = ["MADE", "GivenOutliers", "MadeOutliers", "OutlierSource"]

IntArray = npt.NDArray[np.int64]

FOOLING_STEPS = 40
FOOLING_STEP = 1 / 20
"""Share of the range of the values that one step of the fooling inputs changes a pixel by."""


class OutlierSource(Protocol):
    """One set of outliers."""

    @property
    def rows(self) -> int:
        """Number of outliers."""
        ...

    @property
    def attackable(self) -> bool:
        """Whether an attack on a score makes sense; not where the images are made to be scored high."""
        ...

    def images(self, place: IntArray) -> Tensor:
        """Some of them, in the classifier's input units, on its device."""
        ...

    def describe(self) -> dict[str, Any]:
        """What they are, for a result file."""
        ...

    def identity(self) -> dict[str, Any]:
        """What they follow from, as plain values."""
        ...


@dataclass(frozen=True, eq=False)
class GivenOutliers:
    """Images from an array.

    Args:
        target: the model.
        x: (n, *input_shape) as the test images, checked.
        about: where they come from.
    """

    target: AttackTarget
    x: Images
    about: str
    attackable: bool = True

    @property
    def rows(self) -> int:
        """Number of outliers."""
        return len(self.x)

    def images(self, place: IntArray) -> Tensor:
        """Some of them."""
        return input_batch(self.target, self.x, place)

    def describe(self) -> dict[str, Any]:
        """Source, number, and a digest that tells other images apart."""
        return {"source": self.about, "samples": self.rows, **self.identity()}

    def identity(self) -> dict[str, Any]:
        """Every pixel."""
        return {"images": array_digest(self.x)}


@dataclass(frozen=True, eq=False)
class MadeOutliers:
    """Images made by one of the built-in recipes, each from its own random stream.

    Args:
        target: the model; only the fooling inputs depend on it.
        kind: a key of :data:`MADE`.
        x: (m, *input_shape) the test images.
        chosen: (n,) test images that the outliers are made of, or the numbers of their streams.
        seed: of the evaluation.
    """

    target: AttackTarget
    kind: str
    x: Images
    chosen: IntArray
    seed: int

    @property
    def rows(self) -> int:
        """Number of outliers."""
        return len(self.chosen)

    @property
    def attackable(self) -> bool:
        """Fooling inputs are scored high already."""
        return self.kind != "fooling"

    def images(self, place: IntArray) -> Tensor:
        """Some of them."""
        rows = self.chosen[place]
        seeds = sample_seeds(self.seed, f"ood/{self.kind}", rows.tolist())
        return MADE[self.kind][1](self.target, input_batch(self.target, self.x, rows), seeds, place)

    def describe(self) -> dict[str, Any]:
        """Recipe and number."""
        found = {"source": MADE[self.kind][0], "samples": self.rows}
        return {**found, "targets": "each class in turn"} if self.kind == "fooling" else found

    def identity(self) -> dict[str, Any]:
        """The recipe; images and seed are part of the evaluation's own fingerprint."""
        return {"recipe": self.kind, "made of": array_digest(self.chosen)}


def _in_units(target: AttackTarget, shares: Tensor) -> Tensor:
    return to_input_units(shares.to(target.network.device), target.network)


def _uniform(target: AttackTarget, x: Tensor, seeds: Sequence[int], place: IntArray) -> Tensor:
    return _in_units(target, (draw_uniform(x, seeds) + 1) / 2)


def _gaussian(target: AttackTarget, x: Tensor, seeds: Sequence[int], place: IntArray) -> Tensor:
    noise = torch.empty(x.shape, dtype=torch.float32)
    for row, seed in zip(noise, seeds, strict=True):
        row.normal_(0.5, 0.25, generator=torch.Generator().manual_seed(seed))
    return _in_units(target, noise.clamp_(0, 1))


def _permuted(target: AttackTarget, x: Tensor, seeds: Sequence[int], place: IntArray) -> Tensor:
    # All channels of a pixel move together: colours and their frequencies stay, shapes do not.
    flat = x.flatten(2) if x.ndim > 2 else x[:, None]
    moved = torch.stack(
        [
            row[:, torch.randperm(flat.shape[2], generator=torch.Generator().manual_seed(seed)).to(x.device)]
            for row, seed in zip(flat, seeds, strict=True)
        ]
    )
    return moved.view_as(x)


def _blurred(target: AttackTarget, x: Tensor, seeds: Sequence[int], place: IntArray) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur  # 3 s: only when it is needed

    sides = [int(side) for side in x.shape[2:]]
    sigmas = [side / 8 for side in sides]
    # Three deviations on each side stay below half the image, as the reflection at its edge asks for.
    sizes = [2 * max(1, math.floor(3 * sigma)) + 1 for sigma in sigmas]
    blurred: Tensor = gaussian_blur(x, sizes[::-1], sigmas[::-1])
    return blurred


def _fooling(target: AttackTarget, x: Tensor, seeds: Sequence[int], place: IntArray) -> Tensor:
    network = target.network
    start = _uniform(target, x, seeds, place)
    wanted = torch.as_tensor(place % target.classifier.nb_classes, device=x.device)
    low, high = network.clip_values or (0.0, 1.0)
    span = float((torch.as_tensor(high) - torch.as_tensor(low)).max())
    return climb(
        network,
        start,
        lambda logits: log_odds(logits, wanted),
        start=start,
        eps=span,
        eps_step=FOOLING_STEP * span,
        max_iter=FOOLING_STEPS,
    )


Recipe = Callable[[AttackTarget, Tensor, Sequence[int], IntArray], Tensor]

MADE: dict[str, tuple[str, Recipe]] = {
    "noise": ("uniform noise", _uniform),
    "gaussian-noise": ("normal noise, mean 0.5 and deviation 0.25 of the range, clipped", _gaussian),
    "blurred": ("test images blurred with a deviation of an eighth of the side", _blurred),
    "permuted": ("test images with their pixels in random order", _permuted),
    "fooling": ("noise driven to each class in turn", _fooling),
}
"""Name -> (what it is, how a batch is made of the model, test images, seeds and places in the set).

Gaussian noise is that of Hendrycks et al., ICLR 2019 (outlier exposure); fooling inputs follow Nguyen et al., CVPR 2015.
"""
