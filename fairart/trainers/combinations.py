"""Which parts make a method together: what makes none is refused before any training, with the reason."""

from __future__ import annotations

import math

from torch import nn

from fairart.engine.method import Method
from fairart.norms import norm_name, norm_order, norm_text
from fairart.plugins import origin
from fairart.policies.epsilon_schedulers import ConstantEpsilon

__all__ = ["check_combination", "check_extra", "check_mixing", "check_range"]


def check_combination(method: Method, norm: float = math.inf, network: nn.Module | None = None) -> None:
    """Refuse parts that do not fit each other, or the network.

    Args:
        method: the parts.
        norm: of the budget, inf or 2.
        network: logits (n, K) of inputs, for the objective's own check; None for none.

    Raises:
        ValueError: what does not fit, why, and what would.
    """
    for reason in (_sampler(method), _scheduler(method), _weighting(method), _attack(method), _loss(method), _norm(method, norm)):
        if reason:
            raise ValueError(reason)
    if network is not None:
        method.objective.check(network)


def check_extra(method: Method) -> None:
    """Refuse parts that cannot train with extra samples in every batch.

    Args:
        method: the parts.

    Raises:
        ValueError: the samples are drawn class by class.
    """
    if method.draws_classes:
        raise ValueError(
            f"extra_data goes with an order of all samples, and {origin(method.class_sampling)} draws them class by class: take "
            "class_sampling=None"
        )


def check_mixing(method: Method, nb_classes: int) -> None:
    """Refuse parts that cannot train on samples mixed of two classes (MixUp, CutMix).

    Args:
        method: the parts.
        nb_classes: K.

    Raises:
        ValueError: what does not fit, why, and what would.
    """
    objective, weighting, loss = method.objective, method.class_weighting, method.classification_loss
    for reason in (
        ""
        if objective.takes_soft_labels
        else f"{origin(objective)} needs one true class a sample, or does not say that it takes soft labels. Take "
        "objective='at' or 'trades'",
        "" if weighting.takes_soft_labels else f"{origin(weighting)} needs one true class a sample. Take another class weighting",
        ""
        if loss is None or loss.takes_soft_labels
        else f"{origin(loss)} needs one true class a sample. Take another classification loss",
        ""
        if method.attack is None
        else f"attack={type(method.attack.attack).__name__} takes one label a sample. Take the objective's own attack",
        ""
        if method.target_sampler is None or nb_classes > 2
        else f"{origin(method.target_sampler)} would find no class that is not in the sample, there are {nb_classes}. Take "
        "target_sampler=None",
    ):
        if reason:
            raise ValueError(f"augmentation: mixed samples have two labels, and {reason}, or an augmentation that does not mix")


def check_range(method: Method) -> None:
    """Refuse parts that cannot train on inputs outside the clip values (Gaussian noise that is not clipped).

    Args:
        method: the parts.

    Raises:
        ValueError: what does not fit, why, and what would.
    """
    if method.objective.uses_budget or method.attack is not None:
        raise ValueError(
            f"augmentation: noisy images leave the clip values, within which {origin(method.objective)} works. Take "
            "objective='standard', or an augmentation that stays inside"
        )


def _sampler(method: Method) -> str:
    if method.target_sampler is None or method.objective.takes_targets:
        return ""
    why = (
        "has two examples on both sides of its own boundary and aims at no class"
        if method.objective.perturbs
        else "attacks nothing"
    )
    return (
        f"target_sampler: {origin(method.target_sampler)} would go unused, {origin(method.objective)} {why}. "
        "Take target_sampler=None, or an objective that aims: at, trades or fat"
    )


def _scheduler(method: Method) -> str:
    if method.objective.uses_budget or isinstance(method.epsilon_scheduler, ConstantEpsilon):
        return ""
    return (
        f"epsilon_scheduler: {origin(method.epsilon_scheduler)} plans budgets and {origin(method.objective)} attacks nothing. "
        "Take epsilon_scheduler=None, or an adversarial objective"
    )


def _weighting(method: Method) -> str:
    if method.objective.has_boundary or not method.class_weighting.needs_boundary:
        return ""
    return (
        f"class_weighting: {origin(method.class_weighting)} weighs the boundary term against the cross-entropy and "
        f"{origin(method.objective)} has no boundary term. Take objective='trades', 'mart' or 'bat', or another class weighting"
    )


def _attack(method: Method) -> str:
    if method.attack is None:
        return ""
    if not method.objective.perturbs:
        return f"attack: {type(method.attack.attack).__name__} would go unused, {origin(method.objective)} attacks nothing"
    if method.objective.single_step:
        return (
            f"attack: {type(method.attack.attack).__name__} would take the place of the single step that "
            f"{origin(method.objective)} is about. Take objective='at'"
        )
    if method.objective.nb_examples > 1:
        return (
            f"attack: {type(method.attack.attack).__name__} makes one example a sample, {origin(method.objective)} needs "
            f"{method.objective.nb_examples} from its own attack"
        )
    return ""


def _loss(method: Method) -> str:
    loss = method.classification_loss
    if loss is None or loss.takes_label_smoothing or method.label_smoothing == 0:
        return ""
    return (
        f"classification_loss: {origin(loss)} has no form with label smoothing, and the classifier's loss has "
        f"label_smoothing={method.label_smoothing:g}. Take label_smoothing=0, or another classification loss"
    )


def _norm(method: Method, norm: float) -> str:
    objective, attack = method.objective, method.attack
    if objective.uses_budget and norm not in objective.norms:
        known = " and ".join(norm_text(order) for order in sorted(objective.norms, reverse=True))
        return (
            f"norm: {origin(objective)} is defined for budgets in {known} alone, got norm={norm_name(norm)!r}. Take "
            f"norm={norm_name(max(objective.norms))!r}, or another objective, such as at with max_iter=1"
        )
    if attack is not None and attack.norm is not None and norm_order(attack.norm) != norm:
        return (
            f"attack: {type(attack.attack).__name__} measures eps in norm={attack.norm}, and the budget is in "
            f"norm={norm_name(norm)}. Give both the same norm"
        )
    return ""
