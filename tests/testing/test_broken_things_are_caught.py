"""Each rule of the checks is broken once, and the message says which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairart import create
from fairart.attacks import pgd
from fairart.datasets import Dataset
from fairart.policies import Averaging, ClassWeighting
from fairart.testing import (
    check_attack,
    check_averaging,
    check_class_weighting,
    check_corruption,
    check_dataset,
    check_fairness_metric,
    check_model,
    check_objective,
    check_trainer,
)
from fairart.trainers import ATTrainer, FairnessTrainer

torch.set_num_threads(1)


def attack(change: Any) -> Any:
    def broken(target: Any, x: Tensor, y: Tensor, *, generator: Any = None, eps: float = 0.1) -> Any:
        return change(target, x, y, generator)

    return broken


def step(target: Any, x: Tensor, y: Tensor) -> Tensor:
    return pgd(target.network, x, y, eps=0.05, eps_step=0.05, max_iter=1, start=x)


def no_grad_left(target: Any, x: Tensor, y: Tensor, _: Any) -> Tensor:
    for parameter in target.classifier.model.parameters():
        parameter.requires_grad_(True)
    nn.functional.cross_entropy(target.network(x), y).backward()
    return step(target, x, y)


def spoilt(target: Any, x: Tensor, y: Tensor, _: Any) -> Tensor:
    with torch.no_grad():
        target.classifier.model[1].weight.add_(1)
    return step(target, x, y)


class Restless:
    calls = 0.0


def restless(target: Any, x: Tensor, y: Tensor, _: Any) -> Tensor:
    Restless.calls += 1e-3
    return (x + Restless.calls % 0.05).clamp(0, 1)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda t, x, y, g: x.numpy(), "expected a tensor, got ndarray"),
        (lambda t, x, y, g: x[:, :, :4], r"expected the shape of x, \(1, 1, 8, 8\), got \(1, 1, 4, 8\)"),
        (lambda t, x, y, g: (x * 255).long(), "expected floating point numbers"),
        (lambda t, x, y, g: x / 0 * 0, "NaN or infinity"),
        (lambda t, x, y, g: x.add_(0.01), "x must not be changed in place"),
        (lambda t, x, y, g: x.clone(), "it changed none of 9 samples"),
        (lambda t, x, y, g: (x + 0.2).clamp(0, 1), "within eps = 0.1, got 0.2"),
        (lambda t, x, y, g: x - 0.95, "within the clip values"),
        (no_grad_left, "no gradient may be left on the model's parameters"),
        (spoilt, "weights and buffers of the model must not be changed"),
        (restless, "the same seeds and generator state must give the same result"),
    ],
)
def test_attacks(change: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=f"broken: .*{rule}"):
        check_attack(attack(change))


def test_an_attack_in_another_norm_is_not_held_to_eps() -> None:
    def two_norm(target: Any, x: Tensor, y: Tensor, *, eps: float = 0.01, norm: str = "2") -> Tensor:
        return step(target, x, y)

    check_attack(two_norm)


@pytest.mark.parametrize(
    ("corrupt", "rule"),
    [
        (lambda x, severity: x, "fairart calls it with generator="),
        (lambda x, severity, *, generator: x.numpy(), "expected a tensor, got ndarray"),
        (lambda x, severity, *, generator: x[..., 1:], "expected the shape of x"),
        (lambda x, severity, *, generator: x.double(), "expected the type of x, torch.float32, got torch.float64"),
        (lambda x, severity, *, generator: x + severity / 10, r"values in \[0, 1\] at severity"),
        (lambda x, severity, *, generator: x.mul_(0.9), "the images must not be changed in place"),
        (lambda x, severity, *, generator: (x + torch.rand(x.shape)).clamp(0, 1), "same generator state|global random state"),
        (lambda x, severity, *, generator: x.clone(), "severity 5 changed nothing"),
        (lambda x, severity, *, generator: x * (0.4 + severity / 10), "at least as much as severity 1"),
        (lambda x, severity, *, generator: x / x.amax() if x.std() else x / x.amax() * 0, "black or white images gave NaN"),
    ],
)
def test_corruptions(corrupt: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_corruption(corrupt)


def test_a_corruption_that_moves_the_global_random_state_alone_is_caught() -> None:
    def brightness(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
        torch.rand(1)
        return (x + severity / 10).clamp(0, 1)

    with pytest.raises(AssertionError, match="global random state was used"):
        check_corruption(brightness)


def dataset(*, same: bool = False, classes: int = 3, seed: int | None = 0, labels: int | None = None) -> Dataset:
    random = np.random.default_rng(seed)
    train, test = (random.integers(0, 256, (12, 1, 8, 8), dtype=np.uint8) for _ in range(2))
    y = np.arange(12, dtype=np.int64) % (labels or classes)
    names = tuple(f"class {k}" for k in range(classes))
    return Dataset(name="toy", x_train=train, y_train=y, x_test=train if same else test, y_test=y, classes=names)


@pytest.mark.parametrize(
    ("load", "rule"),
    [
        (lambda: dataset(), "fairart calls it with data_root="),
        (lambda *, data_root: {"x_train": []}, "expected a fairart.datasets.Dataset, got dict"),
        (lambda *, data_root: dataset(seed=None), "x_train differs from call to call"),
        (lambda *, data_root: dataset(seed=np.random.randint(9)), "global random state was used"),  # noqa: NPY002
        (lambda *, data_root: dataset(same=True), "12 of 12 test images stand in the training split"),
        (lambda *, data_root: dataset(classes=9, labels=3), "has samples of 3 of 9 classes"),
    ],
)
def test_data_sets(load: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_dataset(load)


class Net(nn.Module):
    def __init__(self, nb_classes: int, fault: str) -> None:
        super().__init__()
        self.linear, self.idle, self.fault = nn.Linear(64, nb_classes), nn.Linear(2, 2), fault
        self.hidden = [torch.rand(nb_classes)] if fault == "hidden" else []
        for parameter in self.idle.parameters():
            parameter.requires_grad_(fault == "idle")

    def forward(self, x: Tensor) -> Tensor:
        if self.fault == "in place":
            x.mul_(0.5)
        logits = self.linear(x.flatten(1).round() if self.fault == "rounded" else x.flatten(1))
        changed = {
            "probabilities": lambda: logits.softmax(dim=1),
            "nan": lambda: logits * torch.nan,
            "shape": lambda: logits[:, 0],
            "noise": lambda: logits + torch.rand_like(logits),
            "batch": lambda: logits - logits.mean(dim=0),
            "hidden": lambda: logits + self.hidden[0],
        }
        return changed.get(self.fault, lambda: logits)()


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("probabilities", "expected logits, got probabilities"),
        ("nan", "expected finite logits"),
        ("shape", r"expected logits of shape \(5, 10\) for 5 images"),
        ("noise", "in eval mode the same images must give the same logits"),
        ("batch", "must not depend on the rest of its batch"),
        ("hidden", r"state_dict\(\) must hold all that decides the logits"),
        ("in place", r"forward\(\) must not change its input"),
        ("rounded", "no finite gradient reaches the images"),
        ("idle", "no gradient reaches the parameters idle.weight, idle.bias"),
    ],
)
def test_models(fault: str, rule: str) -> None:
    def build(*, input_shape: Any, nb_classes: int) -> nn.Module:
        return Net(nb_classes, fault)

    with pytest.raises(AssertionError, match=rule):
        check_model(build, input_shape=(1, 8, 8))


def test_a_model_whose_weights_no_seed_decides_or_that_has_none() -> None:
    def own_random(*, input_shape: Any, nb_classes: int) -> nn.Module:
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, nb_classes))
        with torch.no_grad():
            model[1].weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=(nb_classes, 64))))
        return model

    with pytest.raises(AssertionError, match="so that a run's seed decides them"):
        check_model(own_random, input_shape=(1, 8, 8))
    with pytest.raises(AssertionError, match="no parameters to train"):
        check_model(lambda *, input_shape, nb_classes: nn.Flatten())
    with pytest.raises(AssertionError, match="calls it with input_shape="):
        check_model(lambda nb_classes: nn.Flatten())
    with pytest.raises(AssertionError, match=r"expected a torch\.nn\.Module, got str"):
        check_model(lambda **options: "net")


class Closed(FairnessTrainer):
    def __init__(self, classifier: Any, *, eps: float = 0.1) -> None:
        super().__init__(classifier, eps=eps)


class Idle(ATTrainer):
    def fit(self, *arguments: Any, **options: Any) -> None:
        pass


class Switching(ATTrainer):
    def fit(self, *arguments: Any, **options: Any) -> None:
        super().fit(*arguments, **options)
        self.get_classifier().model.train()


class Drawing(ATTrainer):
    def fit(self, *arguments: Any, **options: Any) -> None:
        torch.rand(1)
        super().fit(*arguments, **options)


class Unseeded(ATTrainer):
    def fit(self, *arguments: Any, seed: int | None = None, **options: Any) -> None:
        super().fit(*arguments, seed=None, **options)


class Forgetful(ClassWeighting):
    number = 0

    def __init__(self) -> None:
        super().__init__()
        Forgetful.number += 1
        self.own = Forgetful.number

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "own": self.own}


class Losing(ATTrainer):
    def default_part(self, kind: str, objective: Any) -> Any:
        return Forgetful() if kind == "class_weighting" else super().default_part(kind, objective)


@pytest.mark.parametrize(
    ("trainer", "rule"),
    [
        (Closed, r"Closed: it does not take eps_step, .*: hand \*\*options on to super"),
        (Idle, "Idle: training changed no weight"),
        (Switching, "Switching: train and eval modes must be restored"),
        (Drawing, "Drawing: global random state must be left as it was"),
        (Unseeded, "Unseeded: the same seed must give the same weights"),
        (Losing, "Losing: the state of its class_weighting does not survive a checkpoint"),
    ],
)
def test_trainers(trainer: Any, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_trainer(trainer)


def test_metrics() -> None:
    with pytest.raises(AssertionError, match="expected a finite number, got nan"):
        check_fairness_metric(lambda confusion: float("nan"))
    with pytest.raises(AssertionError, match=r"without any sample nothing is defined: expected NaN, got 0\.0"):
        check_fairness_metric(lambda confusion: confusion.accuracy if confusion.total else 0.0)
    with pytest.raises(AssertionError, match="must not be changed"):
        check_fairness_metric(lambda confusion: float(confusion.counts.fill(1) or 0))


class NumpyState(ClassWeighting):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "current": self.current}


class NumpyNumber(Averaging):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best": np.float64(0.5)}


def test_states_that_no_checkpoint_takes() -> None:
    with pytest.raises(AssertionError, match=r"NumpyState: state_dict.* numbers, text, lists and tensors alone"):
        check_class_weighting(NumpyState())
    with pytest.raises(AssertionError, match="NumpyNumber: state_dict"):
        check_averaging(NumpyNumber())


class Normalised(ClassWeighting):
    def combine(self, terms: Any, labels: Tensor) -> Tensor:
        total = terms.total()
        return (total.detach() * total).sum() / total.detach().sum()


class NormalisedAndSaid(Normalised):
    looks_across_batch = True


def test_a_weighting_that_looks_across_the_batch_says_so() -> None:
    with pytest.raises(AssertionError, match=r"Normalised: combine.* set looks_across_batch = True"):
        check_class_weighting(Normalised())
    check_class_weighting(NormalisedAndSaid())


def test_a_class_in_place_of_an_instance_is_said_to_be_one() -> None:
    with pytest.raises(AssertionError, match="got the class NumpyState: make an instance of it"):
        check_class_weighting(NumpyState)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=r"expected an instance of .*Objective"):
        check_objective(create("averaging", "ema"))
