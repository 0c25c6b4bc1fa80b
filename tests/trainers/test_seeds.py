from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fairart import create
from fairart.trainers import FairTATTrainer, StandardTrainer

Make = Callable[..., Any]
FULL: dict[str, Any] = {"objective": "trades", "augmentation": "crop-flip", "hold_out": 0.2}


@pytest.fixture
def run(make_classifier: Make, make_data: Make, weights_of: Make) -> Callable[..., Any]:
    def train(seed: int | None, *, model: nn.Module | None = None, nb_epochs: int = 2, **options: Any) -> Any:
        classifier = make_classifier(model=model)
        if "hold_out" in options:
            options = {**options, "averaging": create("averaging", "fawa", threshold=0)}
        trainer = FairTATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2, **options)
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=nb_epochs, seed=seed, verbose=False)
        return weights_of(classifier), trainer

    return train


@pytest.mark.parametrize("options", [{}, FULL], ids=["plain", "everything random"])
def test_one_seed_gives_the_same_weights_twice_whatever_the_global_state(options: dict[str, Any], run: Make, same_weights: Make):
    torch.manual_seed(1)
    first, _ = run(5, **options)
    torch.manual_seed(2)
    second, trainer = run(5, **options)
    assert same_weights(first, second)
    assert trainer.seed == 5
    assert not same_weights(first, run(6, **options)[0])


def test_dropout_follows_the_seed(run: Make, same_weights: Make):
    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))

    first, second, other = (run(seed, model=model())[0] for seed in (3, 3, 4))
    assert same_weights(first, second)
    assert not same_weights(first, other)


GLOBAL: dict[str, Callable[[], float]] = {
    "python": random.random,
    "numpy": lambda: float(np.random.rand()),  # noqa: NPY002  # a user's function may draw from it
    "torch": lambda: float(torch.rand(())),
}


@pytest.mark.parametrize("source", GLOBAL)
def test_what_draws_from_the_global_states_follows_the_seed_too(source: str, make_classifier: Make, make_data: Make):
    def draws(*seeds: int) -> list[list[float]]:
        drawn: list[float] = []
        trainer = StandardTrainer(make_classifier(), augmentation=lambda x, _: drawn.append(GLOBAL[source]()) or x)
        for seed in seeds:
            trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=seed, verbose=False)
        return [drawn[:2], drawn[2:]]

    first, again = draws(5, 5)
    assert draws(5)[0] == first
    assert draws(6)[0] != first
    assert again != first, "a second fit goes on, it does not repeat"


def test_without_a_seed_runs_differ_and_the_one_drawn_is_kept(run: Make, same_weights: Make):
    (first, trainer), (second, other) = run(None), run(None)
    assert trainer.seed != other.seed
    assert not same_weights(first, second)
    assert same_weights(first, run(trainer.seed)[0])


def test_a_second_fit_with_the_same_seed_draws_other_numbers(make_classifier: Make, make_data: Make):
    orders: list[torch.Tensor] = []
    classifier = make_classifier(lr=0.0)
    trainer = StandardTrainer(classifier, augmentation=lambda x, generator: orders.append(x) or x)
    for _ in range(2):
        trainer.fit(*make_data(12), batch_size=12, nb_epochs=1, seed=0, verbose=False)
    assert not torch.equal(*orders)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True])
def test_a_seed_must_be_a_whole_number_that_is_not_negative(seed: Any, run: Make):
    with pytest.raises(ValueError, match=f"seed must be an integer >= 0 or None, got {seed!r}"):
        run(seed)
