"""Carlini & Wagner's attacks through ART."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from art.attacks.evasion import CarliniL2Method, CarliniLInfMethod
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.evaluation.attacks.art_subject import FloatArray, Subject, run_art
from fairart.evaluation.attacks.decision import MINIMAL
from fairart.evaluation.attacks.norms import Norm, norm_order
from fairart.evaluation.attacks.preflight import preflight, require_clip_values
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.plugins.options import Option

__all__ = ["cw_attack"]


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> dict[str, Any]:
    require_clip_values("cw", classifier)
    return {"budget": MINIMAL.format(norm="L-inf" if norm_order(options["norm"]) == math.inf else "L2")}


@preflight(_check, returns_input=True)
def cw_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    norm: Norm = "inf",
    confidence: Annotated[float, Option("margin by which the model is to be wrong", low=0)] = 0.0,
    learning_rate: Annotated[float, Option("step of the optimiser", low=0, low_open=True)] = 0.01,
    max_iter: Annotated[int, Option("steps of each search", low=1)] = 10,
    binary_search_steps: Annotated[int, Option("searches for the constant; norm 2 only", low=1)] = 10,
    decrease_factor: Annotated[
        float, Option("shrinks the distance after each success; norm inf only", low=0, low_open=True, high=1, high_open=True)
    ] = 0.9,
    largest_const: Annotated[float, Option("last constant tried; norm inf only", low=0, low_open=True)] = 20.0,
    const_factor: Annotated[float, Option("growth of the constant; norm inf only", low=1, low_open=True)] = 2.0,
) -> Tensor:
    """Carlini & Wagner's attack in L-inf or L2, by ART (IEEE S&P 2017).

    It looks for the smallest change in the norm. What lies outside the budget is projected onto it and counts only if it still
    fools the model. In L-inf, ART goes through the samples one by one and tries every constant at every distance: seconds a
    sample.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        generator: unused, nothing is drawn.
        eps: radius of the budget in the norm, >= 0.
        norm: "inf" or 2.
        confidence: margin by which the model is to be wrong, >= 0.
        learning_rate: step of the optimiser, > 0.
        max_iter: steps of each search, >= 1.
        binary_search_steps: searches for the constant (norm 2), >= 1.
        decrease_factor: shrinks the distance after each success (norm inf), in (0, 1).
        largest_const: last constant tried (norm inf), > 0.
        const_factor: growth of the constant (norm inf), > 1.

    Returns:
        (n, ...) adversarial inputs.
    """
    shared = {"confidence": confidence, "learning_rate": learning_rate, "max_iter": max_iter, "verbose": False}

    def attack(subject: Subject, images: FloatArray, labels: FloatArray) -> FloatArray:
        if norm_order(norm) == math.inf:
            made = CarliniLInfMethod(
                subject, decrease_factor=decrease_factor, largest_const=largest_const, const_factor=const_factor, **shared
            )
        else:
            made = CarliniL2Method(subject, binary_search_steps=binary_search_steps, batch_size=len(images), **shared)
        found: FloatArray = made.generate(images, labels)
        return found

    return run_art(target, x, y, attack)
