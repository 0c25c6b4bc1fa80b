"""Runs whose images stay on disk: the same files as of a run in memory, from the command line too."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from fairart import create
from fairart.cli.main import main
from fairart.errors import OptionError
from fairart.runs import data_memory as module
from fairart.runs.config import RunConfig
from fairart.runs.data_memory import at_most_free, settled
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import check_unchanged
from fairart.runs.run import load_run, train_run


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


@pytest.fixture
def images_folder(tmp_path):
    """Ninety noisy grey images of three classes, each class with a level of its own."""
    random = np.random.default_rng(0)
    for number in range(90):
        pixels = (60 * (number % 3) + random.integers(0, 70, (10, 12))).astype(np.uint8)
        for split in ("train", "test")[: 1 + (number < 24)]:
            place = tmp_path / "images" / split / "abc"[number % 3]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number:02}.png")
    return tmp_path / "images"


FOLDER = ["--set", "dataset.size=8", "--set", "dataset.colour=grey", "--data-memory", "0", "--eps", "0.05", "--max-iter", "1"]


def train_folder(images_folder, output, *flags):
    short = ["--epochs", "1", "--device", "cpu", "--batch-size", "30", "--model", "small-cnn"]
    return main(["train", "at", "--dataset", f"folder:{images_folder}", "--output", str(output), *short, *FOLDER, *flags])


@pytest.mark.filterwarnings("ignore:.*another image of its class is trained on")
def test_damaged_images_are_passed_over_counted_and_listed(images_folder, tmp_path, capsys):
    damaged = [images_folder / "train" / "a" / "03.png", images_folder / "train" / "c" / "89.png"]
    for file in (*damaged, images_folder / "test" / "b" / "01.png"):
        file.write_bytes(b"no image")
    assert train_folder(images_folder, tmp_path / "run") == 2
    assert "cannot be read as an image" in capsys.readouterr().err
    assert train_folder(images_folder, tmp_path / "run", "--skip-unreadable", "--overwrite") == 0
    said = capsys.readouterr().err
    assert "fairart: images: images are read from their files and decoded batch by batch: " in said
    assert "fairart: passed over 2 image files that could not be read, listed in " in said
    lines = (tmp_path / "run" / "unreadable.txt").read_text().splitlines()
    assert [line.split(" cannot be read as an image: ")[0] for line in lines] == [str(file) for file in damaged]
    assert main(["evaluate", str(tmp_path / "run"), "--attack", "fgsm", "--quiet"]) == 0
    document = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert document["config"]["nb_samples"] == 23
    assert document["config"]["unreadable"] == [str(images_folder / "test" / "b" / "01.png")]


def test_a_run_with_random_crops_is_repeated_and_evaluated(images_folder, tmp_path, capsys):
    crops = ["--set", "dataset.crop=random"]
    for name in ("one", "two"):
        assert train_folder(images_folder, tmp_path / name, *crops, "--set", f"dataset.workers={0 if name == 'one' else 2}") == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    assert "each is cropped anew in every epoch" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "one"), "--attack", "fgsm", "--quiet"]) == 0


def test_skipping_is_refused_where_there_are_no_files(digits_folder, tmp_path, capsys):
    assert main(["train", "at", "--skip-unreadable", "--output", str(tmp_path / "run")]) == 2
    assert "skip_unreadable: data set 'digits' has no image files to pass over" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_train_from_disk_what_two_train_from_memory(digits_folder, tmp_path):
    pytest.importorskip("lightning_fabric")
    for name, amount in (("memory", "1GiB"), ("disk", "0")):
        train_run(config(digits_folder, epochs=1, devices=2, data_memory=amount), tmp_path / name, verbose=False)
    assert history(tmp_path / "memory") == history(tmp_path / "disk")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("memory", "disk")]
    assert weights[0] == weights[1]
