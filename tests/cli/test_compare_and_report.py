"""``fairart compare`` and ``fairart report`` as a user meets them, on folders of runs in every state."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fairart.evaluation import AttackResult, EvaluationResult
from fairart.runs.config import RunConfig


def evaluation(seed, number=60):
    generator = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    results = []
    for label, chance in (("clean", 0.1), ("pgd", 0.5)):
        wrong = generator.random(number) < chance
        results.append(
            AttackResult(
                label=label,
                labels=labels,
                predictions=np.where(wrong, (labels + 1) % 3, labels),
                nb_classes=3,
                config={"attack": "none" if label == "clean" else label, "options": {}},
                confidences=np.full(number, 0.75),
            )
        )
    return EvaluationResult(results, config={"seed": 0, "trainer": "at", "dataset": "digits"}, versions={"fairart": "0"})


@pytest.fixture
def make(tmp_path):
    """``make(trainer, seed, state)``: the folder of a run that is "evaluated", "trained" or "training"."""

    def made(trainer, seed=0, state="evaluated", number=60):
        folder = tmp_path / f"{trainer}-{seed}"
        folder.mkdir()
        RunConfig(trainer=trainer, seed=seed, epochs=3).save(folder / "config.yaml")
        record = {"epoch": 0, "loss": 1.0, "robust": [[3, 1, 0], [1, 3, 0], [0, 0, 4]], "epsilons": [0.1] * 3}
        (folder / "history.jsonl").write_text(json.dumps({**record, "target_probabilities": None}) + "\n")
        if state != "training":
            (folder / "model.safetensors").write_bytes(b"weights")
        if state == "evaluated":
            evaluation(10 * len(trainer) + seed, number).save(folder / "evaluation.json")
        return folder

    return made


@pytest.mark.parametrize(("style", "sign"), [("text", "paired t test"), ("markdown", "| --- |"), ("latex", r"\toprule")])
def test_compare_prints_methods_side_by_side(fairart_command, make, style, sign):
    runs = [make(trainer, seed) for trainer in ("at", "trades") for seed in (0, 1)]
    code, out, err = fairart_command("compare", *runs, "--format", style, "--classes")
    assert (code, err) == (0, "")
    assert sign in out
    assert "±" in out


def test_compare_takes_files_and_gives_json(fairart_command, make):
    first, second = make("at"), make("trades")
    code, out, err = fairart_command("compare", first / "evaluation.json", second, "--json", "--attack", "pgd")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["baseline"], found["attacks"]) == ("at", ["pgd"])
    assert found["differences"]["trades"]["pgd"]["overall"]["pairs"] == 60


def test_a_file_away_from_its_run_is_a_method_of_its_own(fairart_command, make, tmp_path):
    alone = evaluation(3).save(tmp_path / "theirs.json")
    code, out, _ = fairart_command("compare", make("at"), alone, "--json")
    assert code == 0
    assert len(json.loads(out)["methods"]) == 2


def test_report_writes_one_page_into_the_run(fairart_command, make):
    run = make("at")
    code, out, err = fairart_command("report", run)
    assert (code, err) == (0, "")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "digits: at" in page
    assert f"written to {run / 'report.html'}" in out


def test_report_of_several_runs_goes_here_or_where_it_is_told(fairart_command, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [make("at"), make("trades")]
    assert fairart_command("report", *runs, "--quiet") == (0, "", "")
    assert (tmp_path / "fairart-report.html").is_file()
    code, out, _ = fairart_command("report", *runs, "--output", tmp_path / "page.html", "--title", "Mine & yours", "--json")
    assert (code, json.loads(out)["output"]) == (0, str(tmp_path / "page.html"))
    assert "<title>Mine &amp; yours</title>" in (tmp_path / "page.html").read_text()


def test_runs_in_every_state_are_reported_with_a_notice(fairart_command, make, tmp_path):
    runs = [make("at"), make("trades", state="trained"), make("cfa", state="training")]
    with (runs[2] / "history.jsonl").open("a") as file:
        file.write('{"epoch": 1, "lo')  # being written this moment
    code, out, err = fairart_command("report", *runs, "--output", tmp_path / "page.html")
    assert (code, err) == (0, "")
    assert f"{runs[1]}: not evaluated yet: 'fairart evaluate {runs[1]}'" in out
    assert f"{runs[2]}: training has not finished: 1 of 3 epochs" in out
    assert "the last line of history.jsonl is incomplete" in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "training has not finished: 1 of 3 epochs" in page
    assert fairart_command("report", runs[2])[0] == 0


@pytest.mark.parametrize(
    ("command", "break_it", "told"),
    [
        ("compare", lambda run: (run / "evaluation.json").unlink(), "has no evaluation.json: not evaluated yet"),
        ("report", lambda run: (run / "config.yaml").write_text("a: [1,\n"), "config.yaml"),
        ("report", lambda run: (run / "evaluation.json").write_text("{"), "evaluation.json is damaged"),
        ("report", lambda run: (run / "history.jsonl").write_text("x\n{}\n"), "history.jsonl is damaged in line 1"),
        ("report", lambda run: (run / "history.jsonl").write_text("{}\n"), "line 1 is not an epoch"),
        ("report", lambda run: [file.unlink() for file in run.iterdir()], "it has no config.yaml"),
    ],
)
def test_damaged_runs_are_named_in_one_line(fairart_command, make, command, break_it, told):
    run = make("at")
    break_it(run)
    code, out, err = fairart_command(command, run)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert told in err
    assert str(run) in err
    assert not (run / "report.html").exists()


def test_what_is_asked_wrongly_is_told(fairart_command, make, tmp_path):
    run = make("at")
    for arguments, told in [
        (("report",), "no run given"),
        (("compare",), "no run given"),
        (("report", run, run / "evaluation.json"), "is given twice"),
        (("report", tmp_path / "none"), "there is no run and no file"),
        (("report", run, "--output", tmp_path), "is a folder: name the file"),
        (("report", run, "--output", tmp_path / "no" / "page.html"), "there is no folder"),
        (("compare", run, make("trades", number=30)), "not evaluated on the same samples: 30 and 60"),
        (("compare", run, "--attack", "fgsm"), "no run has a result 'fgsm'; there are clean, pgd"),
        (("compare", run, "--format", "html"), "invalid choice: 'html'"),
    ]:
        code, _, err = fairart_command(*arguments)
        assert code == 2
        assert told in err
        assert err.count("\n") == 1
