"""A grid in this process: what is done stays done, what failed is recorded, what cannot run is refused."""

from __future__ import annotations

import hashlib
import json

import pytest

from fairart.benchmark import cell as cell_module
from fairart.benchmark import dry_run, grid_from_mapping, run_grid
from fairart.benchmark.tables.book import Book
from fairart.errors import OptionError
from fairart.evaluation import EvaluationError, EvaluationResult
from fairart.evaluation.results.comparing import compare_methods
from fairart.runs.lock import FolderInUseError, locked


def run(document, folder, **options):
    return run_grid(grid_from_mapping(document), folder, workers=0, **options)


@pytest.fixture
def trained(monkeypatch):
    """Names of the cells that were trained, in order."""
    names = []
    train = cell_module.train_run

    def note(config, folder, **options):
        names.append(folder.name)
        return train(config, folder, **options)

    monkeypatch.setattr(cell_module, "train_run", note)
    return names


def test_a_grid_ends_in_one_table_and_is_not_run_twice(document, tmp_path, trained, capsys):
    grid = document(methods=["at", "fair-tat"], grid={"seed": [0]}, evaluation={"metrics": ["std"]})
    result = run(grid, tmp_path / "out")
    assert result.failed == []
    assert len(trained) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "2 cells; 2 to run"
    assert told[1].startswith("[1/2] at, digits, small-cnn, seed 0: clean ")
    table, metrics = result.tables
    assert [row for row, _ in table.rows] == ["at", "fair-tat"]
    assert metrics.columns == ("clean, std", "pgd-2, std")
    kept = EvaluationResult.load(tmp_path / "out" / "cells" / trained[0] / "evaluation.json")
    # Two steps are a weak attack: the number may be marked.
    shown = table.cell("at", "pgd-2, overall").text.removesuffix(" !")
    assert shown == f"{100 * kept['pgd-2'].accuracy:.1f}"
    files = {path.name: path.read_bytes() for path in result.files}
    assert set(files) == {"results.md", "results.tex", "results.csv", "comparisons.csv", "report.html"}
    assert files["report.html"].startswith(b"<!doctype html>")
    json.dumps(result.to_dict())
    # One seed each: exact tests of the two networks.
    assert {(found.method, found.baseline, found.test.count) for found in result.comparisons.findings} == {
        ("fair-tat", "at", 100)
    }
    assert "### digits, small-cnn: comparisons, pgd-2" in files["results.md"].decode()
    assert b'id="comparisons"' in files["report.html"]

    again = run(grid, tmp_path / "out", verbose=False)
    assert len(trained) == 2
    assert {path.name: path.read_bytes() for path in again.files} == files
    assert capsys.readouterr().err == ""


def test_comparisons_are_made_when_every_cell_has_ended(document, tmp_path, monkeypatch):
    enter, seen = Book.enter, []

    def note(book, finished):
        enter(book, finished)
        seen.append(((tmp_path / "results.md").read_text(), (tmp_path / "comparisons.csv").read_text().count("\n")))

    monkeypatch.setattr(Book, "enter", note)
    result = run(document(methods=["at", "dafa"], grid={"seed": [0, 1]}), tmp_path)
    assert ["Made when every cell has ended" in text for text, _ in seen] == [True, True, True, False]
    assert [lines for _, lines in seen] == [1, 1, 1, 1 + 2 * 2]
    for found in result.comparisons.findings:
        kept = [
            [entry.result[found.attack] for entry in result.entries if entry.cell.method == name]
            for name in (found.method, found.baseline)
        ]
        assert found.test == compare_methods(*kept)[found.part]
    assert [table.title for table in result.comparison_tables][2:] == [
        "digits, small-cnn: comparisons, pgd-2",
        "digits, small-cnn: methods over seeds, pgd-2",
    ]


def test_more_seeds_and_more_attacks_only_cost_what_is_new(document, tmp_path, trained, capsys):
    run(document(methods=["at"], grid={"seed": [0]}), tmp_path)
    run(document(methods={"renamed": "at"}, grid={"seed": [0, 1]}), tmp_path)
    assert len(trained) == len(set(trained)) == 2
    capsys.readouterr()
    result = run(document(methods=["at"], grid={"seed": [0, 1]}, evaluation={"attacks": ["fgsm"]}), tmp_path)
    assert capsys.readouterr().err.splitlines()[0] == "2 cells: 2 to be evaluated only; 2 to run"
    assert len(trained) == 2
    assert result.tables[0].columns == ("clean, overall", "clean, worst", "fgsm, overall", "fgsm, worst")


def test_damaged_and_foreign_files_are_done_again(document, tmp_path, trained):
    grid = document(methods=["at"])
    before = run(grid, tmp_path).files[2].read_text()
    (name,) = trained
    folder = tmp_path / "cells" / name
    for file, times in (("evaluation.json", 1), ("model.safetensors", 2), ("cell.json", 3)):
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2])
        assert list(dry_run(grid_from_mapping(grid), tmp_path).values()) != ["done"]
        assert run(grid, tmp_path).files[2].read_text() == before
        assert len(trained) == times
    record = json.loads((folder / "cell.json").read_text())
    record["config"]["lr"] = 0.3  # as if the defaults of fairart had been others
    (folder / "cell.json").write_text(json.dumps(record))
    assert dry_run(grid_from_mapping(grid), tmp_path) == {name: "new"}


def test_an_evaluation_in_the_format_of_another_fairart_is_made_again(document, tmp_path, trained):
    grid = document(methods=["at"])
    before = run(grid, tmp_path).files[2].read_text()
    folder = tmp_path / "cells" / trained[0]
    foreign = (folder / "evaluation.json").read_text().replace('"format_version": ', '"format_version": 9')
    (folder / "evaluation.json").write_text(foreign)
    record = json.loads((folder / "cell.json").read_text())
    record["evaluation"]["file"] = hashlib.sha256(foreign.encode()).hexdigest()
    (folder / "cell.json").write_text(json.dumps(record))
    assert run(grid, tmp_path).files[2].read_text() == before
    assert len(trained) == 1


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(document, tmp_path, trained, capsys):
    grid = document(methods={"wild": {"trainer": "at", "lr": 1e30}, "at": None})
    result = run(grid, tmp_path)
    (failed,) = result.failed
    assert failed.cell.method == "wild"
    assert failed.failure.startswith("TrainingDivergedError: ")
    folder = tmp_path / "cells" / failed.cell.name
    assert "Traceback" in (folder / "traceback.txt").read_text()
    assert "failed: wild, seed 0: TrainingDivergedError" in result.files[0].read_text()
    assert result.tables[0].cell("at", "clean, overall").text != "-"
    assert "failed: TrainingDivergedError" in capsys.readouterr().err
    assert run(grid, tmp_path).failed
    assert len(trained) == 2
    assert run(grid, tmp_path, retry_failed=True).failed
    assert len(trained) == 3


def test_what_failed_in_the_evaluation_is_mended_by_another_one(document, tmp_path, trained, monkeypatch):
    evaluate = cell_module.evaluate_run

    def refuse_fgsm(folder, attacks, **options):
        if attacks[0][0] == "fgsm":
            raise EvaluationError("it did nothing")
        return evaluate(folder, attacks, **options)

    monkeypatch.setattr(cell_module, "evaluate_run", refuse_fgsm)
    (failed,) = run(document(methods=["at"], evaluation={"attacks": ["fgsm"]}), tmp_path).failed
    assert failed.failure == "EvaluationError: it did nothing"
    assert not run(document(methods=["at"]), tmp_path).failed
    assert len(trained) == 1
    assert not (tmp_path / "cells" / trained[0] / "traceback.txt").exists()


def test_what_is_printed_goes_to_the_log_of_the_cell(document, tmp_path, monkeypatch, capsys):
    train = cell_module.train_run

    def talk(*arguments, **options):
        print("hello from training")
        return train(*arguments, **options)

    monkeypatch.setattr(cell_module, "train_run", talk)
    run(document(methods=["at"]), tmp_path, verbose=False)
    assert capsys.readouterr() == ("", "")
    (log,) = tmp_path.glob("cells/*/log.txt")
    assert "hello from training" in log.read_text()


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"grid": {"trainer": ["at", "fair-tta"]}}, "1 of 2 cells cannot run.*'fair-tta'; did you mean 'fair-tat'"),
        ({"methods": ["bat"], "base": {"target_sampler": "cfps"}}, "target_sampler 'cfps'.* would go unused"),
        ({"methods": ["at"], "base": {"epsilon_scheduler.lambda1": 3}}, "there is no epsilon_scheduler in this run of 'at'"),
        ({"methods": ["at"], "base": {"batch_size": 500}}, "batch_size 500 is more than the 100 training images"),
        ({"methods": ["fair-tat"], "grid": {"objective": [None, "at"]}}, "two cells are the same run in two notations"),
        ({"methods": ["at"], "evaluation": {"attacks": {"pgd": {"steps": 3}}}}, "attack 'pgd' has no option 'steps'"),
        ({"methods": ["at"], "evaluation": {"metrics": ["nope"]}}, "there is no fairness_metric 'nope'"),
        ({"methods": ["at"], "evaluation": {"corruptions": "fogg"}}, "no corruption 'fogg'; did you mean 'fog'"),
        ({"methods": ["at"], "base": {"dataset": "npz:/no/such.npz"}}, "no file /no/such.npz"),
        ({"methods": ["at"], "base": {"extra_data": "npz:/no/such.npz"}}, "no file /no/such.npz"),
        (
            {"methods": ["cfol"], "base": {"extra_data": "npz:x.npz"}},
            "'cfol' .*draws them class by class",
        ),
        ({"methods": ["at"], "base": {"adjustment": "crt:x"}}, "expected a number such as 0.03"),
        ({"methods": ["at"], "base": {"adjustment": "crt:0"}}, "adjustment crt expects epochs, >= 1, got '0'"),
    ],
)
def test_what_cannot_run_is_refused_before_any_work(document, tmp_path, parts, told):
    with pytest.raises((OptionError, ValueError, FileNotFoundError), match=told):
        run(document(**parts), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(document, tmp_path):
    with locked(tmp_path), pytest.raises(FolderInUseError, match=r"another benchmark works in .*process \d+"):
        run(document(methods=["at"]), tmp_path)
    assert list(tmp_path.glob("cells/*")) == []
    with locked(tmp_path):
        pass


def test_a_dry_run_lists_what_is_there(document, tmp_path):
    grid = document(methods=["at", "fair-tat"])
    assert set(dry_run(grid_from_mapping(grid), tmp_path / "out").values()) == {"new"}
    assert not (tmp_path / "out").exists()
    run(document(methods=["at"]), tmp_path / "out")
    assert list(dry_run(grid_from_mapping(grid), tmp_path / "out").values()) == ["done", "new"]
