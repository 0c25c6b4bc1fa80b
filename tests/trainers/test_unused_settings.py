"""Settings that would go unused are said, those that are used are not."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from fairart import create
from fairart.trainers import ATTrainer, CFATrainer, DAFATrainer, FAALTrainer, FairTATTrainer, FastATTrainer, FRLTrainer


def told(trainer: Any, data: tuple[Any, Any], nb_epochs: int = 2) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        trainer.fit(*data, batch_size=8, nb_epochs=nb_epochs, seed=0, verbose=False)
    assert all(one.filename == __file__ for one in caught)
    return [str(one.message) for one in caught if "unused" in str(one.message) or "does nothing" in str(one.message)]


@pytest.mark.parametrize(
    ("method", "options", "parts"),
    [
        (DAFATrainer, {"warm_up": 2}, ["epsilon_scheduler 'dafa'", "class_weighting 'dafa'"]),
        (FRLTrainer, {"warm_up": 70}, ["epsilon_scheduler 'frl'", "class_weighting 'frl'"]),
        (FAALTrainer, {"warm_up": 3}, ["class_weighting 'faal'"]),
        (CFATrainer, {"start_epoch": 10, "averaging": None}, ["epsilon_scheduler 'ccm'", "class_weighting 'ccr'"]),
        (ATTrainer, {"weight_perturbation": ("awp", 5)}, ["weight_perturbation 'awp'"]),
    ],
)
def test_a_part_that_sets_in_after_the_end_says_so(
    method: Any, options: dict[str, Any], parts: list[str], make_classifier: Any, make_data: Any
) -> None:
    if "weight_perturbation" in options:
        options = {"weight_perturbation": create("weight_perturbation", "awp", warm_up=5)}
    said = told(method(make_classifier(), max_iter=2, eps=0.1, eps_step=0.05, hold_out=0.3, **options), make_data(32))
    assert len(said) == len(parts)
    assert all(part in text and "does nothing in this run of 2 epochs" in text for part, text in zip(parts, said, strict=True))


def test_parts_that_set_in_are_not_named(make_classifier: Any, make_data: Any) -> None:
    budget = {"max_iter": 2, "eps": 0.1, "eps_step": 0.05}
    for trainer in (
        DAFATrainer(make_classifier(), warm_up=1, **budget),
        FairTATTrainer(make_classifier(), **budget),
        FastATTrainer(make_classifier(), on_overfitting="return", **budget),
        ATTrainer(make_classifier(), on_overfitting="ignore", eps=0.1, eps_step=0.1, max_iter=1),
    ):
        assert told(trainer, make_data(32)) == []


def test_a_default_is_no_choice(make_classifier: Any, make_data: Any) -> None:
    trainer = FairTATTrainer(make_classifier(), max_iter=2, eps=0.1, eps_step=0.05)
    assert told(trainer, make_data(32), nb_epochs=1) == []


def test_a_second_fit_counts_the_epochs_of_the_first(make_classifier: Any, make_data: Any) -> None:
    trainer = DAFATrainer(make_classifier(), warm_up=2, max_iter=2, eps=0.1, eps_step=0.05)
    assert len(told(trainer, make_data(32))) == 2
    assert told(trainer, make_data(32)) == []


def test_a_watch_that_nothing_needs_is_named(make_classifier: Any, make_data: Any) -> None:
    trainer = ATTrainer(make_classifier(), max_iter=2, eps=0.1, eps_step=0.05, on_overfitting="return")
    assert told(trainer, make_data(16)) == [
        "on_overfitting='return' goes unused: only training with one gradient a batch is watched"
    ]
