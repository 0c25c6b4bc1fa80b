from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from fairart import create
from fairart.errors import OptionError
from fairart.objectives import Batch, FATObjective
from fairart.trainers import FairnessTrainer

Make = Callable[..., Any]
EPS = 0.3


class Linear(nn.Module):
    """Three fixed classes on two features: what an attack does can be worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[4.0, 0.0], [0.0, 4.0], [-3.0, -3.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def batch_of(n: int = 6, *, targets: list[int] | None = None, max_iter: int = 8, epoch: int = 0, eps: float = EPS) -> Batch:
    return Batch(
        x=torch.full((n, 2), 0.5) + torch.linspace(-0.1, 0.1, n)[:, None] * torch.tensor([1.0, -0.5]),
        y=torch.arange(n) % 3,
        eps=torch.full((n,), eps),
        eps_step=torch.full((n,), eps / 3),
        max_iter=max_iter,
        targets=None if targets is None else torch.tensor(targets),
        epoch=epoch,
        generator=torch.Generator().manual_seed(0),
    )


def loss_towards(network: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    with torch.no_grad():
        return F.cross_entropy(network(x), classes, reduction="none")


@pytest.mark.parametrize(
    ("name", "attacks_in_train_mode"), [("at", True), ("trades", False), ("fat", False)], ids=["at", "trades", "fat"]
)
def test_batch_norm_mode_during_the_attack(
    name: str, attacks_in_train_mode: bool, make_classifier: Make, make_data: Make, make_model: Make
):
    model = make_model(3)
    modes: list[tuple[bool, bool, bool]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        attacking = not next(module.parameters()).requires_grad
        modes.append((attacking, torch.is_grad_enabled(), module.norm.training))

    model.register_forward_pre_hook(note)
    classifier: PyTorchClassifier = make_classifier(model=model)
    trainer = FairnessTrainer(classifier, objective=name, eps=0.1, eps_step=0.05, max_iter=3)
    model.eval()
    modes.clear()
    trainer.fit(*make_data(12), batch_size=12, nb_epochs=1, seed=0, verbose=False)
    inner = [mode for attacking, grad, mode in modes if attacking or not grad]
    outer = [mode for attacking, grad, mode in modes if not attacking and grad]
    assert len(inner) == 3 + (name == "trades")
    assert set(inner) == {attacks_in_train_mode}
    assert outer == [True] * (2 if name == "trades" else 1)


@pytest.mark.parametrize("name", ["at", "trades", "fat"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_attack_mode_is_an_option(name: str, mode: str, make_classifier: Make, make_data: Make, make_model: Make):
    model = make_model(3)
    seen: set[bool] = set()
    model.register_forward_pre_hook(
        lambda module, _: seen.add(module.training) if not next(module.parameters()).requires_grad else None
    )
    trainer = FairnessTrainer(make_classifier(model=model), objective=create("objective", name, attack_mode=mode), max_iter=2)
    seen.clear()  # a trainer tries its network
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert seen == {mode == "train"}


@pytest.mark.parametrize("name", ["at", "trades", "fat"])
def test_an_unknown_attack_mode_is_refused(name: str):
    with pytest.raises(OptionError, match=f"objective '{name}': attack_mode expects 'train' or 'eval', got 'evil'"):
        create("objective", name, attack_mode="evil")


@pytest.mark.parametrize("name", ["at", "trades"])
def test_untargeted_examples_move_away_from_the_clean_prediction(name: str):
    network, batch = Linear(), batch_of()
    made = create("objective", name).examples(network, batch)
    reference = network(batch.x).detach()
    if name == "at":
        assert bool((loss_towards(network, made, batch.y) > loss_towards(network, batch.x, batch.y)).all())
    else:
        kl = F.kl_div(F.log_softmax(network(made), 1), F.log_softmax(reference, 1), reduction="none", log_target=True).sum(1)
        assert bool((kl > 0.05).all())
    assert bool(((made - batch.x).abs() <= EPS + 1e-6).all())


@pytest.mark.parametrize("name", ["at", "trades", "fat"])
def test_targeted_examples_move_towards_the_target(name: str):
    network, targets = Linear(), [1, 2, 0, 2, 0, 1]
    batch = batch_of(targets=targets)
    objective = create("objective", name, **({"tau": 100} if name == "fat" else {}))
    made = objective.examples(network, batch)
    before, after = (loss_towards(network, x, torch.tensor(targets)) for x in (batch.x, made))
    assert bool((after < before - 0.1).all())


@pytest.mark.parametrize("name", ["at", "trades", "fat"])
def test_a_target_equal_to_the_label_makes_an_untargeted_example_in_the_same_batch(name: str):
    network, targets = Linear(), [0, 2, 2, 1, 1, 1]
    batch = batch_of(targets=targets)
    aimed = torch.tensor(targets) != batch.y
    assert aimed.tolist() == [False, True, False, True, False, True]
    objective = create("objective", name, **({"tau": 100} if name == "fat" else {}))
    made = objective.examples(network, batch)
    gain = loss_towards(network, made, batch.aims) - loss_towards(network, batch.x, batch.aims)
    assert bool((gain[aimed] < -0.1).all())
    assert bool((gain[~aimed] > 0.1).all())


def test_trades_can_leave_the_inner_attack_untargeted_as_fair_tat_s_program_does():
    network = Linear()
    objective = create("objective", "trades", targeted_inner=False)
    targeted, plain = (objective.examples(network, batch_of(targets=t)) for t in ([1, 2, 0, 2, 0, 1], None))
    assert torch.equal(targeted, plain)


def test_a_budget_of_each_sample_is_kept():
    network, batch = Linear(), batch_of()
    object.__setattr__(batch, "eps", torch.tensor([0.0, 0.01, 0.02, 0.1, 0.2, 0.3]))
    for name in ("at", "trades", "fat"):
        made = create("objective", name).examples(network, batch)
        moved = (made - batch.x).abs().amax(dim=1)
        assert bool((moved <= batch.eps + 1e-6).all())
        assert moved[0].item() == 0.0
        assert moved[5].item() > 0.05


@pytest.mark.parametrize(("epoch", "tau"), [(0, 0), (49, 0), (50, 1), (89, 1), (90, 2), (1000, 2)], ids=lambda value: str(value))
def test_fat_s_own_schedule(epoch: int, tau: int, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr("fairart.objectives.fat.early_stopped_pgd", lambda *_, tau, **__: asked.append(tau) or torch.zeros(1))
    FATObjective(tau=None).examples(Linear(), batch_of(epoch=epoch))
    FATObjective().examples(Linear(), batch_of(epoch=epoch))
    FATObjective(tau=7).examples(Linear(), batch_of(epoch=epoch))
    assert asked == [tau, 3, 7]


def test_fat_stops_closer_with_a_smaller_tau():
    network = Linear()
    distance = {}
    for tau in (0, 1, 100):
        batch = batch_of(max_iter=20, eps=0.45)
        made = FATObjective(tau=tau).examples(network, batch)
        distance[tau] = float(loss_towards(network, made, batch.y).mean())
    assert distance[0] < distance[1] < distance[100]


def test_beta_is_checked():
    with pytest.raises(OptionError, match="objective 'trades': beta must be >= 0, got -1"):
        create("objective", "trades", beta=-1)
    with pytest.raises(OptionError, match="beta must be a number, got NaN"):
        create("objective", "trades", beta=math.nan)


def test_objectives_leave_parameters_and_gradients_alone():
    for name in ("at", "trades", "fat"):
        network = Linear()
        create("objective", name).examples(network, batch_of())
        assert network.linear.weight.requires_grad
        assert network.linear.weight.grad is None


def test_trades_attacks_a_sample_that_aims_at_its_own_label_on_the_kl():
    network, objective = Linear(), create("objective", "trades")
    plain, mixed = batch_of(max_iter=6), batch_of(targets=[0, 2, 2, 1, 1, 0], max_iter=6)
    mixed = dataclasses.replace(mixed, mixed=True)
    untargeted = mixed.targets == mixed.y
    assert untargeted.tolist() == [True, False, True, False, True, False]
    on_kl, found = objective.examples(network, plain), objective.examples(network, mixed)
    # The same start, drawn for the whole batch: samples without a target get what TRADES alone gives them.
    torch.testing.assert_close(found[untargeted], on_kl[untargeted], rtol=0, atol=0)
    aimed = ~untargeted
    before = loss_towards(network, mixed.x, mixed.targets)
    assert (loss_towards(network, found, mixed.targets) < before)[aimed].all()


@pytest.mark.parametrize("name", ["trades", "mart", "bat"])
def test_predictions_of_the_trained_model_are_compared(name: str) -> None:
    # Balanced softmax trains softmax(z + log pi): an objective on it is the objective of a network that gives z + log pi.
    loss = create("classification_loss", "balanced-softmax")
    loss.class_counts = np.array([900, 90, 10])
    loss.start(3)
    plain, shifted = Linear(), Shifted(loss.trained_logits(torch.zeros(1, 3)))
    objective = create("objective", name)
    batch = batch_of()
    x_adv = tuple(batch.x + sign * torch.tensor([0.2, -0.2]) for sign in (1, -1))[: objective.nb_examples]
    made = objective.losses(plain, dataclasses.replace(batch, classification_loss=loss), x_adv)
    expected = objective.losses(shifted, batch, x_adv)
    unsure = {"mart": mart_unsure(plain, batch) / mart_unsure(shifted, batch)}.get(name, 1.0)
    torch.testing.assert_close(made.boundary, expected.boundary * unsure)
    assert (made.boundary - objective.losses(plain, batch, x_adv).boundary).abs().max() > 1e-3


def mart_unsure(network: nn.Module, batch: Batch) -> Tensor:
    """MART weighs by the prediction of the model that is used."""
    return 1 - network(batch.x).softmax(dim=1).gather(1, batch.y[:, None])[:, 0]


class Shifted(Linear):
    """The fixed network with constants added to its logits."""

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.shift


@pytest.mark.parametrize("targets", [None, [0, 2, 2, 1, 0, 2]], ids=["untargeted", "mixed"])
def test_trades_attacks_the_model_that_is_trained(targets: list[int] | None) -> None:
    loss = create("classification_loss", "logit-adjusted", tau=2.0)
    loss.class_counts = np.array([1, 90, 900])
    loss.start(3)
    shifted = Shifted(loss.trained_logits(torch.zeros(1, 3)))
    made, expected, plain = (
        create("objective", "trades").examples(network, dataclasses.replace(batch_of(targets=targets), **changes))
        for network, changes in (
            (Linear(), {"classification_loss": loss, "mixed": targets is not None}),
            (shifted, {"mixed": targets is not None}),
            (Linear(), {"mixed": targets is not None}),
        )
    )
    torch.testing.assert_close(made, expected)
    assert (made - plain).abs().max() > 0.01
