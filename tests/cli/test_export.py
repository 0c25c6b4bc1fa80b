"""``fairart export`` as a user meets it."""

from __future__ import annotations

import json

import pytest


def test_files_are_named(fairart_command, trained, tmp_path):
    code, out, err = fairart_command("export", trained, "--format", "hub-folder", "--output", tmp_path / "hub", "--json")
    assert (code, err) == (0, "")
    names = ("model.safetensors", "config.json", "README.md")
    assert json.loads(out)["files"] == [str(tmp_path / "hub" / name) for name in names]
    code, out, err = fairart_command("evaluate", trained, "--attack", "none", "--json")
    ours = json.loads(out)["results"][0]["predictions"]
    code, out, err = fairart_command(
        *("evaluate", "--model", f"hf:{tmp_path / 'hub'}", "--dataset", "digits", "--attack", "none", "--json"),
        *("--output", tmp_path / "eval", "--quiet"),
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["results"][0]["predictions"] == ours


@pytest.mark.parametrize(
    ("flags", "detail"),
    [
        ([], "no run given"),
        (["{run}"], "no format given: add --format with one of safetensors"),
        (["{run}", "--format", "onx", "--output", "{out}"], "did you mean 'onnx'"),
        (["{run}", "--format", "safetensors"], "no output given: add --output PATH"),
        (["{run}", "--format", "safetensors", "--output", "{run}/config.yaml"], "exists already"),
        (["{run}", "--format", "safetensors", "--output", "no/such/w.safetensors"], "there is no folder 'no/such'"),
        (["no-run", "--format", "safetensors", "--output", "{out}"], "there is no folder 'no-run'"),
    ],
)
def test_bad_requests_are_one_line_and_write_nothing(fairart_command, trained, tmp_path, flags, detail):
    code, out, err = fairart_command("export", *(flag.format(run=trained, out=tmp_path / "out") for flag in flags))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert detail in err
    assert list(tmp_path.iterdir()) == []
