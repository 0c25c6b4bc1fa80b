"""What a run tells about its epochs, and to whom."""

from __future__ import annotations

import csv
import math
import warnings

import numpy as np
import pytest

import fairart.plugins
from fairart.engine import EpochRecord
from fairart.errors import OptionError
from fairart.runs import loggers
from fairart.runs.config import RunConfig
from fairart.runs.epoch_metrics import epoch_metrics, target_shares
from fairart.runs.loggers import CSVLog, TensorBoardLog, WandbLog, check_loggers
from fairart.runs.run import train_run
from fairart.statistics import ConfusionMatrix, EpochStatistics, ValidationStatistics

pytestmark = pytest.mark.filterwarnings("ignore:.* cannot cross a ball of eps:UserWarning")

CLASSES = ["cat", "dog, or wolf", "none seen"]
COUNTS = [[6, 2, 0], [1, 1, 0], [0, 0, 0]]


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch):
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))


def config(**changes):
    short = {"per_class": 12, "epochs": 3, "eps": 0.1, "eps_step": 0.05, "max_iter": 1, "batch_size": 60, "device": "cpu"}
    return RunConfig(trainer="fair-tat", **{**short, **changes})


def record(epoch=0, **changes):
    robust = ConfusionMatrix(COUNTS)
    given = {
        "statistics": EpochStatistics(epoch=epoch, robust=robust, validation=ValidationStatistics(clean=robust, robust=robust)),
        "loss": 0.1 + epoch,
        "epsilons": np.array([0.1, 0.2, 0.3]),
        "target_probabilities": np.array([[0, 0.25, 0.75], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
        "class_weights": np.array([1.0, 2.0, 3.0]),
        "learning_rate": 0.1,
        "averaged": True,
        "seconds": 2.0,
        "images_per_second": 5.0,
    }
    return EpochRecord(**{**given, **changes})


def test_the_figures_of_an_epoch():
    row = epoch_metrics(record(), CLASSES)
    assert (row["robust/overall"], row["robust/worst"], row["robust/cat"], row["robust/dog, or wolf"]) == (0.7, 0.5, 0.75, 0.5)
    assert math.isnan(row["robust/none seen"])
    assert (row["eps/dog, or wolf"], row["weight/none seen"], row["averaged"], row["images_per_second"]) == (0.2, 3.0, 1.0, 5.0)
    assert row["validation_clean/cat"] == 0.75
    # 8 of 10 samples are cats: 0.8 * row 0 + 0.2 * row 1.
    assert [row[f"target/{name}"] for name in CLASSES] == pytest.approx([0.1, 0.2, 0.7])
    assert target_shares(record(target_probabilities=None)) is None
    assert not any(name.startswith("target/") for name in epoch_metrics(record(target_probabilities=None), CLASSES))


def test_csv_has_every_epoch_once_and_quotes_names(tmp_path):
    log = CSVLog(tmp_path / "metrics.csv", CLASSES)
    log.start([])
    for epoch in range(3):
        log.epoch(record(epoch))
    again = CSVLog(tmp_path / "metrics.csv", CLASSES)
    again.start([record(0)])
    again.epoch(record(1))
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[1]["loss"]) == 1.1
    assert rows[0]["robust/none seen"] == ""
    assert rows[0]["robust/dog, or wolf"] == "0.5"


def test_csv_stands_in_every_run_and_can_be_switched_off(tmp_path):
    run = train_run(config(), tmp_path / "a", verbose=False)
    with (tmp_path / "a" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, epoch in zip(rows, run.history, strict=True):
        told = {name: float(value) for name, value in row.items() if value and name != "epoch"}
        assert told == {k: v for k, v in epoch_metrics(epoch, run.dataset.classes).items() if math.isfinite(v)}
    train_run(config(logger="none"), tmp_path / "b", verbose=False)
    assert not (tmp_path / "b" / "metrics.csv").exists()


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("lightning_fabric")
    run = train_run(config(logger="csv,tensorboard"), tmp_path / "a", verbose=False)
    told = events(tmp_path / "a")
    assert [step for step, _ in told["robust/worst"]] == [0, 1, 2]
    assert [value for _, value in told["eps/3"]] == pytest.approx([one.epsilons[3] for one in run.history])
    assert {"robust/overall", "learning_rate", "images_per_second", "target/0", "loss"} <= told.keys()


def test_tensorboard_goes_on_after_an_interruption(tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("lightning_fabric")
    log = TensorBoardLog(tmp_path, CLASSES)
    log.start([])
    for epoch in range(3):
        log.epoch(record(epoch))
    log.end()
    again = TensorBoardLog(tmp_path, CLASSES)
    again.start([record(0), record(1)])
    again.epoch(record(2, loss=7.0))
    again.end()
    assert events(tmp_path)["loss"] == [(0, pytest.approx(0.1)), (1, pytest.approx(1.1)), (2, 7.0)]


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "a").mkdir()
    log = WandbLog(tmp_path / "a", CLASSES, {"trainer": "at"})
    log.start([])
    log.epoch(record())
    run = log._run
    assert (run.project, run.config["trainer"], run.summary["robust/worst"]) == ("fairart", "at", 0.5)
    assert "robust/none seen" not in dict(run.summary)
    log.end()
    assert list((tmp_path / "a" / "wandb").glob("offline-run-*/run-*.wandb"))


class FakeWandb:
    def __init__(self):
        self.begun, self.told, self.finished = [], [], 0

    def init(self, **options):
        self.begun.append(options)
        return self

    def define_metric(self, *_, **__):
        pass

    def log(self, row):
        self.told.append(row)

    def finish(self):
        self.finished += 1


def test_wandb_is_the_same_run_after_an_interruption(tmp_path, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(__import__("sys").modules, "wandb", fake)
    for first in (0, 1):
        log = WandbLog(tmp_path, CLASSES, {})
        log.start([record(epoch) for epoch in range(first)])
        log.epoch(record(first))
        log.end()
    assert len({options["id"] for options in fake.begun}) == 1
    assert all(options["resume"] == "allow" for options in fake.begun)
    assert [row["epoch"] for row in fake.told] == [0, 1]
    assert fake.finished == 2


@pytest.mark.parametrize("method", ["start", "epoch", "end"])
def test_a_logger_that_fails_is_one_warning_and_the_run_goes_on(tmp_path, monkeypatch, method):
    def broken(*_):
        raise ConnectionError("the network is gone")

    monkeypatch.setattr(CSVLog, method, broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train_run(config(), tmp_path / "a", verbose=False)
    told = [str(one.message) for one in caught if "logger" in str(one.message)]
    assert told == ["logger 'csv' failed and is not used any more: ConnectionError: the network is gone"]
    assert len(run.history) == 3


def test_what_is_missing_or_unknown_is_said_before_any_work(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="there is no logger 'tensorbord'; did you mean 'tensorboard'"):
        config(logger="csv,tensorbord")
    with pytest.raises(OptionError, match="expects names such as csv,tensorboard, got 3"):
        config(logger=3)
    monkeypatch.setitem(loggers.REQUIRED, "wandb", ("no_such_module",))
    with pytest.raises(OptionError, match=r"logger 'wandb' needs no_such_module: pip install 'fairart\[wandb\]'"):
        train_run(config(logger="wandb"), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    check_loggers(())
    assert config(logger=["csv", "csv"]).logger == ("csv",)
    assert config(logger="none").logger == ()
