"""Gradient attacks: FGSM and PGD, computed in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks import fgsm, project
from fairart.attacks.common import order_of
from fairart.attacks.steps import EpsStep, step_of, warn_short_steps
from fairart.evaluation.attacks.descent import descend
from fairart.evaluation.attacks.norms import Norm
from fairart.evaluation.attacks.preflight import preflight
from fairart.evaluation.attacks.target import AttackTarget, Epsilon, draw_in_ball
from fairart.plugins.options import Option

__all__ = ["fgsm_attack", "pgd_attack"]


def fgsm_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
) -> Tensor:
    """Fast gradient (sign) method: one full step from the clean input (Goodfellow et al., ICLR 2015).

    The cross-entropy saturates where logits are very large; the sanity checks report gradients of zero.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: unused, nothing is drawn.
        eps: radius, >= 0.
        norm: "inf" or 2; in L2 the step follows the gradient itself.

    Returns:
        (n, ...) adversarial inputs.
    """
    return fgsm(target.network, x, y, eps=eps, clip_values=target.network.clip_values, norm=norm)


def _check_steps(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: options[name] for name in ("eps", "eps_step", "max_iter")}
    warn_short_steps("attack 'pgd'", **numbers, stacklevel=4)
    return {} if options["eps_step"] is not None else {"eps_step": step_of(options["eps"], None, options["max_iter"])}


@preflight(_check_steps)
def pgd_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    eps_step: EpsStep = None,
    max_iter: Annotated[int, Option("number of steps", low=1)] = 20,
    num_random_init: Annotated[int, Option("restarts, each from a uniform start; 0 starts at the input itself", low=0)] = 1,
    stop_when_fooled: Annotated[bool, Option("score the first iterate that is wrong; false scores the last one")] = True,
    norm: Norm = "inf",
) -> Tensor:
    """Projected gradient descent on cross-entropy, the worst of its restarts for each sample (Madry et al., ICLR 2018).

    Other programs score the last iterate, which may be right again although an earlier one was wrong. The cross-entropy saturates
    where logits are very large (about 100 apart): gradients of zero are then reported by the sanity checks, and ``cw`` or
    ``autoattack`` is the attack to take.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: random state of the starts where the target has no seeds.
        eps: radius, >= 0.
        eps_step: step, > 0; None for a quarter of eps.
        max_iter: steps, >= 1.
        num_random_init: restarts, >= 0; a sample that one of them fools is left out of the next ones.
        stop_when_fooled: stop each sample at its first iterate that is classified wrongly; False makes all steps.
        norm: "inf" or 2; in L2 the steps follow the gradient, each sample's at the length of the step.

    Returns:
        (n, ...) adversarial inputs.

    Raises:
        EvaluationError: no gradient reaches the input.
    """
    network, step, order = target.network, step_of(eps, eps_step, max_iter), order_of(norm)
    result, standing = x.clone(), torch.arange(len(x), device=x.device)
    streams = [torch.Generator().manual_seed(seed) for seed in target.sample_seeds or ()]
    last = max(1, num_random_init) - 1
    for restart in range(last + 1):
        images, labels = x[standing], y[standing]
        start = images
        if num_random_init:
            seeds = [_next_seed(streams[i]) for i in standing.tolist()] if streams else None
            start = images + eps * draw_in_ball(images, seeds, order, generator=generator)
        # Projected here already, so that a start that never moves comes back bit by bit.
        start = project(start, images, eps=eps, clip_values=network.clip_values, norm=order)
        found = descend(
            network,
            images,
            labels,
            start=start,
            eps=eps,
            eps_step=step,
            max_iter=max_iter,
            stop=stop_when_fooled,
            norm=order,
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
