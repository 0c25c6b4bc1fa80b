"""Training with budgets in L2: every example's ball, what is measured, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.attacks.evasion import CarliniL2Method, FastGradientMethod, ProjectedGradientDescent
from torch import Tensor, nn

from fairart import create
from fairart.attacks import fgsm, pgd
from fairart.engine import CheckpointError, Checkpointing
from fairart.engine.meter import EpochMeter
from fairart.objectives import ATObjective, Batch
from fairart.plugins import registered
from fairart.policies import EpsilonScheduler, LossTerms
from fairart.statistics import EpochStatistics
from fairart.trainers import ATTrainer, FairnessTrainer, FastATTrainer, StandardTrainer

Make = Callable[..., Any]
EPS = 0.8
FIT = {"batch_size": 12, "nb_epochs": 2, "seed": 0, "verbose": False}


class ByClass(EpsilonScheduler):
    """Fixed budgets from the second epoch on, one class without any."""

    def epsilons(self, base: float, statistics: EpochStatistics) -> Any:
        return np.array([0.0, 0.5, 2.0]) * base


class Rogue(ATObjective):
    """Hands back examples far outside the ball, and keeps those that it is then given to train on."""

    seen: list[tuple[Batch, Tensor]]

    def examples(self, network: nn.Module, batch: Batch) -> Tensor:
        return batch.x + 5 * torch.randn(batch.x.shape, generator=batch.generator)

    def losses(self, network: nn.Module, batch: Batch, examples: tuple[Tensor, ...]) -> LossTerms:
        self.seen.append((batch, examples[0]))
        return super().losses(network, batch, examples)


def lengths(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)


def test_a_rogue_objective_cannot_leave_a_sample_s_ball(make_classifier: Make, make_data: Make):
    rogue = Rogue()
    rogue.seen = []
    classifier = make_classifier(clip_values=None)
    trainer = FairnessTrainer(classifier, objective=rogue, epsilon_scheduler=ByClass(), eps=EPS, norm="L2")
    trainer.fit(*make_data(24), **FIT)
    for batch, made in rogue.seen:
        budgets = torch.full((3,), EPS) if batch.epoch == 0 else torch.tensor([0.0, 0.5, 2.0]) * EPS
        assert batch.norm == 2
        torch.testing.assert_close(lengths(made - batch.x), budgets[batch.y], atol=1e-5, rtol=0)


def test_every_objective_uses_the_ball_and_stays_in_it(make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch):
    for name in registered("objective"):
        objective = create("objective", name)
        if 2 not in objective.norms or not objective.perturbs:
            continue
        seen, losses = [], objective.losses

        def noted(network: Any, batch: Batch, examples: Any, *, seen: Any = seen, losses: Any = losses) -> LossTerms:
            seen.extend((lengths(one - batch.x) / batch.eps, one) for one in examples)
            return losses(network, batch, examples)

        monkeypatch.setattr(objective, "losses", noted)
        trainer = FairnessTrainer(make_classifier(), objective=objective, eps=EPS, max_iter=4, norm=2)
        trainer.fit(*make_data(24), **FIT)
        shares = torch.cat([share for share, _ in seen])
        assert float(shares.max()) <= 1 + 1e-5, name
        assert float(shares.max()) > 0.4, f"{name}: the ball is used, not an L-inf step cut down"
        images = torch.cat([one for _, one in seen])
        assert 0.0 <= float(images.min()) <= float(images.max()) <= 1.0, name


def test_validation_attacks_in_the_norm(make_classifier: Make, make_data: Make):
    """On a linear model without a step of learning: the accuracy under the best attack is known."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    (x, y), held = make_data(24, 2), make_data(60, 2, seed=4)
    classifier = make_classifier(2, model=model, lr=0.0, clip_values=None)
    trainer = ATTrainer(classifier, eps=0.3, norm=2)
    trainer.fit(x, y, validation_data=held, **{**FIT, "nb_epochs": 1})
    inputs, labels = torch.tensor(held[0]), torch.tensor(held[1])
    towards = model[1].weight.detach()[1 - labels] - model[1].weight.detach()[labels]
    worst = inputs + 0.3 * (towards / towards.norm(dim=1, keepdim=True)).view_as(inputs)
    expected = float((model(worst).argmax(dim=1) == labels).double().mean())
    clean = float((model(inputs).argmax(dim=1) == labels).double().mean())
    validation = trainer.history[0].statistics.validation
    assert validation.robust.accuracy == pytest.approx(expected, abs=1 / 60)
    assert expected < clean - 0.05


def test_the_watch_and_the_pass_over_the_training_data_attack_in_the_norm(
    make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    from fairart.engine import validation

    norms: list[float] = []

    def attack(*arguments: Any, **options: Any) -> Any:
        norms.append(options["norm"])
        return pgd(*arguments, **options)

    # What attacks between epochs; the inner attack of a batch is called elsewhere.
    monkeypatch.setattr(validation, "pgd", attack)
    create("trainer", "at", classifier=make_classifier(), eps=0.1, norm=2, max_iter=1).fit(*make_data(24), **FIT)
    assert set(norms) == {2}
    norms.clear()
    create("trainer", "csr", classifier=make_classifier(), eps=0.1, norm=2, max_iter=2).fit(*make_data(24), **FIT)
    assert set(norms) == {2}


@pytest.mark.parametrize(("norm", "expected"), [("inf", 8 / 255), (math.inf, 8 / 255), (2, 128 / 255), ("L2", 128 / 255)])
def test_the_budget_where_none_is_named(norm: Any, expected: float, make_classifier: Make):
    budget = ATTrainer(make_classifier(), norm=norm).budget
    assert (budget.eps, budget.eps_step) == (expected, expected / 4)
    assert budget.norm == (math.inf if norm in ("inf", math.inf) else 2)


def test_the_change_is_measured_in_the_norm():
    meter = EpochMeter(2, torch.device("cpu"), frozenset())
    change = torch.tensor([[0.3, -0.4], [0.0, 0.1], [-0.6, 0.0]])
    meter.add_change(change, torch.tensor([0, 1, 1]), 2)
    np.testing.assert_allclose(meter.largest_changes(), [0.5, 0.6], rtol=1e-6)


@pytest.mark.parametrize("name", ["fgsm-rs", "n-fgsm"])
def test_single_steps_that_are_defined_in_linf_are_refused(name: str, make_classifier: Make):
    with pytest.raises(ValueError, match=rf"norm: objective '{name}'.*defined for budgets in L-inf alone, got norm=2"):
        FairnessTrainer(make_classifier(), objective=name, norm=2)
    assert FastATTrainer(make_classifier(), norm="Linf").budget.norm == math.inf


@pytest.mark.parametrize("norm", [1, "l1", None, True, float("nan")])
def test_another_norm_is_refused(norm: Any, make_classifier: Make):
    with pytest.raises(ValueError, match="norm"):
        ATTrainer(make_classifier(), norm=norm)


def test_an_art_attack_in_another_norm_is_refused(make_classifier: Make):
    classifier = make_classifier()
    attack = ProjectedGradientDescent(classifier, eps=EPS, eps_step=0.2, norm=2, verbose=False)
    with pytest.raises(ValueError, match=r"ProjectedGradientDescent measures eps in norm=2, and the budget is in norm=inf"):
        ATTrainer(classifier, attack=attack, eps=EPS)
    with pytest.raises(ValueError, match=r"FastGradientMethod measures eps in norm=inf, and the budget is in norm=2"):
        ATTrainer(classifier, attack=FastGradientMethod(classifier, eps=EPS), eps=EPS, norm=2)
    # It has no eps: what it finds is cut off at any budget.
    ATTrainer(classifier, attack=CarliniL2Method(classifier, verbose=False), eps=EPS)


@pytest.mark.parametrize("starts", [0, 1])
def test_class_wise_budgets_reach_an_art_attack_in_l2(
    starts: int, make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    classifier = make_classifier(clip_values=None)
    attack = ProjectedGradientDescent(
        classifier, eps=EPS, eps_step=2.0, max_iter=2, norm=2, num_random_init=starts, verbose=False
    )
    made, generate = [], attack.generate

    def noted(x: Any, y: Any = None, **options: Any) -> Any:
        out = generate(x=x, y=y, **options)
        made.append((y.argmax(axis=1), np.linalg.norm((out - x).reshape(len(x), -1), axis=1)))
        return out

    monkeypatch.setattr(attack, "generate", noted)
    trainer = ATTrainer(classifier, attack=attack, eps=EPS, norm=2, epsilon_scheduler=ByClass())
    trainer.fit(*make_data(24), **{**FIT, "batch_size": 24})
    first = 1 if starts == 0 else next(i for i in range(1, len(made)) if len(made[i][0]) < 24)
    for labels, moved in made[first:]:
        np.testing.assert_allclose(moved, (np.array([0.0, 0.5, 2.0]) * EPS)[labels], atol=1e-5)
    np.testing.assert_allclose(made[0][1], EPS, atol=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # ART's, for the class without a budget
def test_an_art_attack_trains_to_the_weights_of_the_built_in_one(make_classifier: Make, make_data: Make, weights_of: Make):
    """One full step from the clean input, eval mode: the two roads must meet."""

    def run(own: bool) -> dict[str, Tensor]:
        classifier, part = make_classifier(), create("objective", "at", attack_mode="eval")
        if own:
            part.examples = lambda network, batch: fgsm(network, batch.x, batch.y, eps=batch.eps, norm=batch.norm)
        attack = None if own else FastGradientMethod(classifier, eps=EPS, norm=2)
        trainer = FairnessTrainer(classifier, objective=part, attack=attack, epsilon_scheduler=ByClass(), eps=EPS, norm=2)
        trainer.fit(*make_data(18), **{**FIT, "batch_size": 9})
        return weights_of(classifier)

    first, second = run(True), run(False)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_of_another_norm_is_refused(make_classifier: Make, make_data: Make, tmp_path: Any):
    checkpoint = Checkpointing(tmp_path, resume=True)
    ATTrainer(make_classifier(), eps=0.1).fit(*make_data(24), checkpoint=checkpoint, **FIT)
    with pytest.raises(CheckpointError, match="norm was inf, is 2"):
        ATTrainer(make_classifier(), eps=0.1, norm=2).fit(*make_data(24), checkpoint=checkpoint, **FIT)


def test_the_norm_stands_in_the_repr_and_clean_training_takes_it(make_classifier: Make):
    trainer = StandardTrainer(make_classifier(), norm=2, eps=0.5)
    assert "eps=0.5, eps_step=0.125, max_iter=10, norm=2" in repr(trainer)
    assert "norm" not in repr(StandardTrainer(make_classifier()))
