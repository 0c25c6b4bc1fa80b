"""Runs whose last layer is changed after training: what moves, what stays, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fairart.errors import OptionError
from fairart.models.last_layer import last_linear
from fairart.runs.adjusting import adjust_run, parsed_adjustment
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import RunError
from fairart.runs.run import load_run, train_run

SETTINGS: dict[str, Any] = {
    "trainer": "at",
    "imbalance": "exp:5",
    "per_class": 20,
    "epochs": 2,
    "batch_size": 32,
    "max_iter": 2,
    "lr": 0.05,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "base"
    train_run(RunConfig(**SETTINGS), folder, verbose=False)
    return folder


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("adjustment", ["tau-norm:0.7", "logit-adjustment:1", "crt:2"])
def test_only_the_last_layer_moves(trained: Path, adjustment: str, tmp_path: Path) -> None:
    folder = adjust_run(trained, adjustment, tmp_path / "adjusted", verbose=False)
    before, after = weights(trained), weights(folder)
    layer = last_linear(load_run(trained).classifier.model, 10)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    own = {name for name in before if before[name].shape in (layer.weight.shape, layer.bias.shape) and name in moved}
    # Batch-norm's statistics and every other weight are what they were, to the last bit.
    assert moved
    assert moved == own
    assert RunConfig.load(folder / "config.yaml").adjustment == adjustment
    result = evaluate_run(folder, (), limit=40, verbose=False)
    assert result.config["training_counts"] == load_run(trained).dataset.training_counts


def test_logit_adjustment_shifts_predictions_to_rare_classes(trained: Path, tmp_path: Path) -> None:
    folder = adjust_run(trained, "logit-adjustment:1", tmp_path / "adjusted", verbose=False)
    run, other = load_run(trained), load_run(folder)
    x = run.dataset.x_test[:50].astype(np.float32)
    x = x / 255 if run.dataset.x_test.dtype == np.uint8 else x
    counts = np.array(run.dataset.training_counts)
    shift = np.log(counts / counts.sum())
    np.testing.assert_allclose(other.classifier.predict(x), run.classifier.predict(x) - shift, atol=1e-4)


def test_training_with_an_adjustment_is_training_and_then_adjusting(trained: Path, tmp_path: Path) -> None:
    for adjustment in ("tau-norm:0.7", "crt:1"):
        name = adjustment.partition(":")[0]
        at_once = train_run(RunConfig(**SETTINGS, adjustment=adjustment), tmp_path / f"{name}-once", verbose=False).folder
        after = adjust_run(trained, adjustment, tmp_path / f"{name}-after", verbose=False)
        one, other = weights(at_once), weights(after)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_retrained_layer_is_the_same_again_and_the_file_is_whole(trained: Path, tmp_path: Path) -> None:
    first, second = (adjust_run(trained, "crt:1", tmp_path / str(number), verbose=False) for number in (0, 1))
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("adjustment", "message"),
    [
        ("tau-norm", "adjustment expects tau-norm:NUMBER or logit-adjustment:NUMBER or crt:NUMBER, got 'tau-norm'"),
        ("tau:1", "got 'tau:1'"),
        ("tau-norm:-1", "adjustment tau-norm expects a number >= 0, got '-1'"),
        ("tau-norm:x", "expected a number such as 0.03"),
        ("crt:0", "adjustment crt expects epochs, >= 1, got '0'"),
        ("crt:1.5", "adjustment crt expects epochs, >= 1, got '1.5'"),
        ("crt:inf", "adjustment crt expects epochs, >= 1, got 'inf'"),
        ("tau-norm:inf", "adjustment tau-norm expects a number >= 0, got 'inf'"),
    ],
)
def test_what_is_no_adjustment_is_refused_before_any_work(adjustment: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=message):
        parsed_adjustment(adjustment)
    with pytest.raises(OptionError, match=message):
        train_run(RunConfig(**SETTINGS, adjustment=adjustment), tmp_path / "run", verbose=False)
    assert not (tmp_path / "run").exists()


def test_an_adjusted_run_is_not_adjusted_again(trained: Path, tmp_path: Path) -> None:
    folder = adjust_run(trained, "tau-norm:1", tmp_path / "adjusted", verbose=False)
    with pytest.raises(RunError, match=r"is adjusted already \(tau-norm:1\)"):
        adjust_run(folder, "tau-norm:1", tmp_path / "again", verbose=False)
    with pytest.raises(FileExistsError, match="has a run already"):
        adjust_run(trained, "tau-norm:1", folder, verbose=False)


def test_a_run_is_never_overwritten_by_what_is_made_of_it(trained: Path, tmp_path: Path) -> None:
    whole = tmp_path / "run"
    shutil.copytree(trained, whole / "best")
    before = (whole / "best" / "config.yaml").read_bytes()
    for output in (whole / "best", whole):
        with pytest.raises(OptionError, match=r"the adjusted run would overwrite .*best', which it is made of"):
            adjust_run(whole / "best", "tau-norm:1", output, overwrite=True, verbose=False)
    assert (whole / "best" / "config.yaml").read_bytes() == before
    assert not (whole / "config.yaml").exists()


def test_overwriting_leaves_nothing_of_the_run_that_was_there(trained: Path, tmp_path: Path) -> None:
    place = tmp_path / "other"
    shutil.copytree(trained, place)
    shutil.copytree(trained, place / "best")
    (place / "evaluation.json").write_text("of other weights")
    (place / "notes.txt").write_text("mine")
    adjust_run(trained, "tau-norm:1", place, overwrite=True, verbose=False)
    left = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith("checkpoint/")} == {
        "config.yaml",
        "history.jsonl",
        "model.safetensors",
        "notes.txt",
    }
    assert not [name for name in left if "checkpoint-" in name]


def test_a_model_without_such_a_layer_is_named() -> None:
    with pytest.raises(ValueError, match="must end in a linear layer with 10 outputs, got 3 outputs"):
        last_linear(torch.nn.Sequential(torch.nn.Linear(4, 3)), 10)
    with pytest.raises(ValueError, match="got no linear layer at all"):
        last_linear(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)), 10)


def test_the_command(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fairart.cli.main import main

    assert main(["adjust", str(trained), "--tau-norm", "0.5", "--output", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["adjustment"] == "tau-norm:0.5"
    assert main(["adjust", str(trained), "--tau-norm", "1", "--crt", "2", "--output", str(tmp_path / "b")]) == 2
    assert "give one of --tau-norm, --logit-adjustment and --crt, got 2" in capsys.readouterr().err
    assert main(["adjust", str(trained), "--tau-norm", "1"]) == 2
    assert "no output given" in capsys.readouterr().err
