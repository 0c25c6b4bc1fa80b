"""Trainers are copied and pickled with their classifier, and go on training as the original does."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art import config
from art.attacks.evasion import FastGradientMethod

from fairart.trainers import ATTrainer, FairTATTrainer, TRADESTrainer

Make = Callable[..., Any]


def through_pickle(trainer: Any) -> Any:
    return pickle.loads(pickle.dumps(trainer))  # noqa: S301  # made here


COPIES = {"pickle": through_pickle, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_goes_on_as_the_original_does(
    how: str, make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make, tmp_path: Any, monkeypatch: Any
):
    monkeypatch.setattr(config, "ART_DATA_PATH", str(tmp_path))
    classifier = make_classifier(preprocessing=(np.array([0.5]), np.array([0.25])))
    trainer = FairTATTrainer(classifier, averaging="ema", eps=0.1, eps_step=0.05, max_iter=2)
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    before = weights_of(classifier)
    other = COPIES[how](trainer)
    assert not list(tmp_path.iterdir())  # ART's own way would leave files here
    assert same_weights(weights_of(other.get_classifier()), before)
    assert other.history == trainer.history
    other.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=1, verbose=False)
    assert same_weights(weights_of(classifier), before)
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=1, verbose=False)
    assert same_weights(weights_of(classifier), weights_of(other.get_classifier()))
    x = make_data(6, seed=3)[0]
    np.testing.assert_array_equal(trainer.predict(x), other.predict(x))


@pytest.mark.parametrize("how", COPIES)
def test_the_optimizer_of_a_copy_trains_the_network_of_the_copy(how: str, make_classifier: Make):
    other = COPIES[how](TRADESTrainer(make_classifier()))
    classifier = other.get_classifier()
    trained = {id(p) for group in classifier.optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in classifier.model.parameters()}
    assert other._network.module is classifier.model


def test_with_an_attack_of_art_it_is_refused_in_one_line(make_classifier: Make):
    classifier = make_classifier()
    trainer = ATTrainer(classifier, attack=FastGradientMethod(classifier))
    with pytest.raises(TypeError, match="attack=FastGradientMethod cannot be copied or pickled"):
        pickle.dumps(trainer)


def test_repr_names_method_parts_budget_and_epochs(make_classifier: Make, make_data: Make):
    trainer = FairTATTrainer(make_classifier(), averaging="ema", eps=8 / 255, max_iter=4)
    assert repr(trainer) == (
        "FairTATTrainer(objective=at, target_sampler=cfps, epsilon_scheduler=ccm, class_weighting=uniform, averaging=ema; "
        "eps=0.03137, eps_step=0.007843, max_iter=4; 0 epochs trained)"
    )
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert repr(trainer).endswith("1 epochs trained)")
    assert torch.is_tensor(next(trainer.get_classifier().model.parameters()))
