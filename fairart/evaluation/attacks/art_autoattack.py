"""ART's ensemble of the name AutoAttack, which is not the standard suite."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from art.attacks.evasion import AutoAttack, DeepFool, SquareAttack
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.evaluation.attacks.apgd import art_apgd
from fairart.evaluation.attacks.art_subject import FloatArray, Subject, run_art
from fairart.evaluation.attacks.norms import Norm, norm_order
from fairart.evaluation.attacks.preflight import preflight, require_images, require_one_range
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.plugins.options import Option

__all__ = ["art_autoattack"]

MEMBERS = ("apgd-ce", "apgd-dlr", "deepfool", "square")


def _members(nb_classes: int) -> tuple[str, ...]:
    return MEMBERS if nb_classes >= 3 else tuple(name for name in MEMBERS if name != "apgd-dlr")


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    require_images("art-autoattack", classifier)
    require_one_range("art-autoattack", classifier)
    notes: dict[str, Any] = {"attacks_to_run": list(_members(classifier.nb_classes))}
    if classifier.nb_classes < 3:
        notes["left out"] = "apgd-dlr: the difference of logits ratio needs three classes"
        warnings.warn(f"attack 'art-autoattack' runs without {notes['left out']}", UserWarning, stacklevel=2)
    return notes


@preflight(_check, returns_input=True)
def art_autoattack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    max_iter: Annotated[int, Option("steps of Auto-PGD and DeepFool", low=1)] = 100,
    max_queries: Annotated[int, Option("queries of each restart of Square Attack", low=1)] = 5000,
    nb_restarts: Annotated[int, Option("restarts of Auto-PGD and of Square Attack", low=1)] = 5,
) -> Tensor:
    """ART's ensemble: Auto-PGD on cross-entropy and on DLR, DeepFool, Square; not the standard AutoAttack.

    DeepFool stands where AutoAttack has FAB-T, and nothing is targeted. Numbers of this ensemble and of ``autoattack`` do not
    compare. Random numbers are drawn a batch at a time: they repeat with the seed and the batch size.

    Args:
        target: what is attacked.
        x: (n, C, H, W) inputs in clip values.
        y: (n,) labels.
        generator: unused; ART draws from numpy's global state, which the evaluation seeds.
        eps: radius in the norm, >= 0.
        norm: "inf" or 2.
        max_iter: steps of Auto-PGD and DeepFool, >= 1.
        max_queries: queries of each restart of Square Attack, >= 1.
        nb_restarts: restarts of Auto-PGD and of Square Attack, >= 1.

    Returns:
        (n, C, H, W) adversarial inputs.
    """
    if eps == 0:
        return x.clone()
    order = math.inf if norm_order(norm) == math.inf else 2

    def attack(subject: Subject, images: FloatArray, labels: FloatArray) -> FloatArray:
        size, scaled = len(images), eps / subject.model.span
        steps = {"max_iter": max_iter, "nb_random_init": nb_restarts, "batch_size": size}
        made = {
            "apgd-ce": lambda: art_apgd(subject, "cross_entropy", eps=scaled, norm=norm, **steps),
            "apgd-dlr": lambda: art_apgd(subject, "difference_logits_ratio", eps=scaled, norm=norm, **steps),
            "deepfool": lambda: DeepFool(subject, max_iter=max_iter, epsilon=1e-3, batch_size=size, verbose=False),
            "square": lambda: SquareAttack(
                subject, norm=order, max_iter=max_queries, eps=scaled, nb_restarts=nb_restarts, batch_size=size, verbose=False
            ),
        }
        attacks = [made[name]() for name in _members(subject.nb_classes)]
        ensemble = AutoAttack(subject, norm=order, eps=scaled, eps_step=2 * scaled, attacks=attacks, batch_size=size)
        found: FloatArray = ensemble.generate(images, labels)
        return found

    return run_art(target, x, y, attack)
