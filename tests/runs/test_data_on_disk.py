"""Runs whose images stay on disk: the same files as of a run in memory, from the command line too."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import yaml

from fairart import create
from fairart.cli.main import main
from fairart.errors import OptionError
from fairart.runs import data_memory as module
from fairart.runs.config import RunConfig
from fairart.runs.data_memory import at_most_free, settled
from fairart.runs.folders import check_unchanged
from fairart.runs.run import evaluate_run, load_run, train_run


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory):
    """The digits as ``npy:`` wants them."""
    folder, data = tmp_path_factory.mktemp("data") / "digits", create("dataset", "digits", data_root=None)
    folder.mkdir()
    data = data.subset(per_class=12)
    for name in ("x_train", "y_train", "y_test"):
        np.save(folder / f"{name}.npy", getattr(data, name))
    np.save(folder / "x_test.npy", data.x_test)
    np.save(folder / "classes.npy", np.array(data.classes))
    return folder


def config(folder, **changes):
    short = {"epochs": 2, "eps": 0.1, "eps_step": 0.05, "max_iter": 2, "batch_size": 50, "device": "cpu"}
    return RunConfig(trainer="fair-tat", dataset=f"npy:{folder}", **{**short, "augmentation": "crop-flip", **changes})


def history(folder):
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in one.items() if key not in ("seconds", "images_per_second")} for one in lines]


def test_a_run_on_disk_leaves_the_files_of_one_in_memory(digits_folder, tmp_path, capsys):
    one = train_run(config(digits_folder, data_memory="1GiB"), tmp_path / "memory", verbose=False)
    two = train_run(config(digits_folder, data_memory="0"), tmp_path / "disk", verbose=True)
    assert (one.dataset.on_disk, two.dataset.on_disk) == (False, True)
    assert "fairart: digits: images are read from disk batch by batch: " in capsys.readouterr().err
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("memory", "disk")]
    assert weights[0] == weights[1]
    assert history(tmp_path / "memory") == history(tmp_path / "disk")
    for folder in (tmp_path / "memory", tmp_path / "disk"):
        evaluate_run(folder, ("pgd",), corruptions=("fog",), severities=(3,), limit=60, verbose=False)
    documents = [json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("memory", "disk")]
    assert documents[0] == documents[1]


def test_the_command_line_trains_and_evaluates_from_disk(digits_folder, tmp_path, capsys):
    flags = ["--epochs", "1", "--per-class", "6", "--eps", "0.1", "--max-iter", "1", "--device", "cpu", "--batch-size", "30"]
    output = str(tmp_path / "run")
    assert main(["train", "at", "--dataset", f"npy:{digits_folder}", "--data-memory", "0", "--output", output, *flags]) == 0
    assert "are more than data_memory, 0 bytes" in capsys.readouterr().err
    assert main(["evaluate", output, "--attack", "fgsm", "--limit", "50", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert (
        main(["corrupt", f"npy:{digits_folder}", "--output", str(tmp_path / "c"), "--corruptions", "fog", "--limit", "20"]) == 0
    )


def test_a_data_set_that_is_always_in_memory_refuses_the_flag(tmp_path, capsys):
    flags = ["--data-memory", "1GiB", "--output", str(tmp_path / "run")]
    assert main(["train", "at", *flags]) == 2
    assert "data_memory: the images of data set 'digits' are always in memory" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_free_is_written_down_and_a_resumed_run_keeps_to_it(digits_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 2 << 20)
    run = train_run(config(digits_folder, epochs=1), tmp_path / "a", verbose=False)
    assert run.config.data_memory == "1MiB"
    assert yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())["data_memory"] == "1MiB"
    assert not run.dataset.on_disk
    # Another amount changes no number of these images, so a run goes on with it.
    check_unchanged(tmp_path / "a", settled(run.config, device="cpu"))
    check_unchanged(tmp_path / "a", dataclasses.replace(run.config, data_memory="0"))
    monkeypatch.setattr(module, "available_memory", lambda: 0)
    assert load_run(tmp_path / "a").dataset.on_disk, "evaluating takes no more than is free here"
    assert load_run(tmp_path / "a").config.data_memory == "1MiB"


def test_the_first_process_decides_for_all(digits_folder, monkeypatch):
    class First:
        def broadcast(self, value, src):
            assert src == 0
            return 5 << 20

    monkeypatch.setattr(module, "available_memory", lambda: 1 << 40)
    assert settled(config(digits_folder), First(), device="cpu").data_memory == "5MiB"
    assert settled(config(digits_folder, data_memory="7GiB"), First(), device="cpu").data_memory == "7GiB"
    assert settled(RunConfig(trainer="at"), First(), device="cpu").data_memory is None
    # Three copies of the images, one in each process and one in that which starts them, and half of the memory for them.
    assert settled(config(digits_folder, devices=2), device="cpu").data_memory == f"{(1 << 40) // 6 >> 20}MiB"
    assert at_most_free(config(digits_folder, data_memory="2TiB"), device="cpu").data_memory == f"{1 << 19}MiB"
    assert at_most_free(config(digits_folder, data_memory="3MiB"), device="cpu").data_memory == "3MiB"


def test_a_bad_amount_is_refused_before_anything_is_written(digits_folder, tmp_path):
    with pytest.raises(OptionError, match="data_memory expects an amount of memory such as 4GiB, 500MB or 0, got 'lots'"):
        train_run(config(digits_folder, data_memory="lots"), tmp_path / "a", verbose=False)
    assert not (tmp_path / "a").exists()
