"""Searches run to the end: what is chosen, by what, and what is written."""

from __future__ import annotations

import copy
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from fairart.cli.main import main
from fairart.errors import OptionError
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.tuning import Search, tuning_from_mapping
from fairart.tuning.held_out import score
from fairart.tuning.result import chosen_of
from fairart.tuning.running import run_tuning


def search(document: dict[str, Any], folder: Path, **options: Any) -> Any:
    return run_tuning(tuning_from_mapping(document), folder, verbose=False, **options)


def comparable(folder: Path) -> list[Any]:
    """The table of trials but for the seconds, which no two runs share."""
    found = json.loads((folder / "trials.json").read_text())
    return [{**row, "seconds": 0} for row in found["trials"]] + [found["chosen"], found["importance"], found["leak_check"]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of four trials."""
    folder = tmp_path_factory.mktemp("finished") / "search"
    search(small(), folder)
    return folder


def small() -> dict[str, Any]:
    return {
        "base": {
            "dataset": "digits", "per_class": 20, "model.width": 2, "epochs": 2, "batch_size": 64, "max_iter": 1, "eps": 0.1,
            "eps_step": 0.1, "device": "cpu", "logger": [],
        },
        "space": {"trainer": ["at", "trades"], "lr": {"low": 0.01, "high": 0.2, "log": True}, "objective.beta": [1.0, 6.0]},
        "search": {"trials": 4, "held_out": 0.25, "smooth": 2, "pruner": "none"},
    }  # fmt: skip


def test_the_chosen_trial_is_the_best_on_held_out_images(finished: Path) -> None:
    found = json.loads((finished / "trials.json").read_text())
    assert [row["state"] for row in found["trials"]] == ["whole"] * 4
    ranks = [(row["figures"]["worst_class"], row["figures"]["average"], -row["number"]) for row in found["trials"]]
    assert found["chosen"] == [ranks.index(max(ranks))]
    config = RunConfig.load(finished / "chosen.yaml")
    chosen = found["trials"][found["chosen"][0]]["settings"]
    assert config.validation_share is None
    assert (config.trainer, config.lr) == (chosen["trainer"], chosen["lr"])
    with (finished / "trials.csv").open() as file:
        assert [int(row["chosen"]) for row in csv.DictReader(file)] == [int(n in found["chosen"]) for n in range(4)]
    page = (finished / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count('<tr><th scope="row" class="n stick">') == 4


def test_figures_are_means_over_the_last_epochs_of_an_independent_evaluation(finished: Path) -> None:
    # The measure of the last epoch is the one that evaluate makes, whose attack has other random starts.
    number = json.loads((finished / "trials.json").read_text())["chosen"][0]
    folder = finished / "trials" / f"{number:04d}"
    lines = [json.loads(line) for line in (folder / "held_out.jsonl").read_text().splitlines()]
    result = evaluate_run(folder / "run", [("pgd", {"label": "pgd-10", "max_iter": 10})], sanity_samples=0, verbose=False)
    np.testing.assert_allclose(lines[-1]["clean"], result["clean"].class_accuracy)
    assert abs(np.mean(lines[-1]["robust"]) - result["pgd-10"].accuracy) < 0.06
    figures = json.loads((finished / "trials.json").read_text())["trials"][number]["figures"]
    robust = np.mean([line["robust"] for line in lines[-2:]], axis=0)
    assert figures["worst_class"] == pytest.approx(robust.min())
    assert figures["average"] == pytest.approx(robust.mean())


def test_the_leak_check_evaluates_the_same_weights_on_test_images(finished: Path) -> None:
    found = json.loads((finished / "leak_check.json").read_text())
    assert found["held_out"]["images"] == 50
    assert found["test"]["images"] == 450
    result = evaluate_run(finished / "leak_check", [("pgd", {"label": "p", "max_iter": 10})], sanity_samples=0, verbose=False)
    assert found["test"]["worst_class"] == result["p"].worst_class_accuracy()


def test_again_it_does_nothing_and_more_trials_go_on(finished: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "search"
    shutil.copytree(finished, folder)
    before = comparable(folder)
    journal = (folder / "journal.log").read_bytes()
    search(small(), folder)
    assert comparable(folder) == before
    assert (folder / "journal.log").read_bytes() == journal
    more = small()
    more["search"]["trials"] = 6
    search(more, folder)
    assert comparable(folder)[:4] == before[:4]
    assert len(json.loads((folder / "trials.json").read_text())["trials"]) == 6


def test_the_folder_of_another_search_is_refused(finished: Path) -> None:
    other = small()
    other["space"]["lr"]["high"] = 0.3
    with pytest.raises(OptionError, match=r"study of another search \(space: lr was .*0.2.*, is .*0.3.*\): take another folder"):
        search(other, finished)


def test_killed_at_any_moment_it_goes_on_to_the_same_table(finished: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "tune.yaml", tmp_path / "search"
    file.write_text(yaml.safe_dump(small()))
    command = [sys.executable, "-m", "fairart", "tune", str(file), "--output", str(folder), "--workers", "0", "--quiet"]
    draw = random.Random(4)
    for lines in (1, 5):
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
        while process.poll() is None and _lines(folder) < lines:
            time.sleep(0.01)
        time.sleep(0.2 * draw.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
    journal = folder / "journal.log"
    with journal.open("ab") as torn:  # what a kill in the middle of a write leaves
        torn.write(b'{"op_code": 5, "wor')
    assert subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode == 0
    assert comparable(folder) == comparable(finished)


def _lines(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.glob("trials/*/held_out.jsonl"))


def test_two_processes_share_one_study(tmp_path: Path) -> None:
    result = search(small(), tmp_path / "search", workers=2, check_leak=False)
    assert [row.number for row in result.rows] == [0, 1, 2, 3]
    assert {row.state for row in result.rows} == {"whole"}
    assert result.finished


def test_pareto_gives_the_front(document: dict[str, Any], tmp_path: Path) -> None:
    document["search"] |= {"objective": "pareto", "trials": 5}
    del document["search"]["pruner"]
    result = search(document, tmp_path / "search", check_leak=False)
    points = {row.number: (row.figures["average"], row.figures["worst_class"]) for row in result.rows}
    dominated = {
        a
        for a in points
        for b in points
        if points[b] != points[a] and all(x >= y for x, y in zip(points[b], points[a], strict=True))
    }
    assert {points[number] for number in result.chosen} == {points[number] for number in points.keys() - dominated}
    assert len(list(tmp_path.glob("search/chosen*.yaml"))) == len(result.chosen)


def test_refused_settings_do_not_count(document: dict[str, Any], tmp_path: Path) -> None:
    # MART refuses mixed samples.
    document["space"] = {"objective": ["at", "mart"], "augmentation": ["none", "mixup"]}
    document["base"]["trainer"] = "at"
    # Of the first four draws of this seed, one has both.
    document["search"]["seed"] = 3
    result = search(document, tmp_path / "search", check_leak=False)
    states = [row.state for row in result.rows]
    assert states.count("whole") == 4
    refused = [row for row in result.rows if row.state == "refused"]
    assert refused
    assert all(row.settings == {"objective": "mart", "augmentation": "mixup"} and "mart" in row.detail for row in refused)


def test_a_bad_trial_is_pruned(document: dict[str, Any], tmp_path: Path) -> None:
    # After four whole trials the rate of 1e-8, which learns nothing, lies below the median.
    document["base"] |= {"trainer": "at", "epochs": 4}
    document["space"] = {"lr": [0.05, 0.1, 1e-8]}
    document["search"] = {"trials": 10, "held_out": 0.25, "smooth": 1, "sampler": "random", "objective": "average"}
    result = search(document, tmp_path / "search", check_leak=False)
    pruned = [row for row in result.rows if row.state == "pruned"]
    assert pruned
    assert all(row.epochs < 4 for row in pruned)
    assert all(row.epochs == 4 for row in result.rows if row.state == "whole")
    assert result.row(result.chosen[0]).settings["lr"] != "1e-08"


def test_a_diverging_trial_counts_with_nothing(document: dict[str, Any], tmp_path: Path) -> None:
    document["base"]["trainer"] = "at"
    document["space"] = {"lr": [0.05, 1e18]}
    result = search(document, tmp_path / "search", check_leak=False)
    diverged = [row for row in result.rows if row.state == "diverged"]
    assert diverged
    assert all(row.figures["average"] == 0 and row.detail for row in diverged)
    assert len(result.rows) == 4


def test_the_floor_takes_off_what_is_missing() -> None:
    lines = [{"robust": [0.9, 0.1], "clean": [1, 1]}, {"robust": [0.5, 0.3], "clean": [1, 0.8]}]
    smoothed = score(lines, Search(smooth=2))
    assert smoothed.to_dict() == pytest.approx(
        {"average": 0.45, "worst_class": 0.2, "clean_average": 0.95, "clean_worst_class": 0.9}
    )
    assert smoothed.values(Search(floor=0.6)) == pytest.approx((0.2 - 0.15,))
    assert smoothed.values(Search(floor=0.4)) == pytest.approx((0.2,))
    assert smoothed.values(Search(objective="pareto")) == pytest.approx((0.45, 0.2))
    assert smoothed.values(Search(objective="sum")) == pytest.approx((0.65,))
    assert score(lines, Search(smooth=1)).values(Search(objective="average")) == pytest.approx((0.4,))


def test_of_equal_worst_classes_the_higher_average_is_chosen() -> None:
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(direction="maximize")
    for value, average in ((0.0, 0.6), (0.1, 0.4), (0.1, 0.5), (0.1, 0.5)):
        study.add_trial(optuna.create_trial(value=value, user_attrs={"average": average}))
    seen = SimpleNamespace(trials=study.get_trials, tuning=SimpleNamespace(search=Search()))
    assert chosen_of(seen) == [2]  # type: ignore[arg-type]  # what it reads of a study


def test_the_command_says_what_was_found(document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tune.yaml"
    plain = copy.deepcopy(document)
    plain["search"]["trials"] = 2
    file.write_text(yaml.safe_dump(plain))
    assert main(["tune", str(file), "--output", str(tmp_path / "out"), "--workers", "0", "--no-leak-check"]) == 0
    said = capsys.readouterr()
    assert "best trials on held-out images" in said.out
    assert said.err.count("trial 0: worst class") == 1
    assert main(["tune", str(file), "--output", str(tmp_path / "out"), "--workers", "0", "--json", "--trials", "3"]) == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 3
    assert main(["tune"]) == 2
    assert "which search?" in capsys.readouterr().err
