"""``fairart evaluate --groups`` as a user meets it, and what compare and report make of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from fairart.datasets.digits import load_digits
from fairart.evaluation import EvaluationResult

QUICK = ("--set", "pgd.max_iter=2", "--limit", "80", "--sanity-samples", "0")


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    """A file of one value a test image of digits: how much ink it has."""
    file = tmp_path_factory.mktemp("groups") / "stroke.npy"
    ink = load_digits().x_test.mean(axis=(1, 2, 3))
    np.save(file, np.where(ink > np.median(ink), "thick", "thin"))
    return file


def test_the_table_and_the_file_have_the_groups_of_the_images_evaluated(fairart_command, trained, strokes):
    code, out, err = fairart_command("evaluate", trained, *QUICK, "--groups", strokes)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert "worst group" in out
    groups = result.groups["stroke"]
    assert len(groups.index) == len(result.labels) == 80
    # The images of --limit are known by their number: the same choice without groups has the same labels.
    keep = np.sort(np.random.default_rng(0).permutation(450)[:80])
    assert np.array(groups.names)[groups.index].tolist() == np.load(strokes)[keep].tolist()


def test_several_attributes_and_a_column_of_a_data_set(fairart_command, train, tmp_path):
    data = load_digits()
    site = np.where(np.arange(len(data.y_test)) % 2, "north", "south")
    np.savez(
        tmp_path / "own.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test, site_test=site
    )
    (tmp_path / "sensor.csv").write_text("".join(f"s{k % 3}\n" for k in range(450)))
    assert train("at", tmp_path / "run", "--dataset", f"npz:{tmp_path / 'own.npz'}", "--quiet")[0] == 0
    flags = ("--groups", "site", "--groups", tmp_path / "sensor.csv", "--json")
    code, out, err = fairart_command("evaluate", tmp_path / "run", "--attack", "none", *flags)
    assert (code, err) == (0, "")
    plain = json.loads(out)["groups"]
    assert [(entry["name"], entry["names"]) for entry in plain] == [
        ("site", ["north", "south"]),
        ("sensor", ["s0", "s1", "s2"]),
    ]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["site"], "groups 'site': the data set has no such column of its test images (it has none)"),
        (["gone.csv"], "there is no file gone.csv"),
        (["{short}"], "expected 450 values, one for each test image, got 3"),
        (["{strokes}", "--groups", "{strokes}"], "two attributes are called 'stroke'"),
    ],
)
def test_bad_groups_are_one_line_and_nothing_is_written(fairart_command, trained, strokes, tmp_path, flags, told):
    np.save(tmp_path / "short.npy", np.arange(3))
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "evaluation.json").unlink(missing_ok=True)
    given = [flag.format(short=tmp_path / "short.npy", strokes=strokes) for flag in flags]
    code, out, err = fairart_command("evaluate", run, *QUICK, "--groups", *given)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.strip().split("\n")) == 1
    assert not (run / "evaluation.json").exists()
    assert not (run / "evaluation.partial").exists()


def test_compare_and_report_show_groups_side_by_side(fairart_command, trained, train, strokes, tmp_path):
    train("trades", tmp_path / "other", "--quiet")
    for run in (trained, tmp_path / "other"):
        assert fairart_command("evaluate", run, *QUICK, "--groups", strokes, "--quiet")[0] == 0
    out = fairart_command("compare", trained, tmp_path / "other")[1]
    assert "by stroke" in out
    assert "thick (n=" in out
    compared = json.loads(fairart_command("compare", trained, tmp_path / "other", "--json")[1])["groups"]
    result = EvaluationResult.load(tmp_path / "other" / "evaluation.json")
    worst = compared[0]["accuracy"]["trades"]["pgd"]["worst_group"]["mean"]
    assert worst == pytest.approx(result.by_group("pgd").accuracy.min())
    assert fairart_command("report", trained, tmp_path / "other", "--output", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text()
    assert '<section id="groups"' in page
    assert "By stroke" in page


def test_train_weighs_the_groups_of_a_column_or_a_file(fairart_command, train, tmp_path):
    data = load_digits()
    site = np.where(np.arange(len(data.y_train)) % 3 > 0, "north", "south")
    arrays = {"x_train": data.x_train, "y_train": data.y_train, "x_test": data.x_test, "y_test": data.y_test}
    np.savez(tmp_path / "own.npz", **arrays, site_train=site)
    np.save(tmp_path / "site_train.npy", site)
    dataset = f"npz:{tmp_path / 'own.npz'}"
    dro = ("--class-weighting", "group-dro", "--set", "class_weighting.eta=0.5", "--epochs", "2", "--quiet")
    assert train("at", tmp_path / "column", "--dataset", dataset, "--groups", "site", *dro)[0] == 0
    assert train("at", tmp_path / "file", "--dataset", dataset, "--groups", tmp_path / "site_train.npy", *dro)[0] == 0
    lines = [(tmp_path / run / "history.jsonl").read_text().splitlines() for run in ("column", "file")]
    last = [json.loads(found[-1]) for found in lines]
    assert set(last[0]["group_weights"]) == {"north", "south"}
    assert last[0]["group_weights"] == last[1]["group_weights"]
    assert last[0]["group_weights"]["north"] != 1
    # The file is needed for training alone.
    (tmp_path / "site_train.npy").unlink()
    assert fairart_command("evaluate", tmp_path / "file", "--attack", "none", "--quiet")[0] == 0


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--groups", "site", "--class-weighting", "group-dro"], "no such column of its train images (it has none)"),
        (["--groups", "{stroke}", "--class-weighting", "group-dro"], "expected 1347 values, one for each train image, got 450"),
    ],
)
def test_bad_groups_of_training_are_one_line(train, tmp_path, strokes, flags, told):
    code, _, err = train("at", tmp_path / "run", *[flag.format(stroke=strokes) for flag in flags])
    assert code == 2
    assert told in err
    assert not (tmp_path / "run").exists()


def test_groups_without_a_weighting_of_groups_are_refused(train, tmp_path):
    np.save(tmp_path / "site.npy", np.arange(1347) % 2)
    code, _, err = train("at", tmp_path / "run", "--groups", tmp_path / "site.npy")
    assert code == 2
    assert "groups would go unused" in err
    assert not (tmp_path / "run" / "config.yaml").exists()
