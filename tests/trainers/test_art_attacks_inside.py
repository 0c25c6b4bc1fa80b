from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.attacks.evasion import (
    AutoAttack,
    AutoProjectedGradientDescent,
    DeepFool,
    FastGradientMethod,
    ProjectedGradientDescent,
)
from art.estimators.classification import PyTorchClassifier

from fairart import create
from fairart.policies import EpsilonScheduler, TargetSampler
from fairart.statistics import EpochStatistics
from fairart.trainers import ATTrainer, FairnessTrainer, StandardTrainer

Make = Callable[..., Any]
EPS = 0.1


class ByClass(EpsilonScheduler):
    """Budgets 0.5, 1 and 2 times the base from the second epoch on."""

    def epsilons(self, base: float, statistics: EpochStatistics) -> Any:
        return np.array([0.5, 1.0, 2.0]) * base


class Mixed(TargetSampler):
    """Class 0 is attacked untargeted, the others aim at the class before."""

    def sample(self, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        return (labels - 1).clamp_min(0)


def pgd(classifier: PyTorchClassifier) -> ProjectedGradientDescent:
    return ProjectedGradientDescent(classifier, eps=EPS, eps_step=0.3, max_iter=2, num_random_init=1, verbose=False)


def fgm(classifier: PyTorchClassifier) -> FastGradientMethod:
    return FastGradientMethod(classifier, eps=EPS, num_random_init=1)


def apgd(classifier: PyTorchClassifier) -> AutoProjectedGradientDescent:
    return AutoProjectedGradientDescent(classifier, eps=EPS, eps_step=0.05, max_iter=3, nb_random_init=1, verbose=False)


def deepfool(classifier: PyTorchClassifier) -> DeepFool:
    return DeepFool(classifier, max_iter=3, nb_grads=3, verbose=False)


def plain_pgd(classifier: PyTorchClassifier) -> ProjectedGradientDescent:
    return ProjectedGradientDescent(classifier, eps=EPS, eps_step=0.3, max_iter=2, verbose=False)


ATTACKS = [pgd, plain_pgd, fgm, apgd, deepfool]
AIMING = [pgd, plain_pgd, fgm, apgd]
named = {"ids": lambda make: make.__name__}


@pytest.fixture
def make_learnt(make_classifier: Make, make_data: Make) -> Callable[..., PyTorchClassifier]:
    """A classifier that is right on most samples and stays so: APGD leaves alone what is wrong already."""

    def make() -> PyTorchClassifier:
        classifier = make_classifier()
        StandardTrainer(classifier).fit(*make_data(90), batch_size=10, nb_epochs=5, seed=0, verbose=False)
        classifier.optimizer.param_groups[0]["lr"] = 0.0
        return classifier

    return make


class Calls:
    """Notes what an attack is asked and what it answers."""

    def __init__(self, attack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[dict[str, Any]] = []
        generate = attack.generate

        def noted(x: Any, y: Any = None, **options: Any) -> Any:
            out = generate(x=x, y=y, **options)
            moved = np.abs(out - x).reshape(len(x), -1).max(axis=1)
            self.made.append({"aims": y.argmax(axis=1), "targeted": attack.targeted, "moved": moved, "rows": len(x)})
            return out

        monkeypatch.setattr(attack, "generate", noted)


def parameters_of(attack: Any) -> dict[str, Any]:
    inner = getattr(attack, "_attack", attack)
    return {name: getattr(inner, name, None) for name in attack.attack_params}


@pytest.mark.parametrize("make", ATTACKS, **named)
@pytest.mark.parametrize("objective", ["at", "trades"])
def test_any_art_attack_trains_within_the_budget(
    make: Make, objective: str, make_learnt: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    classifier = make_learnt()
    attack = make(classifier)
    before = parameters_of(attack)
    trainer = FairnessTrainer(classifier, objective=objective, attack=attack, epsilon_scheduler=ByClass(), eps=EPS)
    part, seen = trainer.method.objective, []
    losses = part.losses
    monkeypatch.setattr(
        part, "losses", lambda network, batch, made: seen.append((batch, made[0])) or losses(network, batch, made)
    )
    trainer.fit(*make_data(18), batch_size=9, nb_epochs=2, seed=0, verbose=False)
    assert len(seen) == 4
    for batch, made in seen:
        moved = (made - batch.x).abs().amax(dim=(1, 2, 3))
        assert bool((moved <= batch.eps + 1e-6).all())
        assert float(moved.max()) > 0
    assert parameters_of(attack) == before, "the attack's own parameters are put back"


@pytest.mark.parametrize("make", [pgd, plain_pgd, fgm, apgd], **named)
def test_class_wise_budgets_reach_the_attack_itself(
    make: Make, make_learnt: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    classifier = make_learnt()
    attack = make(classifier)
    calls = Calls(attack, monkeypatch)
    trainer = ATTrainer(classifier, attack=attack, epsilon_scheduler=ByClass(), eps=EPS)
    trainer.fit(*make_data(30), batch_size=30, nb_epochs=2, seed=0, verbose=False)
    second = calls.made[1:]
    # An array of eps where ART can take one, else class by class.
    assert len(second) == (1 if make is plain_pgd else 3)
    for label, budget in enumerate([0.05, 0.1, 0.2]):
        moved = np.concatenate([call["moved"][call["aims"] == label] for call in second])
        assert len(moved) == 10
        assert moved.max() <= budget + 1e-6
        assert moved.max() > 0.8 * budget


@pytest.mark.filterwarnings("ignore:attack=AutoProjectedGradientDescent, the inner attack:UserWarning")
@pytest.mark.parametrize("make", AIMING, **named)
def test_targeted_and_untargeted_examples_of_one_batch_are_made_apart(
    make: Make, make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
):
    classifier = make_classifier()
    attack = make(classifier)
    calls = Calls(attack, monkeypatch)
    trainer = ATTrainer(classifier, attack=attack, target_sampler=Mixed(), eps=EPS)
    trainer.fit(*make_data(18), batch_size=18, nb_epochs=1, seed=0, verbose=False)
    aims = {goal: np.concatenate([c["aims"] for c in calls.made if c["targeted"] is goal]) for goal in (False, True)}
    assert aims[False].tolist() == [0] * 6, "class 0 moves away from its own label"
    assert sorted(aims[True].tolist()) == [0] * 6 + [1] * 6
    assert attack.targeted is False


@pytest.mark.parametrize("make", [pgd, fgm], **named)
def test_targeted_examples_move_towards_their_target(make: Make, make_learnt: Make, make_data: Make):
    def robust(attack_options: dict[str, Any]) -> np.ndarray:
        classifier = make_learnt()
        trainer = ATTrainer(classifier, attack=make(classifier), eps=0.3, **attack_options)
        trainer.fit(*make_data(30), batch_size=30, nb_epochs=1, seed=0, verbose=False)
        return trainer.history[0].robust.counts

    class Always2(TargetSampler):
        def sample(self, labels: torch.Tensor, **_: Any) -> torch.Tensor:
            return torch.where(labels == 2, labels, 2)

    aimed, plain = robust({"target_sampler": Always2()}), robust({})
    assert aimed[:2, 2].sum() > plain[:2, 2].sum()


def test_an_attack_that_cannot_aim_is_refused_with_targets(make_classifier: Make):
    classifier = make_classifier()
    with pytest.raises(ValueError, match="DeepFool cannot aim at a class: expected an attack with a 'targeted' parameter"):
        ATTrainer(classifier, attack=deepfool(classifier), target_sampler="cfps")


@pytest.mark.filterwarnings("ignore:attack=AutoProjectedGradientDescent, the inner attack:UserWarning")
@pytest.mark.parametrize("make", ATTACKS, **named)
def test_runs_with_an_art_attack_repeat_with_the_seed(
    make: Make, make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    def run(seed: int) -> dict[str, torch.Tensor]:
        classifier = make_classifier()
        np.random.seed(seed + 100 * random.randrange(100))  # noqa: NPY002  # must not matter
        ATTrainer(classifier, attack=make(classifier), eps=EPS).fit(
            *make_data(18), batch_size=9, nb_epochs=1, seed=seed, verbose=False
        )
        return weights_of(classifier)

    assert same_weights(run(0), run(0))
    assert not same_weights(run(0), run(1))


@pytest.mark.parametrize("make", [pgd, deepfool], **named)
def test_modes_are_restored_although_art_leaves_eval_mode(make: Make, make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    model = classifier.model
    during: list[bool] = []
    model.register_forward_pre_hook(
        lambda module, inputs: during.append(module.training) if torch.is_grad_enabled() and not inputs[0].requires_grad else None
    )
    model.train()
    model.norm.eval()
    trainer = ATTrainer(classifier, attack=make(classifier), eps=EPS)
    during.clear()
    trainer.fit(*make_data(18), batch_size=9, nb_epochs=1, seed=0, verbose=False)
    assert during[-1] is True, "the training step itself is in train mode"
    assert (model.training, model.norm.training, model.linear.training) == (True, False, True)


def test_the_parameters_are_put_back_when_the_attack_raises(make_classifier: Make, make_data: Make, monkeypatch: Any):
    classifier = make_classifier()
    attack = pgd(classifier)
    before = parameters_of(attack)

    def broken(*_: Any, **__: Any) -> None:
        raise ArithmeticError("no example today")

    monkeypatch.setattr(attack, "generate", broken)
    with pytest.raises(ArithmeticError, match="no example today"):
        ATTrainer(classifier, attack=attack, epsilon_scheduler="ccm").fit(
            *make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False
        )
    assert parameters_of(attack) == before


def test_an_art_attack_that_does_nothing_is_named(make_classifier: Make, make_data: Make, monkeypatch: Any):
    classifier = make_classifier()
    attack = pgd(classifier)
    monkeypatch.setattr(attack, "generate", lambda x, y: x)
    with pytest.raises(RuntimeError, match=r"attack=ProjectedGradientDescent, the inner attack, changed no input in epoch 0"):
        ATTrainer(classifier, attack=attack).fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)


def test_what_is_no_attack_is_refused(make_classifier: Make):
    with pytest.raises(TypeError, match=r"attack must be an art.attacks.EvasionAttack, got str"):
        ATTrainer(make_classifier(), attack="pgd")


def test_clean_training_refuses_an_attack_that_it_would_not_use(make_classifier: Make):
    classifier = make_classifier()
    with pytest.raises(ValueError, match="attack: ProjectedGradientDescent would go unused"):
        StandardTrainer(classifier, attack=pgd(classifier))


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_an_art_attack_equals_the_built_in_one_where_both_are_deterministic(
    make_classifier: Make, make_data: Make, weights_of: Make, micro_batches: int
):
    """One full step from the clean input, eval mode: the two roads must meet. ART leaves gradients in the weights behind it."""

    def run(own: bool) -> dict[str, torch.Tensor]:
        classifier = make_classifier()
        part = create("objective", "at", attack_mode="eval")
        attack = None
        if own:
            part.examples = lambda network, batch: torch.clamp(
                batch.x + batch.eps.view(-1, 1, 1, 1) * _sign(network, batch), 0, 1
            )
        else:
            attack = FastGradientMethod(classifier, eps=EPS)
        trainer = FairnessTrainer(
            classifier,
            objective=part,
            attack=attack,
            epsilon_scheduler=ByClass(),
            eps=EPS,
            gradient_accumulation_steps=micro_batches,
        )
        trainer.fit(*make_data(18), batch_size=9, nb_epochs=2, seed=0, verbose=False)
        return weights_of(classifier)

    first, second = run(True), run(False)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-5)


def _sign(network: Any, batch: Any) -> torch.Tensor:
    x = batch.x.clone().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(network(x), batch.y)
    return torch.autograd.grad(loss, x)[0].sign()


class FourBudgets(EpsilonScheduler):
    """A budget of its own for each class from the second epoch on."""

    def epsilons(self, base: float, statistics: EpochStatistics) -> Any:
        return np.array([0.15, 0.2, 0.3, 0.35])


def test_budgets_of_classes_reach_the_attacks_inside_an_ensemble(make_classifier: Make, make_data: Make):
    classifier = make_classifier(4)
    data = make_data(80, 4)
    StandardTrainer(classifier).fit(*data, batch_size=10, nb_epochs=5, seed=0, verbose=False)
    classifier.optimizer.param_groups[0]["lr"] = 0.0
    inner = ProjectedGradientDescent(classifier, eps=0.3, eps_step=0.1, max_iter=6, verbose=False)
    attack = AutoAttack(classifier, eps=0.3, eps_step=0.1, attacks=[inner])
    trainer = ATTrainer(classifier, attack=attack, epsilon_scheduler=FourBudgets(), eps=0.3)
    moved = torch.zeros(4)
    objective, clean = trainer.method.objective, trainer.method.objective.losses

    def watched(network: Any, batch: Any, examples: Any) -> Any:
        largest = (examples[0] - batch.x).abs().flatten(1).amax(dim=1)
        if batch.epoch == 1:
            moved.scatter_reduce_(0, batch.y, largest, "amax")
        return clean(network, batch, examples)

    objective.losses = watched
    trainer.fit(*data, batch_size=20, nb_epochs=2, seed=0, verbose=False)
    np.testing.assert_allclose(moved, [0.15, 0.2, 0.3, 0.35], atol=1e-5)
    # The user's attacks are as they were.
    assert (attack.eps, inner.eps) == (0.3, 0.3)


def test_a_class_that_an_attack_leaves_alone_is_named(make_classifier: Make, make_data: Make):
    class Partial(ProjectedGradientDescent):
        """Leaves class 1 as it is."""

        def generate(self, x: Any, y: Any = None, **options: Any) -> Any:
            made = super().generate(x, y, **options)
            made[y.argmax(axis=1) == 1] = x[y.argmax(axis=1) == 1]
            return made

    classifier = make_classifier()
    trainer = ATTrainer(classifier, attack=Partial(classifier, eps=EPS, eps_step=0.05, max_iter=1, verbose=False), eps=EPS)
    with pytest.warns(UserWarning, match=r"attack=Partial, the inner attack, changed no input of class 1 in epoch 0"):
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=1, seed=0, verbose=False)
