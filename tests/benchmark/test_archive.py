"""The light copy of a grid: a grid goes on from it, and makes the same tables."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fairart import packed
from fairart.benchmark import Grid, archive, dry_run, grid_from_mapping, read_grid, run_grid
from fairart.benchmark import cell as cell_module
from fairart.benchmark.archive import write_archive
from fairart.benchmark.leaderboard.ranking import boards
from fairart.benchmark.leaderboard.reading import read_standings
from fairart.benchmark.reproduced import compare_with
from fairart.datasets.digits import load_digits
from fairart.errors import OptionError
from fairart.models.small_cnn import small_cnn
from fairart.runs.collect import collect

TABLES = ("results.md", "results.tex", "results.csv", "comparisons.csv", "report.html")


@pytest.fixture(scope="module")
def finished(document: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A grid of a data file that lies in a folder of this machine, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("machine-of-mine")
    data = load_digits()
    np.savez(
        folder / "few.npz",
        x_train=data.x_train[:200],
        y_train=data.y_train[:200],
        x_test=data.x_test[:100],
        y_test=data.y_test[:100],
    )
    base = {"dataset": f"npz:{folder / 'few.npz'}", "data_root": str(folder), "per_class": None, "model.width": 2}
    grid = document(methods=["at", "trades"], grid={"seed": [0, 1]}, base=base)
    result = run_grid(grid_from_mapping(grid), folder / "run", workers=0, verbose=False)
    assert not result.failed
    return grid, folder / "run"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the cells that were trained."""
    names: list[str] = []
    train = cell_module.train_run

    def note(config: Any, folder: Path, **options: Any) -> Any:
        names.append(folder.name)
        return train(config, folder, **options)

    monkeypatch.setattr(cell_module, "train_run", note)
    return names


def contents(folder: Path) -> dict[str, bytes]:
    """Path below a folder -> what the file holds, unpacked."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): packed.unpack(path) if path.suffix == ".xz" else path.read_bytes() for path in files
    }


@pytest.mark.parametrize("large", [0, archive.LARGE])
def test_a_grid_goes_on_from_an_archive_to_the_same_tables(
    finished: Any, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    grid, folder = finished
    monkeypatch.setattr(archive, "LARGE", large)
    made = write_archive(grid_from_mapping(grid), folder, tmp_path / "archive")
    assert set(made.states.values()) == {"done"}
    assert made.size == sum(path.stat().st_size for path in (tmp_path / "archive").rglob("*") if path.is_file())
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    assert set(dry_run(grid_from_mapping(grid), tmp_path / "copy").values()) == {"done"}
    run_grid(grid_from_mapping(grid), tmp_path / "copy", workers=0, verbose=False)
    for name in TABLES:
        assert (folder / name).read_bytes() == (tmp_path / "copy" / name).read_bytes(), name
        assert (folder / name).read_bytes() == (tmp_path / "archive" / name).read_bytes(), name
    assert trained == []
    suffixes = {path.suffix for path in (tmp_path / "archive" / "cells").rglob("*") if path.is_file()}
    assert suffixes == ({".xz", ".json", ".yaml"} if large == 0 else {".json", ".jsonl", ".yaml"})
    (run, *_) = collect([next((tmp_path / "archive" / "cells").iterdir())])
    assert (run.notices, len(run.history), run.result is not None) == ((), 1, True)


def test_nothing_of_the_machine_is_in_an_archive(finished: Any, tmp_path: Path) -> None:
    grid, folder = finished
    made = write_archive(grid_from_mapping(grid), folder, tmp_path / "archive")
    assert "machine-of-mine" in (folder / "cells" / next(iter(made.states)) / "evaluation.json").read_text()
    for name, held in contents(tmp_path / "archive").items():
        assert b"machine-of-mine" not in held, name
        assert str(tmp_path).encode() not in held, name
    assert made.notes[0].startswith("the grid names absolute paths ('npz:")
    assert not list((tmp_path / "archive").rglob("*.safetensors")) + list((tmp_path / "archive").rglob("log.txt"))


def test_an_archive_is_brought_up_to_date_and_what_is_the_same_is_not_touched(
    document: Any, tmp_path: Path, trained: list[str]
) -> None:
    def grid(**parts: Any) -> Grid:
        return grid_from_mapping(document(methods=["at"], **parts))

    run_grid(grid(grid={"seed": [0]}), tmp_path / "one", workers=0, verbose=False)
    run_grid(grid(grid={"seed": [1]}), tmp_path / "other", workers=0, verbose=False)
    both = grid(grid={"seed": [0, 1, 2]})
    assert list(write_archive(both, tmp_path / "one", tmp_path / "archive").states.values()) == ["done", "new", "new"]
    assert "fewer seeds" not in (tmp_path / "archive" / "results.md").read_text()
    cells = [path for path in (tmp_path / "archive" / "cells").rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in cells}
    # Two machines write to one archive in turn.
    found = write_archive(both, tmp_path / "other", tmp_path / "archive")
    assert list(found.states.values()) == ["done", "done", "new"]
    assert {path: path.stat().st_mtime_ns for path in cells} == before
    listed = json.loads((tmp_path / "archive" / "archive.json").read_text())
    assert [cell["state"] for cell in listed["cells"]] == ["done", "done", "new"]
    assert listed["evaluated_with"][0].keys() == {"fairart", "torch", "art"}
    trained.clear()
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    run_grid(read_grid(tmp_path / "copy" / "grid.yaml"), tmp_path / "copy", workers=0, verbose=False)
    assert [name.partition("_seed")[2][:1] for name in trained] == ["2"]


def test_failures_are_archived_so_that_the_rest_is_compared(document: Any, tmp_path: Path) -> None:
    grid = grid_from_mapping(document(methods={"wild": {"trainer": "at", "lr": 1e30}, "at": None, "trades": None}))
    run_grid(grid, tmp_path / "run", workers=0, verbose=False)
    found = write_archive(grid, tmp_path / "run", tmp_path / "archive")
    assert list(found.states.values()) == ["failed", "done", "done"]
    for name in TABLES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "archive" / name).read_bytes(), name
    assert "failed: wild, seed 0: TrainingDivergedError" in (tmp_path / "archive" / "results.md").read_text()


def test_without_weights_another_evaluation_means_training_anew(
    document: Any, tmp_path: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    grid = document(methods=["at"])
    run_grid(grid_from_mapping(grid), tmp_path / "run", workers=0, verbose=False)
    write_archive(grid_from_mapping(grid), tmp_path / "run", tmp_path / "copy")
    (name,) = trained
    other = grid_from_mapping(document(methods=["at"], evaluation={"attacks": ["fgsm"]}))
    assert list(dry_run(other, tmp_path / "run").values()) == ["trained"]
    found = dry_run(other, tmp_path / "copy")
    assert list(found.values()) == ["no weights"]
    assert found.left == {"trainings": 1, "trials": 0, "evaluations": 1}
    capsys.readouterr()
    run_grid(other, tmp_path / "copy", workers=0)
    assert capsys.readouterr().err.splitlines()[0] == "1 cell: 1 to be trained anew, for want of their weights; 1 to run"
    assert trained == [name, name]
    weights = [(tmp_path / folder / "cells" / name / "model.safetensors").read_bytes() for folder in ("run", "copy")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("file", ["config.yaml", "history.jsonl", "evaluation.json", "model.safetensors"])
def test_what_was_changed_does_not_count(finished: Any, tmp_path: Path, file: str) -> None:
    grid, folder = finished
    made = write_archive(grid_from_mapping(grid), folder, tmp_path / "archive")
    name = next(iter(made.states))
    place = tmp_path / "archive" / "cells" / name / file
    # Also weights that were put there and are not those of the record.
    place.write_bytes((place.read_bytes() if place.exists() else b"") + b"\n")
    expected = "interrupted" if file == "model.safetensors" else "no weights"
    assert dry_run(grid_from_mapping(grid), tmp_path / "archive")[name] == expected


def test_a_folder_whose_weights_were_deleted_stays_done(finished: Any, tmp_path: Path, trained: list[str]) -> None:
    grid, folder = finished
    shutil.copytree(folder, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.safetensors*"):
        path.unlink()
    assert set(dry_run(grid_from_mapping(grid), tmp_path / "copy").values()) == {"done"}
    # And where another evaluation is wanted, what is left of the training does not stand in the way.
    other = copy.deepcopy(grid)
    other["evaluation"]["attacks"] = ["fgsm"]
    limited = grid_from_mapping(other).narrowed(["at/0"])
    assert not run_grid(limited, tmp_path / "copy", workers=0, verbose=False).failed
    assert len(trained) == 1


def test_a_row_alone_repeats_its_numbers(finished: Any, tmp_path: Path, trained: list[str]) -> None:
    grid, folder = finished
    limited = grid_from_mapping(grid).narrowed(["trades/1"])
    write_archive(grid_from_mapping(grid), folder, tmp_path / "archive")
    result = run_grid(limited, tmp_path / "again", workers=0, verbose=False)
    assert len(trained) == 1
    (found,) = compare_with(tmp_path / "archive", result.grid, result.folder)
    assert (found.same, found.detail) == (True, "")


def test_other_numbers_are_named(finished: Any, tmp_path: Path) -> None:
    grid, folder = finished
    limited = grid_from_mapping(grid).narrowed(["at/0", "trades/1"])
    write_archive(grid_from_mapping(grid), folder, tmp_path / "copy")
    name = limited.cells[0].name
    place = tmp_path / "copy" / "cells" / name
    other = next(path for path in (tmp_path / "copy" / "cells").glob("at_*") if path.name != name)
    # As if this seed had come out as another one does.
    evaluation = (other / "evaluation.json").read_bytes()
    (place / "evaluation.json").write_bytes(evaluation)
    record = json.loads((place / "cell.json").read_text())
    record["evaluation"]["file"] = packed.sha256_of(place / "evaluation.json")
    (place / "cell.json").write_text(json.dumps(record))
    (tmp_path / "copy" / "cells" / limited.cells[1].name / "cell.json").unlink()
    first, second = compare_with(folder, limited, tmp_path / "copy")
    before, after = (json.loads((where / "evaluation.json").read_text()) for where in (folder / "cells" / name, place))
    count = np.sum(np.array(before["results"][0]["predictions"]) != np.array(after["results"][0]["predictions"]))
    assert first.same is False
    assert first.detail.startswith(f"clean: {count} of 100 predictions differ, overall ")
    assert (second.same, second.detail) == (None, "this one: it has no such run")


def test_rows_are_named_as_in_the_whole_grid(document: Any) -> None:
    grid = grid_from_mapping(
        document(
            methods=["at", "trades"],
            grid={"averaging": [None, "ema"], "seed": [0, 1]},
            comparisons=[["trades", "at"], ["trades (ema)", "at (ema)"]],
        )
    )
    limited = grid.narrowed(["at (ema)/1", "trades (ema)"])
    assert [(cell.row_name, cell.config.seed) for cell in limited.cells] == [
        ("at (ema)", 1),
        ("trades (ema)", 0),
        ("trades (ema)", 1),
    ]
    assert [str(pair) for pair in limited.comparisons] == ["trades (ema) against at (ema)"]
    for wrong, told in (("att", "no method or row 'att' .* did you mean 'at'"), ("at/7", "'at' has no seed 7; its seeds: 0, 1")):
        with pytest.raises(OptionError, match=told):
            grid.narrowed([wrong])


def test_every_table_says_what_was_given_to_the_model_and_its_size(finished: Any) -> None:
    _, folder = finished
    text = (folder / "results.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ") and "few.npz" in line]
    assert len(headings) == 3
    assert all(line.startswith("## npz:few.npz, small-cnn (width 2)") for line in headings)
    size = sum(one.numel() for one in small_cnn(width=2, input_shape=(1, 8, 8), nb_classes=10).parameters())
    assert text.count(f"- network: {size:,} parameters") == 3
    assert f"<dd>{size:,} parameters</dd>" in (folder / "report.html").read_text()


def test_an_archive_stands_on_a_leaderboard(finished: Any, tmp_path: Path) -> None:
    grid, folder = finished
    write_archive(grid_from_mapping(grid), folder, tmp_path / "archive")
    (board,) = boards(*read_standings([tmp_path / "archive"]))
    assert board.title == "few, small-cnn (width 2)"
    assert {row.name for row in board.rows} == {"at", "trades"}
    assert [line["method"] for line in board.comparisons[:2]] == ["trades", "trades"]
    assert all(row.standing.config for row in board.rows)


def test_what_cannot_be_archived_is_refused(finished: Any, tmp_path: Path) -> None:
    grid, folder = grid_from_mapping(finished[0]), finished[1]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    for output, target, error, told in (
        (tmp_path / "none", tmp_path / "new", FileNotFoundError, "there is no folder '.*none' to archive"),
        (folder, folder, OptionError, "are both '.*': expected two folders"),
        (folder, tmp_path / "full", FileExistsError, "has other files and no archive.json"),
        (folder, tmp_path / "full" / "thesis.tex", FileExistsError, "is a file: expected a folder"),
    ):
        with pytest.raises(error, match=told):
            write_archive(grid, output, target)
    assert not (tmp_path / "new").exists()


def test_the_grid_file_of_an_archive_is_the_grid(finished: Any, tmp_path: Path) -> None:
    grid, folder = finished
    write_archive(grid_from_mapping(grid), folder, tmp_path / "archive")
    saved = yaml.safe_load((tmp_path / "archive" / "grid.yaml").read_text())
    assert saved["base"] == grid["base"] | {"dataset": "npz:few.npz", "data_root": None}
    assert {name: part for name, part in saved.items() if name != "base"} == {
        name: part for name, part in grid.items() if name != "base"
    }
