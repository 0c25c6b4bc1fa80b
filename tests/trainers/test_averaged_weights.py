from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fairart import create, hookimpl, plugins
from fairart.plugins import PluginManager
from fairart.trainers import FairTATTrainer

Make = Callable[..., Any]
DECAY = 0.5


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """The raw weights at the end of every epoch, heard by a listener."""
    heard: list[dict[str, Tensor]] = []

    class Listener:
        @hookimpl
        def fairart_epoch_end(self, trainer: Any) -> None:
            heard.append({name: value.clone() for name, value in trainer.get_classifier().model.state_dict().items()})

    manager = PluginManager(entry_points=False, strict=True)
    manager.register(Listener(), "listener")
    monkeypatch.setattr(plugins.manager, "_manager", manager)
    return heard


def blend(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    average = {name: value.clone() for name, value in states[0].items()}
    for state in states[1:]:
        for name, value in state.items():
            average[name] = DECAY * average[name] + (1 - DECAY) * value if value.is_floating_point() else value.clone()
    return average


def trainer_with(make_classifier: Make, averaging: Any, **options: Any) -> FairTATTrainer:
    return FairTATTrainer(make_classifier(**options), averaging=averaging, eps=0.05, eps_step=0.05, max_iter=1)


def close(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.allclose(first[name].double(), second[name].double(), atol=1e-6) for name in first)


def test_the_classifier_carries_the_average_and_the_raw_weights_are_kept(
    epochs: list[Any], make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    trainer = trainer_with(make_classifier, create("averaging", "ema", decay=DECAY, start_epoch=1))
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=4, seed=0, verbose=False)
    assert [record.averaged for record in trainer.history] == [False, True, True, True]
    carried = weights_of(trainer.get_classifier())
    assert close(carried, blend(epochs[1:]))
    assert carried["norm.num_batches_tracked"] == epochs[-1]["norm.num_batches_tracked"]
    assert same_weights(trainer.raw_weights, epochs[-1])
    assert not close(carried, epochs[-1])


def test_a_second_fit_goes_on_from_the_raw_weights_and_the_old_average(
    epochs: list[Any], make_classifier: Make, make_data: Make, weights_of: Make
):
    trainer = trainer_with(make_classifier, create("averaging", "ema", decay=DECAY, start_epoch=0))
    first_seen: list[Tensor] = []
    model = trainer.get_classifier().model
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    raw = trainer.raw_weights["linear.weight"].clone()
    assert not torch.equal(raw, model.linear.weight)
    handle = model.register_forward_pre_hook(lambda module, _: first_seen.append(module.linear.weight.detach().clone()))
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    handle.remove()
    assert torch.equal(first_seen[0], raw)
    assert [record.epoch for record in trainer.history] == [0, 1, 2, 3]
    assert close(weights_of(trainer.get_classifier()), blend(epochs))
    assert trainer.method.averaging.accepted == 4


def test_two_fits_with_policies_carry_on_where_the_first_stopped(make_classifier: Make, make_data: Make):
    trainer = trainer_with(make_classifier, None)
    for _ in range(2):
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    accuracy = trainer.history[1].robust.class_accuracy
    assert trainer.history[2].epsilons.tolist() == pytest.approx(((0.5 + accuracy) * 0.05).tolist())


def test_fawa_takes_in_only_epochs_whose_worst_class_is_robust_enough(
    epochs: list[Any], make_classifier: Make, make_data: Make, weights_of: Make
):
    threshold = 0.6
    trainer = trainer_with(make_classifier, create("averaging", "fawa", decay=DECAY, start_epoch=0, threshold=threshold), lr=0.02)
    trainer.fit(*make_data(24), validation_data=make_data(30, seed=4), batch_size=8, nb_epochs=6, seed=0, verbose=False)
    worst = [record.validation.robust.worst_class_accuracy() for record in trainer.history]
    taken = [record.averaged for record in trainer.history]
    assert taken == [share >= threshold for share in worst]
    assert set(taken) == {True, False}, "the run must have epochs of both kinds"
    assert close(weights_of(trainer.get_classifier()), blend([state for state, into in zip(epochs, taken, strict=True) if into]))


def test_fawa_holds_out_a_share_of_every_class_where_no_validation_data_is_given(make_classifier: Make, make_data: Make):
    fawa = create("averaging", "fawa", threshold=0)
    trainer = FairTATTrainer(make_classifier(), averaging=fawa, max_iter=1, hold_out=0.25)
    trainer.fit(*make_data(36), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    record = trainer.history[0]
    assert record.validation.robust.support.tolist() == [3, 3, 3]
    assert record.robust.support.tolist() == [9, 9, 9]


def test_an_average_that_never_began_is_said_and_the_last_weights_stay(
    epochs: list[Any], make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    trainer = trainer_with(make_classifier, create("averaging", "ema", start_epoch=50))
    with pytest.warns(UserWarning, match="weight averaging took in none of the 2 epochs") as caught:
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    assert [warning.filename for warning in caught] == [__file__], "the warning points at the caller of fit"
    assert trainer.raw_weights is None
    assert same_weights(weights_of(trainer.get_classifier()), epochs[-1])


def test_without_averaging_nothing_is_said(epochs: list[Any], make_classifier: Make, make_data: Make):
    trainer = trainer_with(make_classifier, None)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert (trainer.history[0].averaged, trainer.raw_weights) == (None, None)


def test_a_threshold_too_high_is_said_at_half_time_and_at_the_end_with_one_that_would_do(make_classifier: Make, make_data: Make):
    fawa = create("averaging", "fawa", threshold=1.0, start_epoch=2)
    trainer = FairTATTrainer(make_classifier(), averaging=fawa, eps=0.3, max_iter=2, hold_out=0.25)
    with pytest.warns(UserWarning, match="weight averaging took in none") as caught:
        trainer.fit(*make_data(36), batch_size=8, nb_epochs=8, seed=0, verbose=False)
    first, last = (str(warning.message) for warning in caught)
    # Six epochs could enter; three of them are over after the fifth epoch.
    assert first.startswith("weight averaging took in none of the first 5 of 8 epochs: on validation data")
    assert last.startswith("weight averaging took in none of the 8 epochs (on validation data")
    best = max(record.validation.robust.worst_class_accuracy() for record in trainer.history[2:])
    assert best < 1
    (threshold,) = re.findall(r"threshold=([\d.]+) would", last)
    assert best - 0.001 < float(threshold) <= best
    again = create("averaging", "fawa", threshold=float(threshold), start_epoch=2)
    trainer = FairTATTrainer(make_classifier(), averaging=again, eps=0.3, max_iter=2, hold_out=0.25)
    trainer.fit(*make_data(36), batch_size=8, nb_epochs=8, seed=0, verbose=False)
    assert again.accepted >= 1


def test_an_average_that_begins_late_is_not_complained_about(
    make_classifier: Make, make_data: Make, recwarn: pytest.WarningsRecorder
):
    trainer = trainer_with(make_classifier, create("averaging", "ema", start_epoch=2))
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=3, seed=0, verbose=False)
    assert not [warning for warning in recwarn if "averaging" in str(warning.message)]
