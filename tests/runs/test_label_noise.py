"""A run with noisy labels: what its files say about them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairart.cli.main import main
from fairart.reporting.page import render_page
from fairart.runs.collect import collect
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import RunError
from fairart.runs.label_noise import predicted_classes, read_label_noise
from fairart.runs.run import load_run, train_run
from fairart.statistics import learnt_labels


def test_counts_by_hand() -> None:
    original, given, predictions = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 0]), np.array([0, 1, 0, 1, 0, 0])
    counts = learnt_labels(original, given, predictions, 3)
    assert counts.given.tolist() == [[1, 2, 0], [0, 1, 1], [1, 0, 0]]
    assert counts.noisy.tolist() == [2, 1, 1]
    assert counts.noisy_learnt.tolist() == [1, 0, 1]
    assert counts.noisy_resisted.tolist() == [1, 0, 0]
    rows = counts.by_class(("a", "b", "c"))
    assert rows[0] == {
        "class": "a", "noisy": 2, "learnt": 1, "original": 1, "other": 0,
        "unchanged": 1, "unchanged_right": 1, "given": 1, "given_learnt": 1,
    }  # fmt: skip
    assert [row["other"] for row in rows] == [0, 1, 0]
    with pytest.raises(ValueError, match=r"given must have the shape \(6,\)"):
        learnt_labels(original, given[1:], predictions, 3)
    with pytest.raises(ValueError, match=r"predictions must lie in \[0, 3\), got 0 to 3"):
        learnt_labels(original, given, predictions + 2 * (predictions == 1), 3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise") / "run"
    config = RunConfig(trainer="standard", label_noise="symmetric:0.3", epochs=3, per_class=40, keep_best="average", hold_out=0.2)
    train_run(config, folder, verbose=False)
    return folder


def test_the_file_of_the_run_agrees_with_its_network(trained: Path) -> None:
    document, run = read_label_noise(trained), load_run(trained)
    assert document is not None
    data = run.dataset
    assert document["indices"] == data.noisy.tolist()
    assert data.y_train_original is not None
    assert document["original"] == data.y_train_original[data.noisy].tolist()
    assert document["given"] == data.y_train[data.noisy].tolist()
    # Held-out images were not trained on: their labels cannot have been learnt.
    assert len(document["held_out"]) == np.round(0.2 * np.bincount(data.y_train)).sum()
    rows = np.setdiff1d(data.noisy, document["held_out"])
    predictions = run.classifier.predict(data.x_train).argmax(axis=1)
    assert document["predictions"] == predictions[data.noisy].tolist()
    by_class = document["by_class"]
    assert sum(row["noisy"] for row in by_class) == len(rows)
    assert sum(row["learnt"] for row in by_class) == (predictions[rows] == data.y_train[rows]).sum()
    assert sum(row["original"] for row in by_class) == (predictions[rows] == data.y_train_original[rows]).sum()
    best = read_label_noise(trained / "best")
    assert best is not None
    assert best["indices"] == document["indices"]
    inside = load_run(trained / "best")
    assert best["predictions"] == predicted_classes(inside.classifier, inside.dataset)[data.noisy].tolist()


def test_evaluation_and_page_show_it(trained: Path) -> None:
    document = read_label_noise(trained)
    assert document is not None
    result = evaluate_run(trained, ["fgsm"], verbose=False, sanity_samples=0)
    assert result.config["label_noise"] == {
        "noise": "symmetric:0.3",
        "noisy": len(document["indices"]),
        "by_class": document["by_class"],
    }
    page = render_page(collect([trained]))
    assert 'id="label-noise"' in page
    total = sum(row["noisy"] for row in document["by_class"])
    learnt = sum(row["learnt"] for row in document["by_class"])
    assert f"{100 * learnt / total:.1f}" in page[page.index('id="label-noise"') :]


def test_resuming_keeps_it_and_overwriting_without_noise_removes_it(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    before = (folder / "label_noise.json").read_bytes()
    assert main(["train", "--resume", "--output", str(folder), "--quiet"]) == 0
    assert (folder / "label_noise.json").read_bytes() == before
    (folder / "label_noise.json").write_text("{")
    with pytest.raises(RunError, match=r"label_noise\.json is damaged"):
        collect([folder])
    train_run(RunConfig(trainer="standard", epochs=1, per_class=10), folder, overwrite=True, verbose=False)
    assert not (folder / "label_noise.json").exists()
    page = render_page(collect([folder]))
    assert 'id="label-noise"' not in page


def test_an_adjusted_run_has_its_own_predictions(trained: Path, tmp_path: Path) -> None:
    assert main(["adjust", str(trained), "--tau-norm", "1", "--output", str(tmp_path / "tau"), "--quiet"]) == 0
    before, after = read_label_noise(trained), read_label_noise(tmp_path / "tau")
    assert before is not None
    assert after is not None
    assert after["indices"] == before["indices"]
    assert after["held_out"] == before["held_out"]
    run = load_run(tmp_path / "tau")
    assert after["predictions"] == predicted_classes(run.classifier, run.dataset)[run.dataset.noisy].tolist()


def test_the_command_prints_it(tmp_path: Path, capsys: Any) -> None:
    arguments = ["train", "standard", "--epochs", "1", "--per-class", "20", "--label-noise", "pair:0.5", "--output"]
    assert main([*arguments, str(tmp_path / "a"), "--json"]) == 0
    noise = json.loads(capsys.readouterr().out)["label_noise"]
    assert (noise["noise"], noise["noisy"], len(noise["by_class"])) == ("pair:0.5", 100, 10)
    assert main([*arguments, str(tmp_path / "b")]) == 0
    assert "label noise pair:0.5: predictions on the training images" in capsys.readouterr().out
    assert main([*arguments[:-2], "pair:7", "--output", str(tmp_path / "c")]) == 2
    assert "digits: label_noise pair expects a rate from 0 to 1" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_the_page_shows_which_labels_self_training_replaced(tmp_path: Path) -> None:
    options = {"trainer": {"threshold": 0.3, "warm_up": 1}}
    config = RunConfig(trainer="self-training", label_noise="symmetric:0.3", epochs=3, per_class=20, options=options)
    run = train_run(config, tmp_path / "run", verbose=False)
    assert run.history[0].relabelled is None
    assert run.history[-1].relabelled is not None
    page = render_page(collect([tmp_path / "run"]))
    assert "Labels replaced" in page
    assert f"{run.history[-1].relabelled[3]:.2f}" in page[page.index("Labels replaced") :]
    train_run(RunConfig(trainer="standard", epochs=1, per_class=10), tmp_path / "plain", verbose=False)
    assert "Labels replaced" not in render_page(collect([tmp_path / "plain"]))
