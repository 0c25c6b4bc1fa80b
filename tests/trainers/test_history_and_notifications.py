from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fairart import create, hookimpl, plugins
from fairart.engine import TrainingDivergedError
from fairart.errors import PluginError
from fairart.plugins import PluginManager
from fairart.trainers import ATTrainer, FairnessTrainer, FairTATTrainer

Make = Callable[..., Any]
EPS = 0.12


def trained(make_classifier: Make, make_data: Make, nb_classes: int = 4, **options: Any) -> FairnessTrainer:
    trainer = FairTATTrainer(make_classifier(nb_classes, lr=0.02), eps=EPS, eps_step=0.05, max_iter=2, **options)
    trainer.fit(*make_data(43, nb_classes), batch_size=10, nb_epochs=3, seed=0, verbose=False)
    return trainer


def test_the_plan_of_an_epoch_follows_from_the_statistics_of_the_one_before(make_classifier: Make, make_data: Make):
    first, *later = trained(make_classifier, make_data).history
    np.testing.assert_allclose(first.epsilons, EPS)
    np.testing.assert_allclose(first.target_probabilities, (1 - np.eye(4)) / 3)
    before = first
    for record in later:
        counts = np.array(before.robust.to_list())
        accuracy = np.diag(counts) / counts.sum(axis=1)
        np.testing.assert_allclose(record.epsilons, (0.5 + accuracy) * EPS)
        errors = counts - np.diag(np.diag(counts))
        cfps = errors.sum(axis=0) / errors.sum()
        for label in range(4):
            row = np.where(np.arange(4) == label, 0, cfps)
            np.testing.assert_allclose(record.target_probabilities[label], row / row.sum(), atol=1e-12)
        before = record
    assert not np.allclose(later[0].epsilons, later[0].epsilons[0]), "classes must differ for this test"


def test_what_was_planned_is_what_was_used(make_classifier: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch):
    part, seen = create("objective", "at"), []
    losses = part.losses
    monkeypatch.setattr(part, "losses", lambda network, batch, made: seen.append(batch) or losses(network, batch, made))
    trainer = trained(make_classifier, make_data, objective=part)
    for batch in seen:
        record = trainer.history[batch.epoch]
        np.testing.assert_allclose(batch.eps, record.epsilons[batch.y], rtol=1e-6)
        np.testing.assert_allclose(batch.eps_step, 0.05, rtol=1e-6)
        chances = record.target_probabilities[batch.y, batch.targets]
        assert (chances > 0).all(), "no target of probability zero"


def test_records_keep_their_own_copies(make_classifier: Make, make_data: Make):
    trainer = trained(make_classifier, make_data)
    trainer.history[-1].epsilons.fill(9)
    trainer.history[-1].target_probabilities.fill(9)
    assert trainer.method.epsilon_scheduler.current.max() < 1
    assert trainer.method.target_sampler.probabilities.max() <= 1


def test_records_of_untargeted_and_of_per_sample_targets(make_classifier: Make, make_data: Make):
    for sampler in (None, "runner-up"):
        record = trained(make_classifier, make_data, target_sampler=sampler).history[-1]
        assert record.target_probabilities is None


def test_a_record_holds_rates_weights_and_times(make_classifier: Make, make_data: Make):
    record = trained(make_classifier, make_data).history[0]
    assert record.learning_rate == 0.02
    assert record.class_weights.tolist() == [1.0] * 4
    assert record.robust.total == 43
    assert 0 < record.seconds < 60
    assert record.images_per_second > 43 / record.seconds * 0.9


def test_a_record_is_one_line_of_plain_json(make_classifier: Make, make_data: Make):
    trainer = trained(make_classifier, make_data, averaging=create("averaging", "fawa", threshold=0), clean_statistics=True)
    record = trainer.history[1]
    line = record.to_json()
    assert "\n" not in line
    plain = json.loads(line)
    assert plain["epoch"] == 1
    assert plain["robust"] == record.robust.to_list()
    assert plain["clean"] == record.clean.to_list()
    assert plain["validation_robust"] == record.validation.robust.to_list()
    assert plain["epsilons"] == record.epsilons.tolist()
    assert plain["averaged"] is True


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Register a listener with a plugin manager of the test's own."""
    manager = PluginManager(entry_points=False, strict=True)
    monkeypatch.setattr(plugins.manager, "_manager", manager)
    return lambda plugin: manager.register(plugin, "listener")


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    @hookimpl
    def fairart_fit_start(self, trainer: Any) -> None:
        self.heard.append(("start", trainer, len(trainer.history)))

    @hookimpl
    def fairart_epoch_end(self, trainer: Any, record: Any) -> None:
        self.heard.append(("epoch", trainer, record))
        assert trainer.history[-1] is record

    @hookimpl
    def fairart_fit_end(self, trainer: Any) -> None:
        self.heard.append(("end", trainer, trainer.raw_weights is not None))


def test_notifications_reach_a_listener_in_order(listen: Make, make_classifier: Make, make_data: Make):
    listener = Listener()
    listen(listener)
    trainer = trained(make_classifier, make_data, averaging="ema")
    assert listener.heard == [
        ("start", trainer, 0),
        *(("epoch", trainer, record) for record in trainer.history),
        ("end", trainer, True),
    ]


def test_a_fit_that_fails_has_no_end(listen: Make, make_classifier: Make, make_data: Make):
    listener = Listener()
    listen(listener)
    trainer = ATTrainer(make_classifier(lr=1e30), max_iter=1)
    with pytest.raises(TrainingDivergedError, match="NaN or infinite"):
        trainer.fit(*make_data(24), batch_size=4, nb_epochs=3, seed=0, verbose=False)
    assert [word for word, *_ in listener.heard if word != "epoch"] == ["start"]


def test_bad_input_is_refused_before_anybody_is_told(listen: Make, make_classifier: Make, make_data: Make):
    listener = Listener()
    listen(listener)
    with pytest.raises(ValueError, match="nb_epochs"):
        ATTrainer(make_classifier()).fit(*make_data(12), batch_size=6, nb_epochs=0)
    assert listener.heard == []


def test_a_listener_that_raises_is_named(listen: Make, make_classifier: Make, make_data: Make):
    class Broken:
        @hookimpl
        def fairart_epoch_end(self, record: Any) -> None:
            raise LookupError(f"epoch {record.epoch}")

    listen(Broken())
    with pytest.raises(PluginError, match="plugin 'listener': its hook fairart_epoch_end raised LookupError: epoch 0"):
        trained(make_classifier, make_data)
