"""Checks of what an evaluation uses: attacks, corruptions, fairness metrics. All three are functions, options filled in."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fairart.statistics import ConfusionMatrix
from fairart.testing.rules import CLASSES, called, global_random_state, require, require_keywords, same_state, statistics_examples

if TYPE_CHECKING:
    from fairart.evaluation.attacks import AttackTarget

__all__ = ["attack_target", "check_attack", "check_corruption", "check_fairness_metric"]

SAMPLES = 9
SLACK = 1e-6
"""How far outside its budget an output may lie for the rounding of floats."""

GREY, COLOUR, ODD = (3, 1, 8, 8), (3, 3, 32, 32), (2, 3, 9, 16)
"""Batches (n, C, H, W) that a corruption is tried on."""


def check_fairness_metric(metric: Callable[[ConfusionMatrix], float]) -> None:
    """Check that a fairness metric keeps the rules.

    Args:
        metric: a function of a confusion matrix, options filled in.

    Raises:
        AssertionError: it gives no finite number, changes the matrix, depends on the order of the classes, or gives a number for
            a matrix without samples, where nothing is defined.
    """
    name = called(metric)
    for nb_classes in CLASSES:
        for statistics in statistics_examples(nb_classes):
            matrix = statistics.robust
            before = matrix.counts.copy()
            value = metric(matrix)
            require(np.array_equal(before, matrix.counts), f"{name}: the confusion matrix must not be changed")
            require(isinstance(value, float | int) and math.isfinite(value), f"{name}: expected a finite number, got {value!r}")
            order = np.random.default_rng(5).permutation(nb_classes)
            renamed = metric(ConfusionMatrix(before[np.ix_(order, order)]))
            require(math.isclose(value, renamed, abs_tol=1e-9), f"{name}: the order of the classes must not matter")
        empty = metric(ConfusionMatrix.zeros(nb_classes))
        require(math.isnan(empty), f"{name}: without any sample nothing is defined: expected NaN, got {empty!r}")


def check_attack(attack: Callable[..., Tensor], *, input_shape: Sequence[int] = (1, 8, 8)) -> None:
    """Check that an attack keeps the rules, on small networks with 3 and 10 classes and on a batch of one.

    Args:
        attack: a function ``attack(target, x, y, *, generator=None, **options) -> x_adv``, options filled in.
        input_shape: (C, H, W) of the images, for attacks that need larger ones.

    Raises:
        AssertionError: what comes back has another shape or type, is not finite, changed nothing (unless the attack was declared
            with ``returns_input``), lies outside the option ``eps`` or the clip values, or differs from call to call; the inputs,
            the model or its gradients were changed.
    """
    for nb_classes in (3, 10):
        for size in (1, SAMPLES):
            _check_attack(attack, nb_classes, (size, *input_shape))


def _check_attack(attack: Callable[..., Tensor], nb_classes: int, shape: tuple[int, ...]) -> None:
    name, target = called(attack), attack_target(nb_classes, shape)
    x = 0.1 + 0.8 * torch.rand(shape, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        y = target.network(x).argmax(dim=1)
    model, before = target.classifier.model, x.clone()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    x_adv, again = (_attacked(attack, target, x, y) for _ in range(2))
    require(isinstance(x_adv, Tensor), f"{name}: expected a tensor, got {type(x_adv).__name__}")
    require(x_adv.shape == x.shape, f"{name}: expected the shape of x, {tuple(x.shape)}, got {tuple(x_adv.shape)}")
    require(x_adv.is_floating_point(), f"{name}: expected floating point numbers as in x, got {x_adv.dtype}")
    require(bool(torch.isfinite(x_adv).all()), f"{name}: expected finite numbers, got NaN or infinity")
    require(torch.equal(x, before), f"{name}: x must not be changed in place, work on a copy")
    require(same_state(weights, dict(model.state_dict())), f"{name}: the weights and buffers of the model must not be changed")
    require(all(p.grad is None for p in model.parameters()), f"{name}: no gradient may be left on the model's parameters")
    require(torch.equal(x_adv, again), f"{name}: the same seeds and generator state must give the same result")
    may_stand = len(x) == 1 or getattr(inspect.unwrap(getattr(attack, "func", attack)), "returns_input", False)
    require(may_stand or not torch.equal(x_adv, x), f"{name}: it changed none of {len(x)} samples")
    require(bool((x_adv >= -SLACK).all() and (x_adv <= 1 + SLACK).all()), f"{name}: expected values within the clip values")
    eps, distance = _linf_budget(attack), float((x_adv - x).abs().max())
    require(distance <= eps + SLACK, f"{name}: expected changes within eps = {eps:g}, got {distance:g}")


def attack_target(nb_classes: int, shape: tuple[int, ...]) -> AttackTarget:
    """A small network of linear, batch-norm and ReLU layers with ``nb_classes`` outputs, for (n, C, H, W) batches of a shape."""
    from art.estimators.classification import PyTorchClassifier

    from fairart.engine.network import Network
    from fairart.evaluation.attacks import AttackTarget

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(nb_classes)
        width = math.prod(shape[1:])
        model = nn.Sequential(nn.Flatten(), nn.Linear(width, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, nb_classes))
    classifier = PyTorchClassifier(
        model.eval(), nn.CrossEntropyLoss(), shape[1:], nb_classes, clip_values=(0.0, 1.0), device_type="cpu"
    )
    return AttackTarget(classifier, Network(classifier), tuple(range(shape[0])))


def _attacked(attack: Callable[..., Tensor], target: AttackTarget, x: Tensor, y: Tensor) -> Tensor:
    """Call the attack as an evaluation does."""
    from fairart.attacks import frozen
    from fairart.engine.randomness import isolated_random_state

    parameters = inspect.signature(attack).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    extra = {"generator": torch.Generator().manual_seed(8)} if "generator" in parameters or takes_any else {}
    with frozen(target.network), isolated_random_state(9, torch.device("cpu")):
        return attack(target, x, y.clone(), **extra)


def _linf_budget(attack: Callable[..., Tensor]) -> float:
    """The option ``eps`` where it is an L-inf radius, else infinity."""
    options: dict[str, Any] = {name: parameter.default for name, parameter in inspect.signature(attack).parameters.items()}
    eps = options.get("eps")
    linf = str(options.get("norm", "inf")).lower() in ("inf", "linf")
    return float(eps) if linf and isinstance(eps, int | float) else math.inf


def check_corruption(corrupt: Callable[..., Tensor]) -> None:
    """Check that a corruption keeps the rules, on grey and on colour images, from 8 x 8 pixels up.

    Args:
        corrupt: a function ``corrupt(x, severity, *, generator) -> x``, options filled in.

    Raises:
        AssertionError: what comes back has another shape or type or leaves [0, 1]; the images were changed in place; randomness
            that is not the generator's; severity 5 changes nothing, or less than severity 1.
    """
    require_keywords(corrupt, "generator")
    name, changes = called(corrupt), {1: 0.0, 5: 0.0}
    for shape in (GREY, COLOUR, ODD):
        x = _images(shape)
        for severity in range(1, 6):
            result = _check_corrupted(corrupt, x, severity)
            if severity in changes and shape[1] == 3:
                changes[severity] += float((result - x).abs().mean())
        for plain in (torch.zeros(shape), torch.ones(shape)):
            require(bool(torch.isfinite(_corrupted(corrupt, plain, 5)).all()), f"{name}: black or white images gave NaN")
    require(changes[5] > 0, f"{name}: severity 5 changed nothing")
    require(changes[5] >= changes[1], f"{name}: severity 5 must change images at least as much as severity 1")


def _check_corrupted(corrupt: Callable[..., Tensor], x: Tensor, severity: int) -> Tensor:
    name, before, untouched = called(corrupt), x.clone(), global_random_state()
    result, again = (_corrupted(corrupt, x, severity) for _ in range(2))
    require(isinstance(result, Tensor), f"{name}: expected a tensor, got {type(result).__name__}")
    require(result.shape == x.shape, f"{name}: expected the shape of x, {tuple(x.shape)}, got {tuple(result.shape)}")
    require(result.dtype == x.dtype, f"{name}: expected the type of x, {x.dtype}, got {result.dtype}")
    require(bool((result >= 0).all() and (result <= 1).all()), f"{name}: expected values in [0, 1] at severity {severity}")
    require(torch.equal(x, before), f"{name}: the images must not be changed in place, work on a copy")
    require(torch.equal(result, again), f"{name}: the same generator state must give the same images")
    require(untouched(), f"{name}: all randomness must come from the generator, global random state was used")
    return result


def _corrupted(corrupt: Callable[..., Tensor], x: Tensor, severity: int) -> Tensor:
    from fairart.corruptions import CorruptionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorruptionWarning)
        return corrupt(x, severity, generator=torch.Generator().manual_seed(10))


def _images(shape: tuple[int, ...]) -> Tensor:
    """Smooth structure with some noise, as photographs have it."""
    random = torch.Generator().manual_seed(11)
    coarse = torch.rand(shape[0], shape[1], 4, 4, generator=random)
    smooth = nn.functional.interpolate(coarse, size=shape[2:], mode="bilinear", align_corners=False)
    return (0.9 * smooth + 0.1 * torch.rand(shape, generator=random)).clamp(0, 1)
