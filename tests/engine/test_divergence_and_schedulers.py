from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairart.engine import TrainingDivergedError
from fairart.engine.loop import CHECK_EVERY
from fairart.errors import PolicyError
from fairart.objectives import Batch, StandardObjective
from fairart.policies import LossTerms, TargetSampler
from fairart.trainers import FairnessTrainer, StandardTrainer

Make = Callable[..., Any]


class Breaks(StandardObjective):
    """The loss of one batch of one epoch is spoilt."""

    def __init__(self, epoch: int, batch: int, value: float) -> None:
        self.at, self.value, self.calls = (epoch, batch), value, 0
        self.epoch = -1

    def losses(self, network: nn.Module, batch: Batch, examples: tuple[Tensor, ...]) -> LossTerms:
        terms = super().losses(network, batch, examples)
        self.calls = 0 if batch.epoch != self.epoch else self.calls + 1
        self.epoch = batch.epoch
        if (batch.epoch, self.calls) == self.at:
            return LossTerms(natural=terms.natural * self.value, adversarial_logits=terms.adversarial_logits)
        return terms


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_run_and_names_epoch_and_batch(value: float, make_classifier: Make, make_data: Make):
    trainer = FairnessTrainer(make_classifier(), objective=Breaks(1, 2, value))
    with pytest.raises(TrainingDivergedError, match=r"in epoch 1, batch 2 \(both from 0\).*learning rate \(0.05\)"):
        trainer.fit(*make_data(24), batch_size=6, nb_epochs=3, seed=0, verbose=False)
    assert [record.epoch for record in trainer.history] == [0]


def test_a_long_epoch_is_not_trained_to_its_end_after_it_diverged(make_classifier: Make, make_data: Make):
    objective = Breaks(0, 3, math.nan)
    trainer = FairnessTrainer(make_classifier(), objective=objective)
    with pytest.raises(TrainingDivergedError, match="in epoch 0, batch 3"):
        trainer.fit(*make_data(6 * CHECK_EVERY), batch_size=2, nb_epochs=1, seed=0, verbose=False)
    assert objective.calls + 1 == CHECK_EVERY


def test_divergence_by_a_learning_rate_too_high(make_classifier: Make, make_data: Make):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 3))
    trainer = FairnessTrainer(make_classifier(model=model, lr=1e8), max_iter=1)
    with pytest.raises(TrainingDivergedError, match=r"learning rate \(1e\+08\) is too high"):
        trainer.fit(*make_data(24), batch_size=6, nb_epochs=5, seed=0, verbose=False)


def test_step_lr_is_stepped_once_an_epoch(make_classifier: Make, make_data: Make):
    classifier = make_classifier(lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(classifier.optimizer, step_size=1, gamma=0.1)
    trainer = StandardTrainer(classifier)
    trainer.fit(*make_data(24), batch_size=6, nb_epochs=3, scheduler=scheduler, seed=0, verbose=False)
    np.testing.assert_allclose([record.learning_rate for record in trainer.history], [0.5, 0.05, 0.005])
    assert classifier.optimizer.param_groups[0]["lr"] == pytest.approx(0.0005)


def test_reduce_on_plateau_is_given_the_mean_loss_of_the_epoch(make_classifier: Make, make_data: Make):
    given: list[float] = []

    class Watching(torch.optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics: Any, epoch: Any = None) -> None:
            given.append(metrics)
            super().step(metrics, epoch)

    classifier = make_classifier(lr=0.0)
    scheduler = Watching(classifier.optimizer, patience=0, factor=0.5)
    trainer = StandardTrainer(classifier)
    trainer.fit(*make_data(24), batch_size=6, nb_epochs=3, scheduler=scheduler, seed=0, verbose=False)
    assert given == [record.loss for record in trainer.history]


def test_reduce_on_plateau_lowers_the_rate(make_classifier: Make, make_data: Make):
    classifier = make_classifier(lr=0.01)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(classifier.optimizer, mode="max", patience=0, factor=0.5)
    trainer = StandardTrainer(classifier)
    trainer.fit(*make_data(24), batch_size=6, nb_epochs=4, scheduler=scheduler, seed=0, verbose=False)
    assert trainer.history[-1].learning_rate < 0.01, "the loss falls, and 'max' takes that for a plateau"


def test_anything_with_step_is_a_scheduler(make_classifier: Make, make_data: Make):
    class Foreign:
        def __init__(self) -> None:
            self.steps = 0

        def step(self) -> None:
            self.steps += 1

    foreign = Foreign()
    StandardTrainer(make_classifier()).fit(*make_data(24), batch_size=6, nb_epochs=3, scheduler=foreign, seed=0, verbose=False)
    assert foreign.steps == 3


class OddSampler(TargetSampler):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def sample(self, labels: Tensor, **_: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(labels)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            lambda y: y[:-1], r"sample\(\) must return a tensor \(6,\) torch.int64 on cpu, got a tensor \(5,\)", id="too short"
        ),
        pytest.param(lambda y: y.float(), r"got a tensor \(6,\) torch.float32", id="not integer"),
        pytest.param(lambda y: y.tolist(), r"got a list", id="no tensor"),
        pytest.param(lambda y: y - 1, r"must return classes in \[0, \d+\), got others in epoch 0", id="below"),
        pytest.param(lambda y: torch.full_like(y, -100), r"must return classes in \[0, \d+\)", id="the ignored index"),
        pytest.param(lambda y: y + 100, r"must return classes in \[0, \d+\)", id="above"),
        pytest.param(ZeroDivisionError("oops"), r"sample\(\) raised ZeroDivisionError: oops", id="raises"),
    ],
)
def test_a_sampler_of_a_stranger_is_checked_and_named(answer: Any, message: str, make_classifier: Make, make_data: Make):
    trainer = FairnessTrainer(make_classifier(), target_sampler=OddSampler(answer))
    with pytest.raises(PolicyError, match=f"OddSampler: .*{message}"):
        trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
