"""The epoch that was best on held-out images: chosen, kept, resumed, written as a run of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fairart import hookimpl, plugins
from fairart.engine import Checkpointing
from fairart.errors import OptionError
from fairart.plugins import PluginManager
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.run import train_run
from fairart.trainers import ATTrainer


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The weights at the end of every epoch."""
    heard: list[dict[str, Any]] = []

    class Listener:
        @hookimpl
        def fairart_epoch_end(self, trainer: Any) -> None:
            heard.append({name: value.clone() for name, value in trainer.get_classifier().model.state_dict().items()})

    manager = PluginManager(entry_points=False, strict=True)
    manager.register(Listener(), "listener")
    monkeypatch.setattr(plugins.manager, "_manager", manager)
    return heard


def fit(make_classifier: Any, make_data: Any, criterion: str, **options: Any) -> ATTrainer:
    trainer = ATTrainer(make_classifier(), keep_best=criterion, eps=0.3, max_iter=2, hold_out=0.3)
    trainer.fit(*make_data(30), batch_size=8, nb_epochs=6, seed=1, verbose=False, **options)
    return trainer


@pytest.mark.parametrize("criterion", ["average", "worst-class"])
def test_it_is_the_first_epoch_with_the_highest_value(
    criterion: str, epochs: list[Any], make_classifier: Any, make_data: Any
) -> None:
    trainer = fit(make_classifier, make_data, criterion)
    robust = [record.validation.robust for record in trainer.history]
    values = [one.accuracy if criterion == "average" else one.worst_class_accuracy() for one in robust]
    assert trainer.best.epoch == int(np.argmax(values))
    assert trainer.best.value == max(values)
    assert all(torch.equal(trainer.best.weights[name], value) for name, value in epochs[trainer.best.epoch].items())
    last = trainer.get_classifier().model.state_dict()
    assert all(torch.equal(last[name], value) for name, value in epochs[-1].items())


def test_a_resumed_run_has_the_same_best_epoch(make_classifier: Any, make_data: Any, tmp_path: Path) -> None:
    whole = fit(make_classifier, make_data, "average")
    trainer = ATTrainer(make_classifier(), keep_best="average", eps=0.3, max_iter=2, hold_out=0.3)

    class Stopped(BaseException):
        pass

    append = trainer.history.append

    def stop(record: Any) -> None:
        append(record)
        if record.epoch == 4:
            raise Stopped

    trainer.history.append = stop
    options = {"batch_size": 8, "nb_epochs": 6, "seed": 1, "verbose": False}
    with pytest.raises(Stopped):
        trainer.fit(*make_data(30), **options, checkpoint=Checkpointing(tmp_path))
    again = fit(make_classifier, make_data, "average", checkpoint=Checkpointing(tmp_path, resume=True))
    assert (again.best.epoch, again.best.value) == (whole.best.epoch, whole.best.value)
    assert all(torch.equal(again.best.weights[name], value) for name, value in whole.best.weights.items())


def test_a_run_keeps_it_as_a_run_of_its_own(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "per_class": 30,
        "epochs": 4,
        "max_iter": 2,
        "eps": 0.3,
        "hold_out": 0.3,
        "device": "cpu",
        "lr": 0.05,
    }
    run = train_run(RunConfig(trainer="at", keep_best="average", **settings), tmp_path / "run", verbose=False)
    best = tmp_path / "run" / "best"
    kept = load_file(best / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in run.trainer.best.weights.items())
    assert RunConfig.load(best / "config.yaml").checkpoint == "best"
    result = evaluate_run(best, (), limit=30, verbose=False)
    assert json.loads((best / "evaluation.json").read_text())
    assert len(result.labels) == 30
    one = train_run(RunConfig(trainer="at", keep_best="average", checkpoint="best", **settings), tmp_path / "one", verbose=False)
    assert not (one.folder / "best").exists()
    assert all(torch.equal(load_file(one.folder / "model.safetensors")[name], value) for name, value in kept.items())


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(OptionError, match="checkpoint 'best' needs keep_best"):
        RunConfig(trainer="at", checkpoint="best")
    with pytest.raises(OptionError, match="keep_best expects 'average' or 'worst-class' or None, got 'best'"):
        RunConfig(trainer="at", keep_best="best")
