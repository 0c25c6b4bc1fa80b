"""A step that is only tried: as a real one, and nothing outside of the trainer hears of it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

import fairart.plugins
from fairart import create, hookimpl
from fairart.engine.data.sources import ArraySource
from fairart.engine.loop import Engine
from fairart.plugins import PluginManager
from fairart.trainers import FairnessTrainer
from fairart.trainers.trying import ITERATIONS, try_step

SMALL: dict[str, Any] = {"eps": 0.1, "eps_step": 0.05, "max_iter": 8}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What plugins hear."""
    heard: list[str] = []

    class Listening:
        @hookimpl
        def fairart_fit_start(self, trainer: Any) -> None:
            heard.append("start")

        @hookimpl
        def fairart_epoch_end(self, trainer: Any, record: Any) -> None:
            heard.append("epoch")

    manager = PluginManager(entry_points=False)
    manager.register(Listening(), "listening")
    monkeypatch.setattr(fairart.plugins.manager, "_manager", manager)
    return heard


# Those that have a loop, a measure or a state of their own.
@pytest.mark.parametrize("name", ["cfa", "dafa", "frl", "n-fgsm", "faal", "ibp", "co-teaching", "self-training"])
def test_every_kind_of_method_can_be_tried_at_its_last_epoch(name: str, make_classifier: Any, make_data: Any, told: list[str]):
    trainer = create("trainer", name, classifier=make_classifier(), **SMALL)
    x, y = make_data(30)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    for size in (2, 16, 30):
        try_step(trainer, x, y, size, nb_epochs=10)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[:2]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert told == []
    assert all(parameter.grad is None for parameter in trainer._network.module.parameters())


def test_it_is_one_step_of_the_size_with_attack_backward_pass_and_optimizer(
    make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[int, int, int]] = []
    step = Engine._step

    def watched(self: Engine, samples: Any, epoch: int, meter: Any) -> None:
        seen.append((len(samples.y), epoch, self.budget.max_iter))
        step(self, samples, epoch, meter)

    monkeypatch.setattr(Engine, "_step", watched)
    trainer = create("trainer", "at", classifier=make_classifier(), **SMALL)
    before = {name: value.clone() for name, value in trainer._network.module.state_dict().items()}
    try_step(trainer, *make_data(30), 12, nb_epochs=7)
    assert seen == [(12, 6, ITERATIONS)]
    after = trainer._network.module.state_dict()
    assert not all(torch.equal(before[name], after[name]) for name in before)
    assert any(state["momentum_buffer"] is not None for state in trainer._classifier.optimizer.state.values())


def test_extra_data_groups_and_held_out_samples_take_part(make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch):
    sources: list[Any] = []
    measured: list[int] = []
    made, validator = ArraySource.__init__, FairnessTrainer._validator

    def noted(self: ArraySource, data: Any, batch_size: int) -> None:
        sources.append(data)
        made(self, data, batch_size)

    def held(self: FairnessTrainer, pair: Any, batch_size: int) -> Any:
        measured.append(0 if pair is None else len(pair[0]))
        return validator(self, pair, batch_size)

    monkeypatch.setattr(ArraySource, "__init__", noted)
    monkeypatch.setattr(FairnessTrainer, "_validator", held)
    x, y = make_data(60)
    plain = create("trainer", "at", classifier=make_classifier(), **SMALL)
    try_step(plain, x, y, 20, nb_epochs=2, extra_data=make_data(50), extra_share=0.5)
    grouped = create("trainer", "at", classifier=make_classifier(), class_weighting="group-dro", **SMALL)
    try_step(grouped, x, y, 20, nb_epochs=2, groups=np.arange(60) % 2)
    kept = create("trainer", "at", classifier=make_classifier(), keep_best="average", hold_out=0.2, **SMALL)
    try_step(kept, x, y, 20, nb_epochs=2)
    assert len(sources[0]) == 20, "an epoch is as many samples as the training set"
    assert type(sources[0]).__name__ != "DeviceData"
    assert len(sources[1].groups.index) == 20
    assert measured == [0, 0, 15], "a fifth of 60 samples, and one more for each of three classes at most"
