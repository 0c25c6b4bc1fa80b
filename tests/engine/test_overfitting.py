"""Catastrophic overfitting of single-step training is seen, and stopped, undone or passed over as asked."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from fairart import create
from fairart.engine import Checkpointing
from fairart.engine.checkpoints.identity import differences
from fairart.engine.overfitting import CatastrophicOverfittingError
from fairart.errors import OptionError
from fairart.trainers import ATTrainer, FastATTrainer, NFGSMTrainer, TRADESTrainer

EPS = 0.2


class Waves(nn.Module):
    """Pixels and fast waves of them: right at both ends of a single step, wrong between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(1)
        return self.layers(torch.cat([pixels, 0.2 * torch.sin(16 * pixels), 0.2 * torch.cos(16 * pixels)], dim=1))


def digits() -> tuple[Any, Any]:
    data = create("dataset", "digits")
    return data.x_train, data.y_train


def classifier_of(weights: dict[str, Tensor] | None = None) -> PyTorchClassifier:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        model = Waves()
    if weights is not None:
        model.load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    return PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer=optimizer, clip_values=(0.0, 1.0), device_type="cpu"
    )


@pytest.fixture(scope="module")
def robust() -> dict[str, Tensor]:
    """Weights of a robust model, by PGD-10."""
    trainer = ATTrainer(classifier_of(), eps=0.15)
    trainer.fit(*digits(), batch_size=64, nb_epochs=10, seed=0, verbose=False)
    return copy.deepcopy(trainer.get_classifier().model.state_dict())


def trained(weights: dict[str, Tensor], action: str, *, nb_epochs: int = 4, **options: Any) -> NFGSMTrainer:
    """FGSM from the clean input at a large eps: one quiet epoch, then at full learning rate it overfits."""
    objective = create("objective", "n-fgsm", noise=0.0)
    trainer = NFGSMTrainer(classifier_of(weights), eps=EPS, objective=objective, on_overfitting=action)
    optimizer = trainer.get_classifier().optimizer
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1e-3 if epoch < 1 else 3.0)
    trainer.fit(*digits(), batch_size=64, nb_epochs=nb_epochs, seed=0, verbose=False, scheduler=scheduler, **options)
    return trainer


def test_it_stops_and_leaves_the_last_good_epoch(robust: dict[str, Tensor]) -> None:
    with pytest.raises(CatastrophicOverfittingError, match=r"in epoch 1 .* fell from \d+\.\d% to .* rose from .*") as caught:
        trained(robust, "stop")
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["The classifier holds the weights of epoch 0 (from 0), the last whole one."]


def test_it_returns_to_the_last_good_epoch(robust: dict[str, Tensor]) -> None:
    with pytest.warns(UserWarning, match="training ends with the weights of the epoch before"):
        back = trained(robust, "return")
    assert [record.overfitted for record in back.history] == [False, True]
    good, bad = (record.pgd_accuracy for record in back.history)
    assert bad < good / 2
    alone = trained(robust, "return", nb_epochs=1).get_classifier().model.state_dict()
    assert all(torch.equal(alone[name], value) for name, value in back.get_classifier().model.state_dict().items())
    last = back.history[-1].to_dict()
    assert last["overfitted"] is True
    assert last["pgd_accuracy"] == bad


def test_a_run_that_returned_has_nothing_left_to_train(robust: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="catastrophic overfitting"):
        whole = trained(robust, "return", checkpoint=Checkpointing(tmp_path))
    again = trained(robust, "return", checkpoint=Checkpointing(tmp_path, resume=True))
    assert [record.overfitted for record in again.history] == [False, True]
    weights = again.get_classifier().model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in whole.get_classifier().model.state_dict().items())


def test_a_run_that_stopped_can_be_resumed_to_return(robust: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CatastrophicOverfittingError):
        trained(robust, "stop", checkpoint=Checkpointing(tmp_path))
    with pytest.warns(UserWarning, match="training ends with the weights of the epoch before"):
        back = trained(robust, "return", checkpoint=Checkpointing(tmp_path, resume=True))
    with pytest.warns(UserWarning, match="training ends with the weights of the epoch before"):
        whole = trained(robust, "return")
    weights = back.get_classifier().model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in whole.get_classifier().model.state_dict().items())


def test_only_a_run_that_was_to_stop_may_change_its_mind() -> None:
    assert differences({"on_overfitting": "stop"}, {"on_overfitting": "ignore"}) == []
    # After the first one, what an epoch is depends on what was asked for.
    for was, now in (("return", "ignore"), ("ignore", "stop"), ("return", "stop")):
        assert differences({"on_overfitting": was}, {"on_overfitting": now}) == [f"on_overfitting was {was}, is {now}"]


def test_ignored_it_is_said_and_training_goes_on(robust: dict[str, Tensor]) -> None:
    with pytest.warns(UserWarning, match="training goes on"):
        gone_on = trained(robust, "ignore")
    assert len(gone_on.history) == 4
    assert gone_on.history[-1].overfitted


def test_its_averages_do_not_take_in_what_is_thrown_away(robust: dict[str, Tensor]) -> None:
    objective = create("objective", "n-fgsm", noise=0.0)
    average = create("averaging", "ema", start_epoch=0)
    trainer = NFGSMTrainer(classifier_of(robust), eps=EPS, objective=objective, on_overfitting="return", averaging=average)
    scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.get_classifier().optimizer, lambda epoch: 1e-3 if epoch < 1 else 3.0)
    with pytest.warns(UserWarning, match="catastrophic overfitting"):
        trainer.fit(*digits(), batch_size=64, nb_epochs=4, seed=0, verbose=False, scheduler=scheduler)
    assert average.accepted == 1


@pytest.mark.parametrize(
    ("trainer", "options", "watched"),
    [
        (FastATTrainer, {}, True),
        (NFGSMTrainer, {}, True),
        (ATTrainer, {"max_iter": 1}, True),
        (ATTrainer, {"max_iter": 2}, False),
        (TRADESTrainer, {"max_iter": 2}, False),
        (FastATTrainer, {"eps": 0.0}, False),
    ],
)
def test_single_step_training_alone_is_watched(trainer: Any, options: dict[str, Any], watched: bool) -> None:
    x, y = digits()
    made = trainer(classifier_of(), **{"eps": 0.1, **options})
    made.fit(x[:64], y[:64], batch_size=32, nb_epochs=1, seed=0, verbose=False)
    assert (made.history[0].pgd_accuracy is not None) == watched


def test_another_action_is_refused() -> None:
    with pytest.raises(OptionError, match="on_overfitting expects 'stop' or 'return' or 'ignore', got 'go'"):
        FastATTrainer(classifier_of(), on_overfitting="go")
