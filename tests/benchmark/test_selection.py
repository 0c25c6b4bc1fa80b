"""Settings that a grid chooses by itself, on held-out training images."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

from fairart.benchmark import dry_run, grid_from_mapping, run_grid
from fairart.benchmark.archive import write_archive
from fairart.benchmark.reproduced import compare_with
from fairart.errors import OptionError
from fairart.runs.config import RunConfig

DOCUMENT: dict[str, Any] = {
    "base": {
        "dataset": "digits", "per_class": 20, "model.width": 2, "epochs": 2, "batch_size": 64, "max_iter": 1, "eps": 0.1,
        "eps_step": 0.1, "device": "cpu", "logger": [],
    },
    "methods": {"at": None, "trades": {"space": {"objective.beta": [1.0, 6.0]}}, "standard": None},
    "grid": {"seed": [0, 1]},
    "space": {"lr": {"low": 0.01, "high": 0.2, "log": True}},
    "selection": {"trials": 2, "held_out": 0.25, "smooth": 1, "pruner": "none", "base": {"epochs": 1}},
    "evaluation": {"attacks": {"pgd": {"max_iter": 1}}, "limit": 100},
    "comparisons": [["trades", "at"]],
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run_grid(grid_from_mapping(DOCUMENT), tmp_path_factory.mktemp("selection") / "grid", workers=0, verbose=False)


def test_every_method_gets_the_same_trials_and_its_cells_the_choice(run: Any) -> None:
    assert [one.selection.method for one in run.selected] == ["at", "trades", "standard"]
    assert [one.states for one in run.selected] == [{"whole": 2}] * 3
    for one in run.selected:
        trials = json.loads((run.folder / "selection" / one.selection.name / "trials.json").read_text())["trials"]
        best = max(trials, key=lambda row: (row["figures"]["worst_class"], -row["number"]))
        assert one.number == best["number"]
        assert one.settings["lr"] == best["settings"]["lr"]
        cells = [entry.cell for entry in run.entries if entry.cell.method == one.selection.method]
        assert [cell.config.seed for cell in cells] == [0, 1]
        for cell in cells:
            assert cell.config.lr == one.settings["lr"]
            assert cell.config.epochs == 2
            assert cell.config.validation_share is None
            assert cell.row_name == one.selection.method
    (trades,) = (one for one in run.selected if one.selection.method == "trades")
    assert set(trades.settings) == {"lr", "objective.beta"}


def test_trials_see_no_test_images_and_other_seeds(run: Any) -> None:
    configs = [RunConfig.load(path) for path in run.folder.glob("selection/*/trials/*/run/config.yaml")]
    assert len(configs) == 6
    assert {config.seed for config in configs} == {1000}
    assert {config.validation_share for config in configs} == {0.25}
    assert {config.epochs for config in configs} == {1}


def test_files_say_what_was_tried_chosen_and_what_it_cost(run: Any) -> None:
    text = (run.folder / "results.md").read_text()
    assert "## Settings chosen" in text
    assert "By 2 trials a method" in text
    page = (run.folder / "report.html").read_text()
    assert 'id="selection"' in page
    for one in run.selected:
        assert f"lr {one.settings['lr']:.4g}" in text
        assert f"lr {one.settings['lr']:.4g}" in page
    assert [entry["trials"] for entry in run.to_dict()["selection"]] == [{"whole": 2}] * 3


def test_again_nothing_is_searched_or_trained(run: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.glob("**/model.safetensors")}
    assert len(before) == 12
    again = run_grid(grid_from_mapping(DOCUMENT), run.folder, workers=0, verbose=False)
    assert {path: path.stat().st_mtime_ns for path in run.folder.glob("**/model.safetensors")} == before
    assert again.to_dict()["selection"] == run.to_dict()["selection"]
    assert set(dry_run(grid_from_mapping(DOCUMENT), run.folder).values()) == {"done"}


def test_before_the_selections_a_dry_run_lists_the_cells(tmp_path: Path) -> None:
    assert list(dry_run(grid_from_mapping(DOCUMENT), tmp_path / "none").values()) == ["new"] * 6


def test_a_dry_run_says_how_far_the_selections_are_and_what_is_left(run: Any, tmp_path: Path) -> None:
    grid = grid_from_mapping(DOCUMENT)
    new = dry_run(grid, tmp_path)
    assert [(one.method, one.state, one.ended, one.trials) for one in new.selections] == [
        (method, "new", 0, 2) for method in ("at", "trades", "standard")
    ]
    assert new.left == {"trainings": 3 * 2 + 6, "trials": 6, "evaluations": 6}
    made = dry_run(grid, run.folder)
    assert {one.state for one in made.selections} == {"made"}
    assert made.left == {"trainings": 0, "trials": 0, "evaluations": 0}
    # As a process leaves it that was killed after its last trial: the study is there, what it found is not.
    shutil.copytree(run.folder / "selection", tmp_path / "selection")
    (tmp_path / "selection" / "trades" / "trials.json").unlink()
    (tmp_path / "selection" / "standard" / "journal.log").unlink()
    before = sorted(path for path in tmp_path.rglob("*"))
    begun = dry_run(grid, tmp_path)
    assert [(one.state, one.ended, one.left) for one in begun.selections] == [("made", 2, 0), ("begun", 2, 0), ("made", 2, 0)]
    assert sorted(path for path in tmp_path.rglob("*")) == before
    shutil.rmtree(tmp_path / "selection" / "trades")
    # A search of more trials than were made is gone on with.
    more = changed(selection=DOCUMENT["selection"] | {"trials": 3})
    assert [(one.state, one.ended, one.left) for one in dry_run(grid_from_mapping(more), tmp_path).selections] == [
        ("begun", 2, 1),
        ("new", 0, 3),
        ("new", 0, 3),
    ]


def test_selections_go_on_from_an_archive(run: Any, tmp_path: Path) -> None:
    grid = grid_from_mapping(DOCUMENT)
    made = write_archive(grid, run.folder, tmp_path / "archive")
    assert set(made.selections.values()) == {True}
    files = {path.name for path in (tmp_path / "archive" / "selection").rglob("*") if path.is_file()}
    assert files == {"trials.json", "settings.json"}
    again = run_grid(grid, tmp_path / "archive", workers=0, verbose=False)
    assert not list((tmp_path / "archive").rglob("*.safetensors"))
    assert again.to_dict()["selection"] == run.to_dict()["selection"]
    for path in run.files:
        assert (tmp_path / "archive" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_row_alone_takes_the_settings_that_were_chosen(run: Any, tmp_path: Path) -> None:
    limited = grid_from_mapping(DOCUMENT).narrowed(["trades/1"])
    assert [one.method for one in limited.selections] == ["trades"]
    again = run_grid(limited, tmp_path / "again", workers=0, selections_from=run.folder, verbose=False)
    (found,) = compare_with(run.folder, again.grid, again.folder)
    assert (found.cell.row_name, found.cell.config.seed, found.same) == ("trades", 1, True)
    assert not list((tmp_path / "again" / "selection").rglob("*.safetensors"))


@pytest.mark.parametrize("damaged", ["", "[]", '{"finished": true}'])
def test_a_damaged_selection_is_not_made(run: Any, tmp_path: Path, damaged: str) -> None:
    shutil.copytree(run.folder / "selection", tmp_path / "selection")
    (tmp_path / "selection" / "at" / "trials.json").write_text(damaged)
    assert dry_run(grid_from_mapping(DOCUMENT), tmp_path).selections[0].state == "begun"


def changed(**changes: Any) -> dict[str, Any]:
    made = copy.deepcopy(DOCUMENT)
    for name, value in changes.items():
        if value is None:
            del made[name]
        else:
            made[name] = value
    return made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": None, "methods": ["at"]}, "selection has nothing to choose: give a 'space'"),
        ({"selection": [1]}, "selection expects 'option: value' lines"),
        ({"selection": {"trails": 3}}, "selection.*no option 'trails'; did you mean 'trials'"),
        ({"selection": {"objective": "pareto"}}, "objective 'pareto' leaves several settings"),
        ({"selection": {"seed": 1}}, "selection: seed 1 is also a seed of the grid"),
        ({"selection": {"base": {"seed": 5}}}, "selection: base: seed is set by the search"),
        ({"space": {"epochs": [1, 2]}}, "epochs of method 'at' is chosen from a space and given as well"),
        ({"space": {"lr": {"low": 2, "high": 1}}}, "space: lr: low must be below high"),
        ({"methods": {"at": {"space": {"lrr": [1, 2]}}}}, "methods: at: space has no field 'lrr'"),
    ],
)
def test_what_is_no_selection_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^grid: .*{message}"):
        grid_from_mapping(changed(**changes))


def test_an_option_that_its_method_does_not_have_is_refused_before_any_work(tmp_path: Path) -> None:
    document = changed(methods={"at": {"space": {"objective.beta": [1.0, 2.0]}}}, comparisons=[])
    with pytest.raises(OptionError, match=r"selection of at: space: objective\.beta: no objective of the search has an option"):
        run_grid(grid_from_mapping(document), tmp_path / "grid", workers=0, verbose=False)
    assert not list((tmp_path / "grid").glob("selection/*/trials"))


def test_selections_are_apart_for_every_data_set_and_model() -> None:
    grid = grid_from_mapping(changed(grid={"seed": [0], "model.batch_norm": [True, False]}))
    assert [(one.method, one.fixed["model.batch_norm"]) for one in grid.selections] == [
        (method, value) for method in ("at", "trades", "standard") for value in (True, False)
    ]
    assert len({one.name for one in grid.selections}) == 6
    chosen = grid.decided({one.name: {"lr": 0.01 * (1 + place)} for place, one in enumerate(grid.selections)})
    rates = {(cell.method, cell.config.options["model"]["batch_norm"]): cell.config.lr for cell in chosen.cells}
    assert rates == pytest.approx(
        {(one.method, one.fixed["model.batch_norm"]): 0.01 * (1 + place) for place, one in enumerate(grid.selections)}
    )


def test_nothing_is_chosen_for_combinations_that_are_excluded() -> None:
    document = {
        "methods": ["at", "trades"],
        "grid": {"eps": ["8/255", 0.1], "epsilon_scheduler": ["none", "ccm"], "seed": [0, 1]},
        "space": {"lr": [0.01, 0.1]},
        "selection": {"trials": 2},
        "exclude": [{"method": "at", "epsilon_scheduler": "ccm"}, {"method": "trades", "eps": 0.1, "seed": 1}],
    }
    grid = grid_from_mapping(document)
    # A combination with one seed left is still chosen for; one without any is not.
    assert {(one.method, one.fixed["eps"], one.fixed["epsilon_scheduler"]) for one in grid.selections} == {
        ("at", 8 / 255, "none"),
        ("at", 0.1, "none"),
        *(("trades", eps, scheduler) for eps in (8 / 255, 0.1) for scheduler in ("none", "ccm")),
    }
    chosen = grid.decided({one.name: {"lr": 0.01} for one in grid.selections})
    assert {cell.config.lr for cell in chosen.cells} == {0.01}
