"""Optimizers, learning-rate schedules, warm-up and gradient clipping of a run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fairart.engine import Checkpointing
from fairart.engine.loop import Engine
from fairart.errors import OptionError
from fairart.runs.config import RunConfig
from fairart.runs.optimising import Schedule, build_optimizer
from fairart.trainers import ATTrainer

EPOCHS, BATCHES = 6, 10


def rates(**settings: Any) -> list[float]:
    """The learning rate of every batch, in units of the highest."""
    config = RunConfig(trainer="at", epochs=EPOCHS, lr=0.5, **settings)
    optimizer = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
    schedule = Schedule(config)
    scheduler, seen = schedule(optimizer, nb_epochs=EPOCHS, nb_batches=BATCHES), []
    for _ in range(EPOCHS):
        for _ in range(BATCHES):
            seen.append(optimizer.param_groups[0]["lr"] / 0.5)
            optimizer.step()
            if schedule.by_batch:
                scheduler.step()
        if not schedule.by_batch:
            scheduler.step()
    return seen


def test_constant_stays_and_multistep_falls_at_its_shares() -> None:
    np.testing.assert_allclose(rates(schedule="constant"), 1.0)
    np.testing.assert_allclose(rates(lr_milestones=(0.5,)), [1.0] * 30 + [0.1] * 30)


def test_cosine_is_the_formula_of_its_paper() -> None:
    expected = [0.5 * (1 + math.cos(math.pi * step / 60)) for step in range(60)]
    np.testing.assert_allclose(rates(schedule="cosine"), expected)


def test_onecycle_is_the_triangle_of_fast_adversarial_training() -> None:
    # CyclicLR from 0, up for half of the steps and down for the other half (Wong et al.), read half a step later.
    steps = EPOCHS * BATCHES
    cyclic = np.interp(np.arange(steps) + 0.5, [0, steps / 2, steps], [0.0, 1.0, 0.0])
    np.testing.assert_allclose(rates(schedule="onecycle"), cyclic, atol=1e-12)


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_onecycle_trains_however_short_the_run_is(batches: int) -> None:
    config = RunConfig(trainer="at", epochs=1, lr=0.5, schedule="onecycle")
    optimizer = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
    scheduler = Schedule(config)(optimizer, nb_epochs=1, nb_batches=batches)
    seen = []
    for _ in range(batches):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert min(seen) > 0
    assert max(seen) <= 0.5


@pytest.mark.parametrize("schedule", ["multistep", "cosine", "constant"])
def test_a_warm_up_rises_linearly_and_leaves_the_rest(schedule: str) -> None:
    seen = rates(schedule=schedule, warmup_epochs=1.5)
    np.testing.assert_allclose(seen[:15], np.arange(1, 16) / 16)
    plain = rates(schedule=schedule)
    if schedule == "cosine":
        np.testing.assert_allclose(seen[15:], [0.5 * (1 + math.cos(math.pi * step / 45)) for step in range(45)])
    else:
        np.testing.assert_allclose(seen[15:], plain[15:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "onecycle", "warmup_epochs": 1}, "onecycle has a warm-up of its own"),
        ({"epochs": 2, "warmup_epochs": 2}, "warmup_epochs must be less than the 2 epochs of the run, got 2"),
        ({"schedule": "linear"}, "schedule expects one of 'multistep', 'cosine', 'onecycle', 'constant'"),
        ({"optimizer": "lion"}, "optimizer expects one of 'sgd', 'adamw'"),
        ({"gradient_clipping": 0}, "gradient_clipping must be > 0, got 0"),
    ],
)
def test_what_makes_no_schedule_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RunConfig(trainer="at", **settings)


def test_the_optimizer_is_the_one_asked_for() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1))]
    sgd = build_optimizer(RunConfig(trainer="at", momentum=0.7), weights)
    adamw = build_optimizer(RunConfig(trainer="at", optimizer="adamw", lr=0.01, weight_decay=0.05), weights)
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.param_groups[0]["momentum"] == 0.7
    assert isinstance(adamw, torch.optim.AdamW)
    assert (adamw.param_groups[0]["lr"], adamw.param_groups[0]["weight_decay"]) == (0.01, 0.05)


def test_gradients_are_clipped_to_one_norm(make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    told = Engine._tell_batch_end

    def look(self: Engine, *arguments: Any) -> None:
        gradients = [p.grad.flatten() for p in self.network.module.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
        told(self, *arguments)

    monkeypatch.setattr(Engine, "_tell_batch_end", look)
    for clipping in (None, 0.01):
        trainer = ATTrainer(make_classifier(), max_iter=2, gradient_clipping=clipping)
        trainer.fit(*make_data(16), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    half = len(norms) // 2
    assert min(norms[:half]) > 0.01
    np.testing.assert_allclose(norms[half:], 0.01, rtol=1e-3)


class Stopped(BaseException):
    """Stands in for a kill."""


@pytest.mark.parametrize("schedule", ["cosine", "onecycle", "multistep"])
def test_a_run_stopped_within_an_epoch_goes_on_with_its_rates(
    schedule: str, make_classifier: Any, make_data: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up = 0.0 if schedule == "onecycle" else 0.5
    config = RunConfig(trainer="at", epochs=3, lr=0.1, schedule=schedule, warmup_epochs=warm_up)

    def fit(**checkpoint: Any) -> tuple[dict[str, Tensor], list[float]]:
        trainer = ATTrainer(make_classifier(), max_iter=2)
        options = {"batch_size": 8, "nb_epochs": 3, "seed": 0, "verbose": False}
        trainer.fit(*make_data(24), scheduler=Schedule(config), scheduler_interval="batch", **options, **checkpoint)
        return dict(trainer.get_classifier().model.state_dict()), [record.learning_rate for record in trainer.history]

    (whole, rates_of_whole), steps, step = fit(), [], Engine._step
    place = {"checkpoint": Checkpointing(tmp_path, every_minutes=0.0)}

    def stop(self: Engine, *arguments: Any) -> None:
        steps.append(1)
        if len(steps) == 5:
            raise Stopped
        step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_step", stop)
        with pytest.raises(Stopped):
            fit(**place)
    resumed, rates_of_resumed = fit(checkpoint=Checkpointing(tmp_path, every_minutes=0.0, resume=True))
    assert rates_of_resumed == rates_of_whole
    assert all(torch.equal(whole[name], value) for name, value in resumed.items())
