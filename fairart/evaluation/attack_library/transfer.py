"""Adversarial examples of another model, tried on this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks import frozen
from fairart.engine.network import Network, restored_modes
from fairart.errors import OptionError
from fairart.evaluation.attacks import AttackTarget, Epsilon, pgd_attack
from fairart.evaluation.preflight import preflight
from fairart.options import Option

__all__ = ["transfer_attack"]


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    surrogate = options["surrogate"]
    Network(surrogate)  # whether a gradient passes its preprocessing
    for what in ("input_shape", "nb_classes", "clip_values"):
        own, other = getattr(classifier, what), getattr(surrogate, what)
        same = (own is None) == (other is None)
        if not same or (own is not None and not np.array_equal(np.asarray(own), np.asarray(other))):
            raise OptionError(f"attack 'transfer': the surrogate's {what} must be that of the classifier, {own}, got {other}")
    if surrogate.model is classifier.model:
        raise OptionError("attack 'transfer': the surrogate is the very model that is evaluated: that is 'pgd'")
    return {"budget": "made on the surrogate alone"}


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
    eps_step: Annotated[float, Option("step, in the units of eps", low=0, low_open=True)] = 2 / 255,
    max_iter: Annotated[int, Option("number of steps", low=1)] = 20,
    num_random_init: Annotated[int, Option("restarts, each from a uniform start; 0 starts at the input itself", low=0)] = 1,
) -> Tensor:
    """Transfer attack: PGD on a surrogate classifier, scored on this one (Papernot et al., 2016).

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        surrogate: ART classifier of the same inputs, classes and clip values.
        generator: random state of the starts where the target has no seeds.
        eps: L-inf radius, >= 0.
        eps_step: step, > 0.
        max_iter: steps, >= 1.
        num_random_init: restarts, >= 0; a sample that the surrogate is wrong about after one is left out of the next ones.

    Returns:
        (n, ...) adversarial inputs.

    Raises:
        EvaluationError: no gradient of the surrogate reaches the input.
    """
    network = Network(surrogate)
    inner = AttackTarget(surrogate, network, target.sample_seeds)
    if generator is not None and generator.device.type != network.device.type:
        generator = torch.Generator(network.device).manual_seed(generator.initial_seed())
    with restored_modes(network, training=False), frozen(network):
        found = pgd_attack(
            inner,
            x.to(device=network.device, dtype=network.dtype),
            y.to(network.device),
            generator=generator,
            eps=eps,
            eps_step=eps_step,
            max_iter=max_iter,
            num_random_init=num_random_init,
        )
    return found.to(x)
