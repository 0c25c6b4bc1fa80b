"""Decision-based attacks through ART: they see the predicted class and nothing else."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from art.attacks.evasion import BoundaryAttack, HopSkipJump
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.evaluation.attacks.art_subject import FloatArray, Subject, run_art
from fairart.evaluation.attacks.norms import Norm, norm_order
from fairart.evaluation.attacks.preflight import preflight, require_clip_values
from fairart.evaluation.attacks.starts import adversarial_starts
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.plugins.options import Option

__all__ = ["boundary_attack", "hop_skip_jump_attack"]

InitSize = Annotated[int, Option("random images tried as a start", low=1)]
MINIMAL = "smallest {norm} change, then projected onto eps"
"""What an attack that minimises its change says about its budget."""


def _check_boundary(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    require_clip_values("boundary", classifier)
    return {"budget": MINIMAL.format(norm="L2")}


def _check_hop_skip_jump(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    require_clip_values("hop-skip-jump", classifier)
    return {"budget": MINIMAL.format(norm="L-inf" if norm_order(options["norm"]) == math.inf else "L2")}


def _one_by_one(
    target: AttackTarget, x: Tensor, y: Tensor, name: str, init_size: int, make: Callable[[Subject], Any], generator: Any
) -> Tensor:
    """ART goes through the samples one by one as well; here each is given its start and its own random numbers."""
    drawn = torch.randint(2**32, (len(x),), generator=generator, device=x.device).tolist()
    seeds = list(target.sample_seeds or drawn)

    def attack(subject: Subject, images: FloatArray, labels: FloatArray) -> FloatArray:
        starts, found = adversarial_starts(subject.model, tuple(images.shape[1:]), y, seeds, init_size=init_size)
        if not found.all():
            warnings.warn(
                f"attack {name!r}: {int((~found).sum())} of {len(found)} samples were not attacked: none of {init_size} random "
                "images is of another class than theirs. They count as right; a larger init_size may help",
                UserWarning,
                stacklevel=2,
            )
        result: FloatArray = images.copy()
        made = make(subject)
        for i in np.flatnonzero(found):
            np.random.seed(seeds[i] % 2**32)  # noqa: NPY002  # ART draws from the global state; the caller restores it
            result[i] = made.generate(images[i : i + 1], labels[i : i + 1], x_adv_init=starts[i : i + 1])[0]
        return result

    return run_art(target, x, y, attack)


@preflight(_check_boundary, returns_input=True)
def boundary_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    max_iter: Annotated[int, Option("number of steps", low=1)] = 5000,
    delta: Annotated[float, Option("first step along the boundary, relative", low=0, low_open=True)] = 0.01,
    epsilon: Annotated[float, Option("first step towards the input, relative", low=0, low_open=True)] = 0.01,
    step_adapt: Annotated[
        float, Option("factor that steps shrink and grow by", low=0, low_open=True, high=1, high_open=True)
    ] = 0.667,
    num_trial: Annotated[int, Option("attempts at each step", low=1)] = 25,
    sample_size: Annotated[int, Option("directions tried at each attempt", low=1)] = 20,
    init_size: InitSize = 100,
) -> Tensor:
    """Boundary attack, by ART: a walk along the decision boundary towards the input (Brendel et al., ICLR 2018).

    It looks for the smallest change in L2. The result is projected onto the budget and counts only if it still
    fools the model. One sample at a time, and slow.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: random state where the target has no seeds.
        eps: radius of the budget in the norm, >= 0.
        norm: "inf" or 2, of the budget.
        max_iter: steps, >= 1.
        delta: first step along the boundary, > 0, relative to the distance.
        epsilon: first step towards the input, > 0, relative.
        step_adapt: factor in (0, 1) that steps shrink and grow by.
        num_trial: attempts at each step, >= 1.
        sample_size: directions tried at each attempt, >= 1.
        init_size: random images tried as a start, >= 1.

    Returns:
        (n, ...) adversarial inputs.
    """

    def make(subject: Subject) -> BoundaryAttack:
        return BoundaryAttack(
            subject,
            targeted=False,
            delta=delta,
            epsilon=epsilon,
            step_adapt=step_adapt,
            max_iter=max_iter,
            num_trial=num_trial,
            sample_size=sample_size,
            init_size=init_size,
            batch_size=sample_size,
            verbose=False,
        )

    return _one_by_one(target, x, y, "boundary", init_size, make, generator)


@preflight(_check_hop_skip_jump, returns_input=True)
def hop_skip_jump_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    max_iter: Annotated[int, Option("number of steps", low=1)] = 50,
    max_eval: Annotated[int, Option("most queries for one gradient estimate", low=1)] = 10000,
    init_eval: Annotated[int, Option("queries for the first gradient estimate", low=1)] = 100,
    init_size: InitSize = 100,
) -> Tensor:
    """HopSkipJump, by ART: gradients at the boundary estimated from decisions (Chen et al., IEEE S&P 2020).

    It looks for the smallest change in the norm. The result is projected onto the budget and counts only if it still
    fools the model. One sample at a time, and slow.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: random state where the target has no seeds.
        eps: radius of the budget in the norm, >= 0.
        norm: "inf" or 2.
        max_iter: steps, >= 1.
        max_eval: most queries for one gradient estimate, >= 1.
        init_eval: queries for the first estimate, >= 1.
        init_size: random images tried as a start, >= 1.

    Returns:
        (n, ...) adversarial inputs.
    """

    def make(subject: Subject) -> HopSkipJump:
        return HopSkipJump(
            subject,
            targeted=False,
            norm=math.inf if norm_order(norm) == math.inf else 2,
            max_iter=max_iter,
            max_eval=max_eval,
            init_eval=init_eval,
            init_size=init_size,
            batch_size=512,
            verbose=False,
        )

    return _one_by_one(target, x, y, "hop-skip-jump", init_size, make, generator)
