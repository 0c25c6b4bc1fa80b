from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fairart import create
from fairart.engine import TrainingDivergedError
from fairart.errors import OptionError, PolicyError
from fairart.objectives import ATObjective
from fairart.policies import LossTerms
from fairart.trainers import ATTrainer, FairnessTrainer, FairTATTrainer

Make = Callable[..., Any]


def global_states() -> list[Any]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  # the state under test
    return [torch.get_rng_state().tolist(), name, keys.tolist(), *rest, random.getstate()]


@pytest.fixture
def untouched() -> Iterator[None]:
    """Fails the test where the global random states have moved."""
    random.seed(11)
    np.random.seed(12)  # noqa: NPY002
    torch.manual_seed(13)
    before = global_states()
    yield
    assert global_states() == before


class Fails(ATObjective):
    """Raises, or diverges, in the second batch."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.calls = how, 0

    def losses(self, network: nn.Module, batch: Any, examples: Any) -> LossTerms:
        self.calls += 1
        torch.rand(3)
        if self.calls == 2 and self.how == "raise":
            raise ArithmeticError("stop here")
        terms = super().losses(network, batch, examples)
        return LossTerms(natural=terms.natural * float("nan"), adversarial_logits=terms.adversarial_logits)


MODES = [
    pytest.param(lambda model: model.train(), id="all train"),
    pytest.param(lambda model: model.eval(), id="all eval"),
    pytest.param(lambda model: (model.train(), model.norm.eval(), model.linear.eval()), id="mixed"),
    pytest.param(lambda model: (model.eval(), model.flat_norm.train()), id="mixed the other way"),
]


def modes_of(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


@pytest.mark.parametrize("set_modes", MODES)
@pytest.mark.usefixtures("untouched")
def test_fit_leaves_random_states_data_and_modes(set_modes: Make, make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    trainer = FairTATTrainer(
        classifier,
        objective="trades",
        target_sampler="runner-up",
        averaging=create("averaging", "fawa", threshold=0),
        augmentation="crop-flip",
        max_iter=2,
    )
    (x, y), held = make_data(24), make_data(9, seed=2)
    before, labels = x.copy(), y.copy()
    set_modes(classifier.model)
    modes = modes_of(classifier.model)
    trainer.fit(x, y, validation_data=held, batch_size=8, nb_epochs=2, seed=0, verbose=False)
    assert modes_of(classifier.model) == modes
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(y, labels)


@pytest.mark.parametrize(("how", "error"), [("raise", PolicyError), ("diverge", TrainingDivergedError)])
@pytest.mark.parametrize("set_modes", MODES[1:3])
@pytest.mark.usefixtures("untouched")
def test_a_fit_that_fails_leaves_them_too(
    how: str, error: type[Exception], set_modes: Make, make_classifier: Make, make_data: Make
):
    classifier = make_classifier()
    trainer = FairnessTrainer(classifier, objective=Fails(how), max_iter=2)
    set_modes(classifier.model)
    modes = modes_of(classifier.model)
    x, y = make_data(24)
    before = x.copy()
    with pytest.raises(error, match=r"stop here|NaN or infinite"):
        trainer.fit(x, y, batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert modes_of(classifier.model) == modes
    np.testing.assert_array_equal(x, before)
    assert all(p.requires_grad and p.grad is None for p in classifier.model.parameters())


@pytest.mark.parametrize("set_modes", MODES)
def test_predict_gives_art_s_logits_and_leaves_modes(set_modes: Make, make_classifier: Make, make_data: Make):
    classifier = make_classifier(preprocessing=(0.4, 0.2))
    trainer = ATTrainer(classifier)
    set_modes(classifier.model)
    modes = modes_of(classifier.model)
    x, _ = make_data(10)
    logits = trainer.predict(x, batch_size=4)
    assert modes_of(classifier.model) == modes
    np.testing.assert_array_equal(logits, make_classifier(preprocessing=(0.4, 0.2)).predict(x))
    assert logits.shape == (10, 3)


def test_making_a_trainer_changes_nothing(make_classifier: Make, weights_of: Make, same_weights: Make):
    classifier = make_classifier(preprocessing=(0.4, 0.2))
    classifier.model.norm.eval()
    modes, weights, states = modes_of(classifier.model), weights_of(classifier), global_states()
    trainer = FairTATTrainer(classifier)
    assert trainer.get_classifier() is classifier
    assert (modes_of(classifier.model), global_states()) == (modes, states)
    assert same_weights(weights, weights_of(classifier))


def test_the_classifier_keeps_its_optimizer_and_the_optimizer_its_state(make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    optimizer = classifier.optimizer
    ATTrainer(classifier, max_iter=1).fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert classifier.optimizer is optimizer
    assert len(optimizer.state) == len(list(classifier.model.parameters())), "momentum is kept for going on"


def test_training_is_silent_without_a_terminal(make_classifier: Make, make_data: Make, capfd: pytest.CaptureFixture[str]):
    for verbose in (True, False):
        ATTrainer(make_classifier(), max_iter=1).fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=verbose)
    assert capfd.readouterr() == ("", "")


def test_predict_leaves_the_global_random_state(make_classifier, make_data):
    x, _ = make_data(12, 3)
    trainer = FairTATTrainer(make_classifier(3))
    before = torch.get_rng_state()
    trainer.predict(x)
    assert torch.equal(before, torch.get_rng_state())


def test_crop_and_flip_want_channels_first(make_classifier):
    classifier = make_classifier(3)
    classifier._channels_first = False
    with pytest.raises(OptionError, match="expects channels first"):
        FairTATTrainer(classifier, augmentation="crop-flip")
