"""``fairart train METHOD --dataset digits --epochs 3`` for every method that ships, cut short."""

from __future__ import annotations

import json
import math

import pytest
import yaml

from fairart.plugins import PluginManager

METHODS = list(PluginManager(entry_points=False).registered("trainer"))
SHORT = ("--per-class", "15", "--max-iter", "2", "--device", "cpu")


@pytest.mark.parametrize("method", METHODS)
def test_it_trains(fairart_command, tmp_path, method):
    command = ("train", method, "--dataset", "digits", "--epochs", "3", "--output", tmp_path / "run", *SHORT)
    code, out, err = fairart_command(*command)
    # Three short epochs are too few for some averages, which is said; nothing else is.
    assert code == 0, err
    assert all(line.startswith("fairart: warning: weight averaging took in none") for line in err.splitlines()), err
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [0, 1, 2]
    assert all(math.isfinite(record["loss"]) for record in history)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["trainer"] == method
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert f"{method} on digits" in out


@pytest.mark.parametrize("objective", ["at", "trades", "fat"])
@pytest.mark.parametrize("averaging", ["none", "ema", "fawa"])
def test_fair_tat_over_every_objective_of_the_paper(fairart_command, tmp_path, objective, averaging):
    flags = ("--objective", objective, "--averaging", averaging)
    code, _, err = fairart_command("train", "fair-tat", "--epochs", "1", "--output", tmp_path / "run", *flags, *SHORT)
    assert code == 0, err
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["objective"], config["averaging"]) == (objective, averaging)
