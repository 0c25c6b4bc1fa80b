"""Auto-PGD through ART: the step size follows the progress of the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from art.attacks.evasion import AutoProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.evaluation.attacks.art_subject import FloatArray, Subject, run_art
from fairart.evaluation.attacks.norms import Norm, norm_order
from fairart.evaluation.attacks.preflight import preflight, require_classes, require_one_range
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.plugins.options import Option

__all__ = ["apgd_ce_attack", "apgd_dlr_attack", "art_apgd"]

Steps = Annotated[int, Option("number of steps", low=1)]
Restarts = Annotated[int, Option("restarts, each from a random start", low=1)]


def art_apgd(
    subject: Subject, loss_type: str, *, eps: float, norm: Any, max_iter: int, nb_random_init: int, batch_size: int
) -> AutoProjectedGradientDescent:
    """ART's Auto-PGD with the first step of the paper, 2 * eps.

    Args:
        subject: the classifier of inputs between 0 and 1.
        loss_type: ART's name of the loss.
        eps: radius on inputs between 0 and 1.
        norm: as options name it.
        max_iter: steps.
        nb_random_init: restarts.
        batch_size: samples at a time.
    """
    return AutoProjectedGradientDescent(
        subject,
        norm=math.inf if norm_order(norm) == math.inf else 2,
        eps=eps,
        eps_step=2 * eps,
        max_iter=max_iter,
        nb_random_init=nb_random_init,
        batch_size=batch_size,
        loss_type=loss_type,
        verbose=False,
    )


def _apgd(target: AttackTarget, x: Tensor, y: Tensor, loss_type: str, *, eps: float, **options: Any) -> Tensor:
    if eps == 0:
        return x.clone()

    def attack(subject: Subject, images: FloatArray, labels: FloatArray) -> FloatArray:
        scaled = eps / subject.model.span
        made = art_apgd(subject, loss_type, eps=scaled, batch_size=len(images), **options)
        found: FloatArray = made.generate(images, labels)
        return found

    return run_art(target, x, y, attack)


def _check_ce(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> None:
    if classifier.clip_values is not None:
        require_one_range("apgd-ce", classifier)


def _check_dlr(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> None:
    require_classes("apgd-dlr", classifier, 3, "the difference of logits ratio compares the first three: use 'apgd-ce'")
    if classifier.clip_values is not None:
        require_one_range("apgd-dlr", classifier)


@preflight(_check_ce)
def apgd_ce_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    max_iter: Steps = 100,
    nb_random_init: Restarts = 5,
) -> Tensor:
    """Auto-PGD on the cross-entropy, by ART (Croce & Hein, ICML 2020).

    The cross-entropy saturates where logits are very large; the sanity checks report gradients of zero. ``apgd-dlr`` does not.
    Its random starts are drawn a batch at a time: they repeat with the seed and the batch size.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: unused; ART draws from numpy's global state, which the evaluation seeds.
        eps: radius in the norm, >= 0.
        norm: "inf" or 2.
        max_iter: steps, >= 1.
        nb_random_init: restarts, >= 1.

    Returns:
        (n, ...) adversarial inputs.
    """
    return _apgd(target, x, y, "cross_entropy", eps=eps, norm=norm, max_iter=max_iter, nb_random_init=nb_random_init)


@preflight(_check_dlr)
def apgd_dlr_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    max_iter: Steps = 100,
    nb_random_init: Restarts = 5,
) -> Tensor:
    """Auto-PGD on the difference of logits ratio, by ART (Croce & Hein, ICML 2020, Eq. 6); three classes or more.

    Its random starts are drawn a batch at a time: they repeat with the seed and the batch size.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: unused; ART draws from numpy's global state, which the evaluation seeds.
        eps: radius in the norm, >= 0.
        norm: "inf" or 2.
        max_iter: steps, >= 1.
        nb_random_init: restarts, >= 1.

    Returns:
        (n, ...) adversarial inputs.
    """
    return _apgd(target, x, y, "difference_logits_ratio", eps=eps, norm=norm, max_iter=max_iter, nb_random_init=nb_random_init)
