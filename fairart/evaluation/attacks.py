"""Attacks of the evaluation: functions on torch batches, registered as kind ``attack``.

An attack is ``attack(target, x, y, *, generator=None, **options) -> x_adv``. It gets samples that the model still classifies
right, in eval mode; what it gives back is projected and scored again by the caller, so that no attack vouches for itself.
Its options are its other keyword-only parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks import fgsm, project
from fairart.engine.network import Network
from fairart.evaluation.descent import descend
from fairart.options import Option

__all__ = ["AttackTarget", "draw_uniform", "fgsm_attack", "pgd_attack"]

Epsilon = Annotated[
    float, Option("radius, L-inf unless norm says so, in the classifier's own input units (8/255 of 0..1, 8 of 0..255)", low=0)
]


@dataclass(frozen=True)
class AttackTarget:
    """What an attack works against.

    Args:
        classifier: the ART classifier, for attacks of ART.
        network: the same as a torch module: logits of inputs in clip values, preprocessing included. Its ``device``,
            ``dtype`` and ``clip_values`` are what ``x`` comes in.
        sample_seeds: a seed for each sample of the batch. Drawing from these instead of ``generator`` keeps a sample's
            random numbers the same whatever batch it falls into; None outside an evaluation.
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


def fgsm_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
) -> Tensor:
    """Fast gradient sign method: one full step from the clean input (Goodfellow et al., ICLR 2015).

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: unused, nothing is drawn.
        eps: L-inf radius, >= 0.

    Returns:
        (n, ...) adversarial inputs.
    """
    return fgsm(target.network, x, y, eps=eps, clip_values=target.network.clip_values)


def pgd_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    eps_step: Annotated[float, Option("step, in the units of eps", low=0, low_open=True)] = 2 / 255,
    max_iter: Annotated[int, Option("number of steps", low=1)] = 20,
    num_random_init: Annotated[int, Option("restarts, each from a uniform start; 0 starts at the input itself", low=0)] = 1,
    stop_when_fooled: Annotated[bool, Option("score the first iterate that is wrong; false scores the last one")] = True,
) -> Tensor:
    """Projected gradient descent on cross-entropy, the worst of its restarts for each sample (Madry et al., ICLR 2018).

    Other programs score the last iterate, which may be right again, or wrong in another way, where an earlier one was wrong.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: random state of the starts where the target has no seeds.
        eps: L-inf radius, >= 0.
        eps_step: step, > 0.
        max_iter: steps, >= 1.
        num_random_init: restarts, >= 0; a sample that one of them fools is left out of the next ones.
        stop_when_fooled: stop each sample at its first iterate that is classified wrongly; False makes all steps.

    Returns:
        (n, ...) adversarial inputs.

    Raises:
        EvaluationError: no gradient reaches the input.
    """
    network = target.network
    result, standing = x.clone(), torch.arange(len(x), device=x.device)
    streams = [torch.Generator().manual_seed(seed) for seed in target.sample_seeds or ()]
    last = max(1, num_random_init) - 1
    for restart in range(last + 1):
        images, labels = x[standing], y[standing]
        start = images
        if num_random_init:
            seeds = [_next_seed(streams[i]) for i in standing.tolist()] if streams else None
            start = images + eps * draw_uniform(images, seeds, generator=generator)
        # Projected here already, so that a start that never moves comes back bit by bit.
        start = project(start, images, eps=eps, clip_values=network.clip_values)
        found = descend(
            network, images, labels, start=start, eps=eps, eps_step=eps_step, max_iter=max_iter, stop=stop_when_fooled
        )
        result[standing] = found
        if restart < last:
            with torch.no_grad():
                standing = standing[network(found).argmax(dim=1) == labels]
            if not len(standing):
                break
    return result


def _next_seed(stream: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=stream))
