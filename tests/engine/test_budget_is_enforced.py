from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairart.objectives import ATObjective, Batch
from fairart.policies import EpsilonScheduler, LossTerms
from fairart.statistics import EpochStatistics
from fairart.trainers import FairnessTrainer, TRADESTrainer

Make = Callable[..., Any]


class Rogue(ATObjective):
    """Hands back examples far outside the ball, and keeps those that it is then given to train on."""

    def __init__(self, *, several: bool = False) -> None:
        super().__init__()
        self.several = several
        self.seen: list[tuple[Batch, tuple[Tensor, ...]]] = []

    def examples(self, network: nn.Module, batch: Batch) -> Any:
        noise = torch.randn(batch.x.shape, generator=batch.generator)
        made = batch.x + 50 * noise
        return (made, -made) if self.several else made

    def losses(self, network: nn.Module, batch: Batch, examples: tuple[Tensor, ...]) -> LossTerms:
        self.seen.append((batch, examples))
        return super().losses(network, batch, examples)


class ByClass(EpsilonScheduler):
    """Fixed budgets, one class without any."""

    def epsilons(self, base: float, statistics: EpochStatistics) -> Any:
        return np.array([0.0, 0.5, 2.0]) * base


def trained(make_classifier: Make, make_data: Make, rogue: Rogue, **options: Any) -> Rogue:
    classifier = make_classifier(**options)
    trainer = FairnessTrainer(classifier, objective=rogue, epsilon_scheduler=ByClass(), eps=0.1, max_iter=1)
    trainer.fit(*make_data(24), batch_size=12, nb_epochs=2, seed=0, verbose=False)
    np.testing.assert_allclose(trainer.history[1].epsilons, [0.0, 0.05, 0.2])
    return rogue


@pytest.mark.parametrize("several", [False, True])
def test_a_rogue_objective_cannot_leave_a_sample_s_ball_or_the_clip_values(several: bool, make_classifier: Make, make_data: Make):
    rogue = trained(make_classifier, make_data, Rogue(several=several))
    for batch, examples in rogue.seen:
        assert len(examples) == 1 + several
        budgets = torch.full((3,), 0.1) if batch.epoch == 0 else torch.tensor([0.0, 0.05, 0.2])
        torch.testing.assert_close(batch.eps, budgets[batch.y])
        for one in examples:
            moved = (one - batch.x).abs().amax(dim=(1, 2, 3))
            assert bool((moved <= budgets[batch.y] + 1e-6).all())
            assert bool((moved[budgets[batch.y] > 0] > 0.04).all()), "the ball is used, not shrunk"
            assert 0.0 <= float(one.min()) <= float(one.max()) <= 1.0


def test_clip_values_of_each_channel_are_obeyed(make_classifier: Make, make_data: Make):
    low = np.array([0.0, 0.2, 0.0]).reshape(3, 1, 1)
    high = np.array([1.0, 0.8, 0.5]).reshape(3, 1, 1)
    x, y = make_data(24, shape=(3, 8, 8))
    x = (low + (high - low) * x).astype(np.float32)
    rogue = Rogue()
    classifier = make_classifier(input_shape=(3, 8, 8), clip_values=(low, high))
    FairnessTrainer(classifier, objective=rogue, eps=0.3, max_iter=1).fit(x, y, batch_size=8, nb_epochs=1, seed=0, verbose=False)
    made = (
        torch.cat([examples[0] for _, examples in rogue.seen]).amax(dim=(0, 2, 3)),
        torch.cat([examples[0] for _, examples in rogue.seen]).amin(dim=(0, 2, 3)),
    )
    np.testing.assert_allclose(made[0], high.ravel(), atol=1e-6)
    np.testing.assert_allclose(made[1], low.ravel(), atol=1e-6)


def test_without_clip_values_only_the_ball_binds(make_classifier: Make, make_data: Make):
    rogue = trained(make_classifier, make_data, Rogue(), clip_values=None)
    made = torch.cat([examples[0] for _, examples in rogue.seen])
    assert float(made.max()) > 1.0 > 0.0 > float(made.min())


@pytest.mark.parametrize("objective", ["at", "trades", "fat"])
def test_built_in_objectives_keep_class_wise_budgets(
    objective: str, make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    trainer = FairnessTrainer(
        make_classifier(), objective=objective, epsilon_scheduler=ByClass(), eps=0.1, eps_step=0.05, max_iter=3
    )
    part, seen = trainer.method.objective, []
    losses = part.losses
    monkeypatch.setattr(part, "losses", lambda network, batch, made: seen.append((batch, made)) or losses(network, batch, made))
    trainer.fit(*make_data(24), batch_size=12, nb_epochs=2, seed=0, verbose=False)
    last = [(batch, made[0]) for batch, made in seen if batch.epoch == 1]
    moved = torch.cat([(made - batch.x).abs().amax(dim=(1, 2, 3)) for batch, made in last])
    labels = torch.cat([batch.y for batch, _ in last])
    assert float(moved[labels == 0].max()) == 0.0
    assert 0.04 < float(moved[labels == 1].max()) <= 0.05 + 1e-6
    assert 0.1 < float(moved[labels == 2].max()) <= 0.2 + 1e-6


class Idle(ATObjective):
    """An attack that does nothing."""

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        return batch.x


def test_an_attack_that_does_nothing_stops_the_run(make_classifier: Make, make_data: Make):
    trainer = FairnessTrainer(make_classifier(), objective=Idle(), eps=0.1)
    with pytest.raises(
        RuntimeError, match=r"Idle, the inner attack, changed no input in epoch 0 although eps is 0.1: .*eps_step"
    ):
        trainer.fit(*make_data(12), batch_size=6, nb_epochs=2, seed=0, verbose=False)
    assert trainer.history == []


def test_a_budget_of_zero_is_meant(make_classifier: Make, make_data: Make):
    trainer = TRADESTrainer(make_classifier(), eps=0.0)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert trainer.history[0].epsilons.tolist() == [0.0, 0.0, 0.0]


class LeavesOneClass(ATObjective):
    def examples(self, network: Any, batch: Any) -> Tensor:
        made = super().examples(network, batch)
        return torch.where((batch.y == 2)[:, None, None, None], batch.x, made)


def test_an_objective_that_leaves_a_class_alone_stops_the_run(make_classifier: Make, make_data: Make):
    trainer = FairnessTrainer(make_classifier(), objective=LeavesOneClass(), eps=0.1)
    with pytest.raises(RuntimeError, match=r"LeavesOneClass, the inner attack, changed no input of class 2 in epoch 0"):
        trainer.fit(*make_data(12), batch_size=6, nb_epochs=2, seed=0, verbose=False)
