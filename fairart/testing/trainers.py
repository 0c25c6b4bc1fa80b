"""The check of trainers."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from fairart.plugins.options import declared_options
from fairart.testing.rules import CLASSES, called, expect, global_random_state, require, same_state

if TYPE_CHECKING:
    from art.estimators.classification import PyTorchClassifier

__all__ = ["check_trainer"]

SHAPE = (1, 8, 8)
PER_CLASS = 8
EPOCHS = 3
BUDGET = {"eps": 0.1, "eps_step": 0.05, "max_iter": 2, "hold_out": 0.25}
SHARED = (*BUDGET, "augmentation", "objective", "target_sampler", "epsilon_scheduler", "class_weighting", "averaging")
"""Options that the command line passes to every trainer."""


def check_trainer(trainer: Callable[..., Any]) -> None:
    """Check that a trainer keeps the rules, on small classifiers with 2, 3 and 10 classes, and with a budget in L2.

    It trains a second or two.

    Args:
        trainer: a subclass of :class:`fairart.trainers.FairnessTrainer`, or a ``functools.partial`` of one with options.

    Raises:
        AssertionError: an option that every trainer has is missing; weights or batch-norm that do not learn; modes, gradients or
            global random state that are not as they were; a loss that is not finite; plans of the wrong shape; a seed that does
            not decide the weights; a policy whose state is lost.
    """
    missing = [name for name in SHARED if name not in declared_options(trainer)]
    detail = (
        f"{called(trainer)}: it does not take {', '.join(missing)}: hand **options on to super().__init__(classifier, **options)"
    )
    require(not missing, detail)
    for nb_classes in CLASSES:
        trained = _check_run(trainer, nb_classes)
        _check_states(trainer, trained, nb_classes)
    again = _check_run(trainer, nb_classes)
    if 2 in again.method.objective.norms and again.method.attack is None:
        _check_run(trainer, min(CLASSES), norm=2)
    one, two = (dict(made.get_classifier().model.state_dict()) for made in (trained, again))
    require(same_state(one, two), f"{called(trainer)}: the same seed must give the same weights")


def _make(trainer: Callable[..., Any], nb_classes: int, **budget: Any) -> Any:
    from fairart.trainers import FairnessTrainer

    made = trainer(_classifier(nb_classes), **BUDGET, **budget)
    expect(made, FairnessTrainer)
    return made


def _check_run(trainer: Callable[..., Any], nb_classes: int, **budget: Any) -> Any:
    name, made = called(trainer), _make(trainer, nb_classes, **budget)
    model = made.get_classifier().model
    model.eval()
    modes, before = [module.training for module in model.modules()], copy.deepcopy(dict(model.state_dict()))
    untouched, (x, y) = global_random_state(), _data(nb_classes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="weight averaging took in none")  # the run is shorter than any real one
        made.fit(x, y, batch_size=6, nb_epochs=EPOCHS, seed=0, verbose=False)
    after = model.state_dict()
    require(untouched(), f"{name}: global random state must be left as it was")
    require([module.training for module in model.modules()] == modes, f"{name}: train and eval modes must be restored")
    require(all(p.grad is None and p.requires_grad for p in model.parameters()), f"{name}: no gradient may be left behind")
    require(not torch.equal(before["1.weight"], after["1.weight"]), f"{name}: training changed no weight")
    require(not torch.equal(before["2.running_mean"], after["2.running_mean"]), f"{name}: batch-norm statistics never moved")
    _check_history(name, made.history, nb_classes)
    require(made.predict(x).shape == (len(x), nb_classes), f"{name}: predict() must give logits (n, K)")
    return made


def _check_history(name: str, history: list[Any], nb_classes: int) -> None:
    require(len(history) == EPOCHS, f"{name}: {EPOCHS} epochs must leave {EPOCHS} records, got {len(history)}")
    for record in history:
        require(bool(np.isfinite(record.loss)), f"{name}: the loss must be finite, got {record.loss!r}")
        for plan in (record.epsilons, record.class_weights):
            whole = plan.shape == (nb_classes,) and bool(np.isfinite(plan).all() and (plan >= 0).all())
            require(whole, f"{name}: budgets and weights must be {nb_classes} finite numbers >= 0, got {plan!r}")
        json.loads(record.to_json())


def _check_states(trainer: Callable[..., Any], trained: Any, nb_classes: int) -> None:
    fresh = _make(trainer, nb_classes)
    for (kind, policy), (_, other) in zip(trained.method.policies(), fresh.method.policies(), strict=True):
        state = policy.state_dict()
        other.load_state_dict(copy.deepcopy(state))
        require(
            same_state(state, other.state_dict()), f"{called(trainer)}: the state of its {kind} does not survive a checkpoint"
        )


def _classifier(nb_classes: int) -> PyTorchClassifier:
    from art.estimators.classification import PyTorchClassifier

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, nb_classes))
    return PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        SHAPE,
        nb_classes,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )


def _data(nb_classes: int) -> tuple[Any, Any]:
    """Noisy copies of one random image a class."""
    random = np.random.default_rng(1)
    y = np.repeat(np.arange(nb_classes), PER_CLASS)
    centres = random.random((nb_classes, *SHAPE))
    return np.clip(centres[y] + 0.1 * random.normal(size=(len(y), *SHAPE)), 0, 1).astype(np.float32), y
