from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.defences.trainer import Trainer

from fairart import create
from fairart.plugins import registered
from fairart.trainers import FairnessTrainer, FairTATTrainer

Make = Callable[..., Any]
TRAINERS = sorted(name for name, entry in registered("trainer").items() if entry.plugin == "fairart")


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("nb_classes", [2, 3, 10])
@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_runs_two_epochs_and_batch_norm_learns(
    name: str, nb_classes: int, make_classifier: Make, make_data: Make, weights_of: Make
):
    classifier = make_classifier(nb_classes, lr=0.02)
    trainer = registered("trainer")[name].load()(classifier, eps=0.1, eps_step=0.05, max_iter=2, hold_out=0.2)
    before = weights_of(classifier)
    x, y = make_data(30, nb_classes)
    trainer.fit(x, y, batch_size=10, nb_epochs=2, seed=0, verbose=False)
    after = weights_of(classifier)
    assert {name for name, value in before.items() if torch.equal(value, after[name])} == set(), "everything moves"
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    assert [record.epoch for record in trainer.history] == [0, 1]
    assert trainer.history[-1].robust.nb_classes == nb_classes
    assert trainer.predict(x).shape == (30, nb_classes)
    assert trainer.get_classifier() is classifier
    assert isinstance(trainer, Trainer)


@pytest.mark.parametrize("averaging", [None, "ema", "fawa"])
@pytest.mark.parametrize("objective", ["at", "trades", "fat"])
def test_fair_tat_over_every_objective_and_averaging(
    objective: str, averaging: str | None, make_classifier: Make, make_data: Make
):
    part = averaging and create("averaging", averaging, **({"threshold": 0} if averaging == "fawa" else {}))
    trainer = FairTATTrainer(
        make_classifier(), objective=objective, averaging=part, eps=0.1, eps_step=0.05, max_iter=2, hold_out=0.2
    )
    trainer.fit(*make_data(30), batch_size=10, nb_epochs=3, seed=0, verbose=False)
    assert [record.averaged for record in trainer.history] == [None if part is None else True] * 3
    assert (trainer.raw_weights is None) is (part is None)
    assert (trainer.history[-1].validation is not None) is (averaging == "fawa")
    assert not np.allclose(trainer.history[-1].epsilons, 0.1)


@pytest.mark.parametrize("name", ["at", "trades", "fat", "fair-tat"])
def test_training_makes_the_model_more_robust(name: str, make_classifier: Make, make_data: Make):
    trainer = registered("trainer")[name].load()(make_classifier(lr=0.02), eps=0.05, eps_step=0.025, max_iter=3)
    held = make_data(60, seed=8)
    trainer.fit(*make_data(90), validation_data=held, batch_size=15, nb_epochs=8, seed=0, verbose=False)
    accuracies = [record.validation.robust.accuracy for record in trainer.history]
    assert accuracies[-1] > 0.9 > accuracies[0]
    assert trainer.history[-1].loss < trainer.history[0].loss


@pytest.mark.parametrize("name", TRAINERS)
def test_the_signature_shows_the_preset_s_own_defaults(name: str):
    factory = registered("trainer")[name].load()
    parameters = inspect.signature(factory).parameters
    assert "unknown" not in parameters
    for part, default in factory.defaults.items():
        assert parameters[part].default == default
    assert "<preset>" not in str(inspect.signature(factory))


def test_a_trainer_of_one_s_own_is_a_class_with_defaults(make_classifier: Make, make_data: Make):
    class Own(FairnessTrainer):
        defaults = {"objective": "trades", "target_sampler": "confusion"}  # noqa: RUF012  # as a user would write it

    trainer = Own(make_classifier(), max_iter=1)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert trainer.history[0].target_probabilities.shape == (3, 3)
    assert Own(make_classifier(), target_sampler=None).method.target_sampler is None


def test_a_misspelt_default_of_a_subclass_is_an_error():
    with pytest.raises(TypeError, match=r"Wrong.defaults: did you mean 'target_sampler'\?, got 'target_samplr'"):
        type("Wrong", (FairnessTrainer,), {"defaults": {"target_samplr": "cfps"}})


def test_options_may_be_written_as_in_a_file(make_classifier: Make, make_data: Make):
    trainer = FairTATTrainer(make_classifier(), eps="8/255", eps_step="2/255", max_iter="3", hold_out="0.25")
    assert (trainer.budget.eps, trainer.budget.eps_step, trainer.budget.max_iter) == (8 / 255, 2 / 255, 3)
    assert trainer.hold_out == 0.25
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)


def test_numpy_numbers_are_numbers(make_classifier: Make, make_data: Make):
    trainer = FairTATTrainer(make_classifier(), eps=np.float32(0.1), max_iter=np.int64(2))
    trainer.fit(*make_data(12), batch_size=np.int64(6), nb_epochs=np.int64(1), seed=np.int64(0), verbose=False)
    assert len(trainer.history) == 1
