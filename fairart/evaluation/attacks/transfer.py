"""Adversarial examples of another model, tried on this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks import pgd
from fairart.attacks.steps import EpsStep, step_of, warn_short_steps
from fairart.engine.network import Network, restored_modes
from fairart.errors import OptionError
from fairart.evaluation.attacks.preflight import preflight
from fairart.evaluation.attacks.target import AttackTarget, Epsilon, draw_uniform
from fairart.plugins.options import Option

__all__ = ["transfer_attack"]


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    surrogate = options["surrogate"]
    Network(surrogate)  # raises if its preprocessing passes no gradient
    for what in ("input_shape", "nb_classes", "clip_values"):
        own, other = getattr(classifier, what), getattr(surrogate, what)
        same = (own is None) == (other is None)
        if not same or (own is not None and not np.array_equal(np.asarray(own), np.asarray(other))):
            raise OptionError(f"attack 'transfer': the surrogate's {what} must be that of the classifier, {own}, got {other}")
    if surrogate.model is classifier.model:
        raise OptionError("attack 'transfer': the surrogate is the evaluated model itself; use 'pgd' instead")
    warn_short_steps("attack 'transfer'", **{name: options[name] for name in ("eps", "eps_step", "max_iter")}, stacklevel=4)
    return {
        "budget": "made on the surrogate alone",
        "eps_step": step_of(options["eps"], options["eps_step"], options["max_iter"]),
    }


@preflight(_check)
def transfer_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    surrogate: Annotated[
        PyTorchClassifier, Option("classifier that the examples are made on; on the command line the folder of its run")
    ],
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    eps_step: EpsStep = None,
    max_iter: Annotated[int, Option("number of steps", low=1)] = 20,
    num_random_init: Annotated[int, Option("1 starts at a random point, 0 at the input itself", choices=(0, 1))] = 1,
) -> Tensor:
    """Transfer attack: PGD on a surrogate classifier, scored on this one (Papernot et al., 2016).

    All steps are taken, also after the surrogate is fooled: examples far beyond its boundary transfer better.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        surrogate: ART classifier of the same inputs, classes and clip values.
        generator: random state of the starts where the target has no seeds.
        eps: L-inf radius, >= 0.
        eps_step: step, > 0; None for a quarter of eps.
        max_iter: steps, >= 1.
        num_random_init: 1 for a uniform start, 0 for the input itself.

    Returns:
        (n, ...) adversarial inputs.
    """
    network = Network(surrogate)
    images = x.to(device=network.device, dtype=network.dtype)
    if generator is not None and generator.device.type != network.device.type:
        generator = torch.Generator(network.device).manual_seed(generator.initial_seed())
    start = images + eps * draw_uniform(images, target.sample_seeds, generator=generator) if num_random_init else images
    with restored_modes(network, training=False):
        found = pgd(
            network,
            images,
            y.to(network.device),
            eps=eps,
            eps_step=step_of(eps, eps_step, max_iter),
            max_iter=max_iter,
            start=start,
            clip_values=network.clip_values,
        )
    return found.to(x)
