"""DeepFool through ART: steps to the nearest face of the linearised decision region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from art.attacks.evasion import DeepFool
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.evaluation.attacks.art_subject import FloatArray, Subject, run_art
from fairart.evaluation.attacks.decision import MINIMAL
from fairart.evaluation.attacks.norms import Norm
from fairart.evaluation.attacks.preflight import preflight
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.plugins.options import Option

__all__ = ["deepfool_attack"]


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"budget": MINIMAL.format(norm="L2")}


@preflight(_check)
def deepfool_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    max_iter: Annotated[int, Option("number of steps", low=1)] = 100,
    epsilon: Annotated[float, Option("overshoot past the boundary, relative", low=0)] = 1e-6,
    nb_grads: Annotated[int, Option("classes whose boundary is looked at, the likeliest first", low=2)] = 10,
) -> Tensor:
    """DeepFool, by ART (Moosavi-Dezfooli et al., CVPR 2016).

    It looks for the smallest change in L2. The result is projected onto the budget and counts only if it still
    fools the model.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: unused, nothing is drawn.
        eps: radius of the budget in the norm, >= 0.
        norm: "inf" or 2, of the budget.
        max_iter: steps, >= 1.
        epsilon: overshoot, >= 0, relative to the change.
        nb_grads: classes whose boundary is looked at, >= 2.

    Returns:
        (n, ...) adversarial inputs.
    """

    def attack(subject: Subject, images: FloatArray, labels: FloatArray) -> FloatArray:
        made = DeepFool(subject, max_iter=max_iter, epsilon=epsilon, nb_grads=nb_grads, batch_size=len(images), verbose=False)
        found: FloatArray = made.generate(images, labels)
        return found

    return run_art(target, x, y, attack)
