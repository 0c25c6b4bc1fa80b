"""Wrong answers of third-party parts: refused in training and by the conformance checks, with part, method and rule named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairart.errors import PolicyError
from fairart.objectives import ATObjective
from fairart.policies import ClassWeighting, EpsilonScheduler, LossTerms, TargetSampler, WeightPerturbation
from fairart.testing import check_class_weighting, check_epsilon_scheduler, check_objective, check_target_sampler
from fairart.trainers import FairnessTrainer

Make = Callable[..., Any]
Wrong = Callable[[Any], Any]


class OddExamples(ATObjective):
    def __init__(self, wrong: Wrong) -> None:
        super().__init__()
        self.wrong = wrong

    def examples(self, network: Any, batch: Any) -> Any:
        return self.wrong(super().examples(network, batch))


class OddLosses(ATObjective):
    def __init__(self, name: str, wrong: Wrong) -> None:
        super().__init__()
        self.name, self.wrong = name, wrong

    def losses(self, network: Any, batch: Any, examples: Any) -> Any:
        right = super().losses(network, batch, examples)
        fields = {"natural": right.natural, "adversarial_logits": right.adversarial_logits}
        fields[self.name] = self.wrong(fields.get(self.name, right.natural))
        return LossTerms(**fields)


class OddWeighting(ClassWeighting):
    def __init__(self, wrong: Wrong) -> None:
        super().__init__()
        self.wrong = wrong

    def combine(self, terms: Any, labels: Any) -> Any:
        return self.wrong(super().combine(terms, labels))


class OddEpsilons(EpsilonScheduler):
    def __init__(self, wrong: Wrong) -> None:
        super().__init__()
        self.wrong = wrong

    def epsilons(self, base: float, statistics: Any) -> Any:
        return self.wrong(np.full(statistics.robust.nb_classes, base))


class OddSampler(TargetSampler):
    def __init__(self, wrong: Wrong) -> None:
        super().__init__()
        self.wrong = wrong

    def sample(self, labels: Tensor, **_: Any) -> Any:
        return self.wrong((labels + 1) % self.nb_classes)


def raises(_: Any) -> Any:
    raise ArithmeticError("of its own")


# For each kind of answer: what may come instead of it.
IMAGES = {
    "one image for all": lambda x: x[:1],
    "one too few": lambda x: x[:-1],
    "flat": lambda x: x.flatten(1),
    "integers": lambda x: (255 * x).long(),
    "numpy": lambda x: x.detach().numpy(),
    "a list": lambda x: [x],
    "nothing": lambda x: None,
    "no tensor at all": lambda x: (),
    "an exception": raises,
}
PER_SAMPLE = {
    "a column": lambda loss: loss[:, None],
    "a scalar": lambda loss: loss.mean(),
    "one too few": lambda loss: loss[:-1],
    "integers": lambda loss: loss.long(),
    "a number": lambda loss: 0.5,
    "an exception": raises,
}
LOGITS = {
    "one class too few": lambda logits: logits[:, :-1],
    "one class too many": lambda logits: torch.cat([logits, logits[:, :1]], dim=1),
    "flat": lambda logits: logits.flatten(),
    "transposed": lambda logits: logits.T,
    "an exception": raises,
}
SCALAR = {
    "a vector": lambda loss: loss.expand(3),
    "a number": lambda loss: float(loss),
    "without gradient": lambda loss: loss.detach(),
    "nothing": lambda loss: None,
    "an exception": raises,
}
CLASSES = {
    "one too many": lambda values: np.append(values, 1.0),
    "NaN": lambda values: values * np.nan,
    "negative": lambda values: -1.0 - values,
    "a matrix": lambda values: np.diag(values),
    "words": lambda values: ["much"] * len(values),
    "an exception": raises,
}
TARGETS = {
    "ignored by cross-entropy": lambda targets: torch.full_like(targets, -100),
    "above": lambda targets: targets + 100,
    "floats": lambda targets: targets.float(),
    "short integers": lambda targets: targets.int(),
    "one too few": lambda targets: targets[:-1],
    "a list": lambda targets: targets.tolist(),
    "an exception": raises,
}

PARTS: dict[str, tuple[str, Callable[[Wrong], Any], Callable[[Any], None], dict[str, Wrong], str]] = {
    "examples": ("objective", OddExamples, check_objective, IMAGES, r"OddExamples: examples\(\)"),
    "natural loss": ("objective", lambda w: OddLosses("natural", w), check_objective, PER_SAMPLE, r"OddLosses: losses\(\)"),
    "boundary loss": ("objective", lambda w: OddLosses("boundary", w), check_objective, PER_SAMPLE, r"OddLosses: losses\(\)"),
    "extra loss": ("objective", lambda w: OddLosses("extra", w), check_objective, PER_SAMPLE, r"OddLosses: losses\(\)"),
    "logits": ("objective", lambda w: OddLosses("adversarial_logits", w), check_objective, LOGITS, r"OddLosses: losses\(\)"),
    "loss": ("class_weighting", OddWeighting, check_class_weighting, SCALAR, r"OddWeighting: combine\(\)"),
    "epsilons": ("epsilon_scheduler", OddEpsilons, check_epsilon_scheduler, CLASSES, r"OddEpsilons: epsilons\(\)"),
    "targets": ("target_sampler", OddSampler, check_target_sampler, TARGETS, r"OddSampler: sample\(\)"),
}  # fmt: skip
WRONG = [(part, answer) for part, (_, _, _, answers, _) in PARTS.items() for answer in answers]


@pytest.mark.parametrize(("part", "answer"), WRONG)
def test_training_refuses_it_and_names_part_and_method(part: str, answer: str, make_classifier: Make, make_data: Make):
    kind, make, _, answers, message = PARTS[part]
    trainer = FairnessTrainer(make_classifier(), **{kind: make(answers[answer])})
    with pytest.raises(PolicyError, match=message) as caught:
        # A last batch of another size, so that no shape fits by chance.
        trainer.fit(*make_data(22), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    if answer == "an exception":
        assert "raised ArithmeticError: of its own" in str(caught.value)
    else:
        assert "got" in str(caught.value)


@pytest.mark.parametrize(("part", "answer"), WRONG)
def test_the_conformance_check_refuses_it_too(part: str, answer: str):
    _, make, check, answers, _ = PARTS[part]
    with pytest.raises((AssertionError, PolicyError, ArithmeticError)):
        check(make(answers[answer]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.integers(0, 9), max_size=4), dtype=st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool])
)
def test_no_shape_but_the_right_one_is_trained_on(shape: list[int], dtype: torch.dtype, make_classifier: Make, make_data: Make):
    objective = OddLosses("natural", lambda loss: (torch.zeros(shape) + loss.sum()).to(dtype))
    trainer = FairnessTrainer(make_classifier(), objective=objective)
    right = shape == [8] and dtype.is_floating_point
    with (
        contextlib.nullcontext()
        if right
        else pytest.raises(PolicyError, match=r"OddLosses: losses\(\) must return one natural loss")
    ):
        trainer.fit(*make_data(8), batch_size=8, nb_epochs=1, seed=0, verbose=False)


def test_a_perturbation_that_is_no_context_is_named(make_classifier: Make, make_data: Make):
    class Odd(WeightPerturbation):
        def perturbed(self, module: Any, loss: Any, *, epoch: int) -> Any:
            return 3

    with pytest.raises(PolicyError, match=r"Odd: perturbed\(\) must be a context manager, got a int"):
        FairnessTrainer(make_classifier(), weight_perturbation=Odd()).fit(*make_data(8), batch_size=8, nb_epochs=1, verbose=False)


@pytest.mark.parametrize("wrong", [lambda x: x[:1], lambda x: x.numpy(), lambda x: (255 * x).byte()])
def test_an_augmentation_keeps_the_shape(wrong: Wrong, make_classifier: Make, make_data: Make):
    def odd(x: Tensor, generator: Any) -> Any:
        return wrong(x)

    trainer = FairnessTrainer(make_classifier(), augmentation=odd)
    with pytest.raises(PolicyError, match=r"augmentation .*odd must return floating-point images \(8, 1, 8, 8\)"):
        trainer.fit(*make_data(8), batch_size=8, nb_epochs=1, verbose=False)


def test_errors_of_the_users_model_come_through_as_they_are(make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    trainer = FairnessTrainer(classifier)
    classifier.model.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(ArithmeticError("in the model")))
    with pytest.raises(ArithmeticError, match="in the model"):
        trainer.fit(*make_data(8), batch_size=8, nb_epochs=1, verbose=False)
