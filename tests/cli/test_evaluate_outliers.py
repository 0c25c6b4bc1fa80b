"""``fairart evaluate --ood``: outliers beside the test images, from the flag to table and file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fairart.datasets.digits import load_digits
from fairart.evaluation import EvaluationResult

QUICK = ("--attack", "none", "--limit", "60")


@pytest.fixture(scope="module")
def without_two(tmp_path_factory):
    """A run that never saw the digits 8 and 9."""
    from fairart.cli.main import main

    folder = tmp_path_factory.mktemp("runs") / "eight"
    flags = ("--epochs", "2", "--leave-out", "8,9", "--device", "cpu", "--quiet", "--output", str(folder))
    assert main(["train", "standard", *flags]) == 0
    return folder


def test_table_file_and_settings(fairart_command, trained):
    flags = ("--ood", "noise", "--ood", "soft=blurred", "--ood-scores", "msp,energy", "--ood-attack", "msp")
    code, out, err = fairart_command("evaluate", trained, *QUICK, *flags, "--set", "ood.max_iter=2", "--set", "ood.samples=30")
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    ood = result.ood
    assert (list(ood), ood.scores, list(ood.attacked)) == (["noise", "soft"], ("msp", "energy"), ["msp"])
    assert len(ood.inliers) == 60
    assert len(ood["soft"]) == 30
    # Trained at eps 0.1 with steps of 0.05, so attacked so.
    assert ood.config["attack"] == {"scores": ["msp"], "eps": 0.1, "eps_step": 0.05, "max_iter": 2, "norm": "inf"}
    assert ood.config["sets"]["soft"]["dataset"] == "blurred"
    table = [line.split() for line in out.splitlines()]
    found = ood.detection("soft", "energy")
    (row,) = [line for line in table if line[:3] == ["soft", "30", "energy"]]
    assert row[4] == f"{100 * found.auroc:.1f}"
    assert f"{100 * ood.detection('noise').auroc:.1f}" in out
    assert "per cent; a larger score means more like the test images" in out


def test_json_has_the_part_and_another_batch_size_changes_nothing(fairart_command, trained):
    first, other = (
        json.loads(fairart_command("evaluate", trained, *QUICK, "--ood", "noise", "--json", "--batch-size", size)[1])["ood"]
        for size in (60, 13)
    )
    assert first["scores"] == ["energy", "msp", "max-logit", "entropy"]
    for one, two in zip(first["sets"][0]["detection"], other["sets"][0]["detection"], strict=True):
        assert one["auroc"] == pytest.approx(two["auroc"], abs=2e-3)
        assert one["support_out"] == two["support_out"]
        assert one["worst_class"] == two["worst_class"]


def test_a_data_set_from_a_file(fairart_command, trained, tmp_path):
    x = np.random.default_rng(0).random((40, 1, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "mine.npz", x_test=x, y_test=np.arange(40) % 3)
    code, out, _ = fairart_command("evaluate", trained, *QUICK, "--ood", f"mine=npz:{tmp_path / 'mine.npz'}")
    assert code == 0
    assert f"mine: npz:{tmp_path / 'mine.npz'}; " in out
    result = EvaluationResult.load(trained / "evaluation.json")
    assert len(result.ood["mine"]) == 40


def test_classes_that_were_left_out(fairart_command, without_two, trained):
    code, out, err = fairart_command("evaluate", without_two, "--attack", "none", "--ood", "unseen", "--ood", "blurred")
    assert (code, err) == (0, "")
    result = EvaluationResult.load(without_two / "evaluation.json")
    assert result.class_names == tuple("01234567")
    whole = load_digits()
    assert len(result.ood["unseen"]) == (whole.y_test >= 8).sum()
    assert len(result.labels) == (whole.y_test < 8).sum()
    assert result.config["note"] == "classes left out: 8, 9"
    assert "unseen: test images of the classes left out of training; " in out
    code, _, err = fairart_command("evaluate", trained, *QUICK, "--ood", "unseen")
    assert code == 2
    assert "--leave-out" in err


def test_a_model_without_a_run(fairart_command, trained, tmp_path):
    flags = (
        "--model",
        "small-cnn",
        "--weights",
        trained / "model.safetensors",
        "--dataset",
        "digits",
        "--output",
        tmp_path / "e",
    )
    code, _, _ = fairart_command(
        "evaluate", *flags, *QUICK, "--ood", "noise", "--ood-attack", "energy", "--set", "ood.max_iter=1"
    )
    assert code == 0
    found = EvaluationResult.load(tmp_path / "e" / "evaluation.json").ood
    assert found.conditions("noise", "energy") == ("none", "outliers", "inliers", "both")
    code, _, err = fairart_command("evaluate", *flags, *QUICK, "--ood", "unseen")
    assert code == 2
    assert "this model has seen all" in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ood", "nois"), "there is no set of outliers or data set 'nois'; did you mean 'noise'?"),
        (("--ood", "a="), "--ood expects NAME=DATASET"),
        (("--ood", "noise", "--ood", "noise=blurred"), "two sets are named 'noise'"),
        (("--ood-scores", "msp"), "--ood-scores goes with --ood"),
        (("--ood-attack", "msp"), "--ood-attack goes with --ood"),
        (("--ood", "noise", "--ood-scores", "enrgy"), "there is no score 'enrgy'; did you mean 'energy'"),
        (("--ood", "noise", "--set", "ood.epss=1"), "ood has no option 'epss'; did you mean 'eps' or 'eps_step'?"),
        (("--ood", "noise", "--set", "ood.fit=1"), "training images of the data set are taken"),
        (("--ood", "noise", "--set", "ood.max_iter=0"), "max_iter must be >= 1"),
        (("--ood", "digits"), "are test or training images"),
        (("--ood", "a=npz:/nowhere.npz"), "there is no file"),
    ],
)
def test_bad_flags_are_one_line_and_leave_the_file_alone(fairart_command, trained, flags, message):
    assert fairart_command("evaluate", trained, *QUICK)[0] == 0
    before = (trained / "evaluation.json").read_bytes()
    code, out, err = fairart_command("evaluate", trained, *QUICK, *flags)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert (trained / "evaluation.json").read_bytes() == before


@pytest.mark.parametrize(
    ("value", "message"),
    [("eight", "has no class 'eight' to leave out"), ("0,1,2,3,4,5,6,7,8", "at least two classes to be left, got 1 of 10")],
)
def test_bad_classes_to_leave_out(fairart_command, tmp_path, value, message):
    code, _, err = fairart_command("train", "standard", "--leave-out", value, "--output", tmp_path / "r", "--quiet")
    assert code == 2
    assert message in err


def test_a_run_in_l2_is_attacked_in_l2_and_one_without_a_budget_by_the_default(fairart_command, train, tmp_path):
    flags = (*QUICK, "--ood", "noise", "--ood-attack", "energy", "--set", "ood.max_iter=4")
    for name, given, expected in (
        ("l2", ("--norm", 2, "--eps", 0.5), {"eps": 0.5, "norm": 2}),
        ("none", ("--eps", 0, "--eps-step", 0), {"eps": 8 / 255, "norm": "inf"}),
    ):
        assert train("standard", tmp_path / name, "--quiet", *given)[0] == 0
        assert fairart_command("evaluate", tmp_path / name, *flags, "--quiet")[0] == 0
        attack = EvaluationResult.load(tmp_path / name / "evaluation.json").ood.config["attack"]
        assert {key: attack[key] for key in expected} == expected
