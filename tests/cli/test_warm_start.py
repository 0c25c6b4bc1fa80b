"""``fairart train --warm-start``: training begins with the weights of a run or of a file."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file

from fairart.runs.config import RunConfig


@pytest.mark.parametrize("form", ["run", "safetensors", "pth"])
def test_training_begins_with_these_weights(train, trained, tmp_path, form):
    state = load_file(trained / "model.safetensors")
    place = trained
    if form == "safetensors":
        place = trained / "model.safetensors"
    elif form == "pth":
        place = tmp_path / "w.pth"
        torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, place)
    # With a learning rate near zero the weights stay what they were at the start.
    code, _, err = train("at", tmp_path / "fine", "--warm-start", place, "--lr", "1e-12", "--weight-decay", "0", "--quiet")
    assert (code, err) == (0, "")
    found = load_file(tmp_path / "fine" / "model.safetensors")
    for name, value in state.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
    assert RunConfig.load(tmp_path / "fine" / "config.yaml").warm_start == str(place)


def test_it_has_one_name(fairart_command, trained, tmp_path):
    code, _, err = fairart_command("train", "at", "--set", f"trainer.warm_start={trained}", "--output", tmp_path / "x")
    assert code == 2
    assert "set warm_start (--warm-start)" in err


@pytest.mark.parametrize(
    ("spoil", "detail"), [("missing", "there is no weight file"), ("unfinished", "it has no model.safetensors")]
)
def test_what_cannot_be_read_is_named_before_anything_is_written(train, trained, tmp_path, spoil, detail):
    place = tmp_path / "gone.pt"
    if spoil == "unfinished":
        place = tmp_path / "copy"
        shutil.copytree(trained, place)
        (place / "model.safetensors").unlink()
    code, _, err = train("at", tmp_path / "x", "--warm-start", place)
    assert code == 2
    assert detail in err
    assert err.count("\n") == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("inside", ["", "best", "model.safetensors", "best/model.safetensors"])
def test_a_run_does_not_overwrite_what_it_starts_from(train, trained, tmp_path, inside):
    place = tmp_path / "run"
    shutil.copytree(trained, place)
    shutil.copytree(trained, place / "best")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    code, _, err = train("at", place, "--warm-start", place / inside, "--overwrite")
    assert code == 2
    assert "which it starts from, and could not be resumed or repeated: choose another output" in err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_weights_beside_a_run_stay_when_it_is_overwritten(train, trained, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(trained, place)
    shutil.copyfile(trained / "model.safetensors", place / "start.safetensors")
    code, _, err = train("at", place, "--warm-start", place / "start.safetensors", "--overwrite", "--quiet")
    assert (code, err) == (0, "")
    assert (place / "start.safetensors").exists()
