"""The target of an attack in an evaluation, and the random numbers of attacks.

An attack is ``attack(target, x, y, *, generator=None, **options) -> x_adv``. It gets samples that the model still classifies
right, in eval mode; the caller projects and scores what it returns, so that no attack scores itself.
Its options are its other keyword-only parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks.common import in_unit_ball
from fairart.engine.network import Network
from fairart.plugins.options import Option

__all__ = ["AttackTarget", "Epsilon", "draw_in_ball", "draw_uniform"]

Epsilon = Annotated[
    float, Option("radius, L-inf unless norm says so, in the classifier's own input units (8/255 of 0..1, 8 of 0..255)", low=0)
]


@dataclass(frozen=True)
class AttackTarget:
    """The model under attack.

    Args:
        classifier: the ART classifier, for attacks of ART.
        network: the same as a torch module: logits of inputs in clip values, preprocessing included. Its ``device``,
            ``dtype`` and ``clip_values`` are what ``x`` comes in.
        sample_seeds: a seed for each sample of the batch. With these instead of ``generator``, the random numbers of a sample
            do not depend on its batch; None outside an evaluation.
        seed: of the evaluation, for programs that take one seed for all; None outside an evaluation.
    """

    classifier: PyTorchClassifier
    network: Network
    sample_seeds: tuple[int, ...] | None = None
    seed: int | None = None


def draw_uniform(x: Tensor, seeds: Sequence[int] | None, *, generator: torch.Generator | None = None) -> Tensor:
    """Uniform numbers in [-1, 1) of the shape of ``x``.

    Args:
        x: (n, ...) inputs.
        seeds: one seed a sample, drawn from on the CPU so that every device and batch size sees the same numbers; None
            draws the whole batch from ``generator``.
        generator: random state on the device of ``x``; None for torch's global one.

    Raises:
        ValueError: not one seed a sample.
    """
    if seeds is None:
        return 2 * torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) - 1
    if len(seeds) != len(x):
        raise ValueError(f"expected one seed a sample, {len(x)}, got {len(seeds)}")
    noise = torch.empty(x.shape, dtype=torch.float32)
    for row, seed in zip(noise, seeds, strict=True):
        row.uniform_(-1, 1, generator=torch.Generator().manual_seed(seed))
    return noise.to(device=x.device, dtype=x.dtype)


def draw_in_ball(x: Tensor, seeds: Sequence[int] | None, order: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Points drawn uniformly in the ball of radius 1 of a norm, of the shape of ``x``.

    Args:
        x: (n, ...) inputs.
        seeds: see :func:`draw_uniform`.
        order: of the norm, inf or 2.
        generator: see :func:`draw_uniform`.
    """
    if order != 2:
        return draw_uniform(x, seeds, generator=generator)
    if seeds is None:
        normal = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return in_unit_ball(normal, torch.rand(len(x), generator=generator, device=x.device, dtype=x.dtype))
    points = torch.empty(x.shape, dtype=torch.float32)
    # Sample by sample: the last bit of a power may depend on the place in a batch.
    for row, seed in enumerate(seeds):
        stream = torch.Generator().manual_seed(seed)
        normal = torch.randn((1, *x.shape[1:]), generator=stream)
        points[row] = in_unit_ball(normal, torch.rand(1, generator=stream))[0]
    return points.to(device=x.device, dtype=x.dtype)
