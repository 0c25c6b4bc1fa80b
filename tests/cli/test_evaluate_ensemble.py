"""``fairart evaluate RUN RUN --ensemble`` as a user meets it, and what compare and report make of it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fairart.evaluation import EvaluationResult
from fairart.runs.run import load_run


@pytest.fixture
def runs(train, tmp_path):
    for seed, method in enumerate(("at", "trades")):
        assert train(method, tmp_path / f"r{seed}", "--seed", seed, "--quiet")[0] == 0
    return [tmp_path / "r0", tmp_path / "r1"]


def test_the_table_the_file_compare_and_report(fairart_command, runs, tmp_path):
    output = tmp_path / "both"
    code, out, err = fairart_command(
        "evaluate", *runs, "--ensemble", "--output", output, "--limit", "60", "--sanity-samples", "0", "--set", "pgd.max_iter=3"
    )
    assert (code, err) == (0, "")
    result = EvaluationResult.load(output / "evaluation.json")
    assert out.startswith(result.table())
    about = result.config["ensemble"]
    assert (about["combine"], about["notes"]) == ("probabilities", [])
    assert [member["run"] for member in about["members"]] == list(map(str, runs))
    assert [member["trainer"] for member in about["members"]] == ["at", "trades"]
    for run, member in zip(runs, about["members"], strict=True):
        assert member["sha256"] == hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    # The budget is that of the members.
    assert result["pgd"].config["options"]["eps"] == 0.1
    assert not (output / "evaluation.partial").exists()
    assert [run for run in runs if (run / "evaluation.json").exists()] == []
    members = [load_run(run).classifier for run in runs]
    x = load_run(runs[0]).dataset.x_test[np.sort(np.random.default_rng(0).permutation(450)[:60])]
    shares = [np.exp(p - p.max(axis=1, keepdims=True)) for p in (member.predict(x) for member in members)]
    mean = sum(share / share.sum(axis=1, keepdims=True) for share in shares)
    np.testing.assert_array_equal(result["clean"].predictions, mean.argmax(axis=1))
    np.testing.assert_array_equal(result.ensemble["clean"].votes, [share.argmax(axis=1) for share in shares])
    assert fairart_command("evaluate", runs[0], "--attack", "none", "--limit", "60", "--quiet")[0] == 0
    for style in ("text", "markdown"):
        shown = fairart_command("compare", output, runs[0], "--format", style)[1]
        assert "ensemble of 2, mean of probabilities; members disagree on % of the images: clean" in shown
    assert fairart_command("report", output, "--output", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text()
    assert '<section id="ensembles"' in page
    assert "2 members, mean of probabilities" in page


def test_logits_and_json(fairart_command, runs, tmp_path):
    flags = ("--attack", "none", "--limit", "30", "--json")
    code, out, _ = fairart_command("evaluate", *runs, "--ensemble", "logits", "--output", tmp_path / "both", *flags)
    assert code == 0
    assert json.loads(out)["ensemble"]["combine"] == "logits"


def test_several_runs_without_the_flag_are_refused(fairart_command, tmp_path):
    code, _, err = fairart_command("evaluate", tmp_path / "a", tmp_path / "b")
    assert code == 2
    assert "2 runs are given: add --ensemble" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a", "--ensemble", "--output", "x"), "--ensemble takes two runs or more, got 1"),
        (("a", "b", "--ensemble"), "no output given"),
        (("--ensemble", "a", "b"), "expects probabilities or logits, got 'a'"),
        (("a", "b", "--ensemble", "--output", "x", "--weights", "w.pt"), "--weights is for a model"),
        (("a", "--output", "x"), "--output is for a model"),
    ],
)
def test_flags_that_do_not_go_together(fairart_command, arguments, told):
    code, _, err = fairart_command("evaluate", *arguments)
    assert code == 2
    assert told in err


def test_members_that_do_not_fit_together_are_refused_before_any_work(fairart_command, train, runs, tmp_path):
    output = tmp_path / "both"

    def told(*arguments):
        code, _, err = fairart_command("evaluate", *arguments, "--ensemble", "--output", output)
        assert code == 2
        assert not output.exists()
        return err

    assert "is given twice" in told(runs[0], runs[0])
    assert "there is no folder" in told(runs[0], tmp_path / "nothing")
    assert train("at", tmp_path / "stronger", "--seed", 2, "--quiet", "--eps", "0.2")[0] == 0
    err = told(runs[0], tmp_path / "stronger")
    assert "different budgets" in err
    assert "--eps" in err
    x = np.random.default_rng(0).random((60, 1, 10, 10), dtype=np.float32)
    y = np.arange(60) % 3
    np.savez(tmp_path / "other.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert fairart_command(
        *("train", "at", "--dataset", f"npz:{tmp_path / 'other.npz'}", "--epochs", "1", "--eps", "0.1", "--max-iter", "1"),
        *("--output", tmp_path / "other", "--quiet"),
    )[0] == 0  # fmt: skip
    err = told(runs[0], tmp_path / "other")
    assert "must have the same images" in err
    assert str(runs[0]) in err
    assert "a run of fairart" in fairart_command("evaluate", *runs, "--ensemble", "--output", runs[0])[2]


def test_the_checksum_follows_the_weights_of_a_member(fairart_command, runs, tmp_path):
    output = tmp_path / "both"
    flags = ("--ensemble", "--output", output, "--attack", "none", "--limit", "30", "--quiet")
    assert fairart_command("evaluate", *runs, *flags)[0] == 0
    before = json.loads((output / "evaluation.json").read_text())["config"]["ensemble"]["members"]
    file = runs[1] / "model.safetensors"
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    save_file({name: 0.5 * tensor for name, tensor in load_file(file).items()}, file, metadata=metadata)
    assert fairart_command("evaluate", *runs, *flags)[0] == 0
    after = json.loads((output / "evaluation.json").read_text())["config"]["ensemble"]["members"]
    assert before[0] == after[0]
    assert before[1]["sha256"] != after[1]["sha256"]
