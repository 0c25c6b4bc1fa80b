"""Carlini & Wagner's attacks: their margin loss under PGD in L-inf, their search for the smallest change in L2 by ART."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from art.attacks.evasion import CarliniL2Method
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks import project
from fairart.attacks.steps import EpsStep, step_of, warn_short_steps
from fairart.engine.network import Network
from fairart.evaluation.attacks.art_subject import FloatArray, Subject, run_art
from fairart.evaluation.attacks.decision import MINIMAL
from fairart.evaluation.attacks.descent import descend, margin
from fairart.evaluation.attacks.norms import Norm, norm_order
from fairart.evaluation.attacks.preflight import preflight, require_clip_values
from fairart.evaluation.attacks.target import AttackTarget, Epsilon, draw_uniform
from fairart.plugins.options import Option

__all__ = ["cw_attack"]


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    if norm_order(options["norm"]) == math.inf:
        steps = {name: options[name] for name in ("eps", "eps_step", "max_iter")}
        warn_short_steps("attack 'cw'", **steps, stacklevel=4)
        return {"eps_step": step_of(**steps)}
    require_clip_values("cw", classifier)
    return {"budget": MINIMAL.format(norm="L2")}


@preflight(_check)
def cw_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    max_iter: Annotated[int, Option("steps; in L2 of each search", low=1)] = 50,
    eps_step: EpsStep = None,
    confidence: Annotated[float, Option("margin by which the model is to be wrong; norm 2 only", low=0)] = 0.0,
    learning_rate: Annotated[float, Option("step of the optimiser; norm 2 only", low=0, low_open=True)] = 0.1,
    binary_search_steps: Annotated[int, Option("searches for the constant; norm 2 only", low=1)] = 10,
    initial_const: Annotated[
        float, Option("first constant, for logits scaled to a margin of 1; norm 2 only", low=0, low_open=True)
    ] = 1.0,
) -> Tensor:
    """Carlini & Wagner's attack in L-inf or L2 (IEEE S&P 2017).

    In L-inf: PGD on their margin loss max(z_j, j != y) - z_y from a random start, the form that the papers of this field report
    (TRADES, FRL, DAFA). In L2: their search for the smallest change, by ART. What lies outside the budget is projected onto it
    and counts only if it still fools the model. The scale of the logits plays no part: in L-inf the step is a sign, in L2 logits
    are divided by the median margin of the batch.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: random state of the start where the target has no seeds (norm inf).
        eps: radius of the budget in the norm, >= 0.
        norm: "inf" or 2.
        max_iter: steps, >= 1; in L2 of each search.
        eps_step: step (norm inf), > 0; None for a quarter of eps.
        confidence: margin by which the model is to be wrong (norm 2), >= 0.
        learning_rate: step of the optimiser (norm 2), > 0.
        binary_search_steps: searches for the constant (norm 2), >= 1.
        initial_const: first constant (norm 2), > 0.

    Returns:
        (n, ...) adversarial inputs.
    """
    if norm_order(norm) == math.inf:
        return _linf(target, x, y, generator=generator, eps=eps, eps_step=step_of(eps, eps_step, max_iter), max_iter=max_iter)

    def attack(subject: Subject, images: FloatArray, labels: FloatArray) -> FloatArray:
        made = CarliniL2Method(
            subject,
            confidence=confidence,
            learning_rate=learning_rate,
            max_iter=max_iter,
            binary_search_steps=binary_search_steps,
            initial_const=initial_const,
            batch_size=len(images),
            verbose=False,
        )
        found: FloatArray = made.generate(images, labels)
        return found

    return run_art(target, x, y, attack, scale=1 / _median_margin(target.network, x, y))


def _linf(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None,
    eps: float,
    eps_step: float,
    max_iter: int,
) -> Tensor:
    network = target.network
    start = x + eps * draw_uniform(x, target.sample_seeds, generator=generator)
    start = project(start, x, eps=eps, clip_values=network.clip_values)
    return descend(network, x, y, start=start, eps=eps, eps_step=eps_step, max_iter=max_iter, loss=margin)


def _median_margin(network: Network, x: Tensor, y: Tensor) -> float:
    """The median margin by which the samples are right, > 0; 1 if none is."""
    with torch.no_grad():
        logits = network(x).double()
    own = logits.gather(1, y[:, None])[:, 0]
    margins = own - logits.scatter(1, y[:, None], -torch.inf).amax(dim=1)
    right = margins[margins > 0]
    return float(right.median()) if len(right) else 1.0
