"""The leaderboard: what is read from benchmark folders, how rows are ordered and marked, and the page."""

from __future__ import annotations

import csv
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from scipy.stats import t

from fairart.benchmark.leaderboard import leaderboard_page
from fairart.benchmark.leaderboard.ranking import Board, boards
from fairart.benchmark.leaderboard.reading import CORRUPTIONS, read_standings
from fairart.benchmark.state import Record, cell_folder
from fairart.cli.main import main
from fairart.errors import OptionError
from fairart.runs.config import RunConfig

HEAD = [
    "cell",
    "method",
    "dataset",
    "model",
    "trainer",
    "objective",
    "averaging",
    "seed",
    "attack",
    "severity",
    "class",
    "name",
    "n",
    "correct",
    "accuracy",
    "doubtful",
]
Right = Mapping[tuple[str, str], Sequence[int]]


def cell(
    folder: Path, method: str, seed: int, right: Right, *, n: int = 100, dataset: str = "photos", doubtful: bool = False
) -> None:
    """Add a cell to the table of a folder: (attack, severity) -> samples of each class that are right."""
    path, name = folder / "results.csv", f"{method}_{dataset}_seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    begun = path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        if not begun:
            lines.writerow(HEAD)
        for (attack, severity), counts in right.items():
            for index, correct in enumerate(counts):
                who = [name, method, dataset, "small-cnn", method, "at", "none", seed]
                lines.writerow([*who, attack, severity, index, "abc"[index], n, correct, correct / n, int(doubtful)])


def board_of(*folders: Path) -> Board:
    (found,) = boards(*read_standings(folders))
    return found


def test_means_and_intervals_are_students(tmp_path: Path) -> None:
    for seed, worst in enumerate((20, 30, 40)):
        cell(tmp_path, "at", seed, {("pgd", ""): (90, worst)})
    (row,) = board_of(tmp_path).rows
    number = row.numbers["pgd", "worst"]
    low, high = t.interval(0.95, 2, loc=0.3, scale=0.1 / math.sqrt(3))
    assert number.over_seeds.mean == pytest.approx(0.3)
    assert number.over_seeds.interval == pytest.approx((low, high))
    assert row.numbers["pgd", "average"].over_seeds.mean == pytest.approx(0.6)
    assert number.names == ("b",)


def test_corruptions_are_means_over_sets_of_images_as_in_the_tables(tmp_path: Path) -> None:
    cell(tmp_path, "at", 0, {("clean", ""): (90, 80), ("fog", "1"): (80, 60), ("fog", "5"): (20, 40)})
    (standing,), _ = read_standings([tmp_path])
    corrupted = standing.measured[CORRUPTIONS]
    assert corrupted.average == pytest.approx((0.7 + 0.3) / 2)
    assert corrupted.worst == pytest.approx((0.6 + 0.2) / 2)
    assert corrupted.worst_names == ["b", "a"]


def test_rows_are_ordered_by_the_worst_class_under_the_last_attack(tmp_path: Path) -> None:
    cell(tmp_path, "even", 0, {("autoattack", ""): (50, 40), ("clean", ""): (60, 60), ("pgd", ""): (50, 45)})
    cell(tmp_path, "uneven", 0, {("autoattack", ""): (95, 5), ("clean", ""): (99, 90), ("pgd", ""): (96, 6)})
    board = board_of(tmp_path)
    assert board.attacks == ("clean", "pgd", "autoattack")
    assert board.order == ("autoattack", "worst")
    assert [row.name for row in board.rows] == ["even", "uneven"]


def test_what_overlaps_with_the_highest_interval_is_not_told_apart(tmp_path: Path) -> None:
    for seed in range(3):
        cell(tmp_path, "high", seed, {("pgd", ""): (80 + seed,)})
        cell(tmp_path, "close", seed, {("pgd", ""): (79 + seed,)})
        cell(tmp_path, "far", seed, {("pgd", ""): (40 + seed,)})
    rows = {row.name: row.numbers["pgd", "average"].leading for row in board_of(tmp_path).rows}
    assert rows == {"high": True, "close": True, "far": False}


def test_a_cell_in_two_folders_is_one_row_with_the_attacks_of_both(tmp_path: Path) -> None:
    cell(tmp_path / "a", "at", 0, {("pgd", ""): (60, 50)}, n=1000)
    cell(tmp_path / "b", "at", 0, {("pgd", ""): (9, 9), ("autoattack", ""): (5, 4)}, n=10)
    board = board_of(tmp_path / "b", tmp_path / "a")
    assert board.images == {"pgd": 2000, "autoattack": 20}
    (row,) = board.rows
    assert row.seeds == 1
    assert row.numbers["pgd", "average"].over_seeds.mean == pytest.approx(0.055)
    assert row.numbers["autoattack", "worst"].over_seeds.mean == pytest.approx(0.4)


def test_cells_measured_on_fewer_images_do_not_enter_the_mean(tmp_path: Path) -> None:
    cell(tmp_path, "at", 0, {("pgd", ""): (500,)}, n=1000)
    cell(tmp_path, "at", 1, {("pgd", ""): (9,)}, n=10)
    (row,) = board_of(tmp_path).rows
    assert row.numbers["pgd", "average"].over_seeds.mean == pytest.approx(0.5)


def test_rows_of_two_budgets_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    for folder, epochs, methods in (("short", 4, ("at",)), ("long", 12, ("at", "trades"))):
        for method in methods:
            cell(tmp_path / folder, method, 0, {("pgd", ""): (60, 50)}, dataset=f"photos_{folder}")
            place = cell_folder(tmp_path / folder, f"{method}_photos_{folder}_seed0")
            place.mkdir(parents=True)
            RunConfig.from_mapping({"trainer": method, "per_class": 100, "epochs": epochs}).save(place / "config.yaml")
        text = (tmp_path / folder / "results.csv").read_text().replace(f",photos_{folder},", ",photos,")
        (tmp_path / folder / "results.csv").write_text(text)
    found = boards(*read_standings([tmp_path / "short", tmp_path / "long"]))
    assert [board.title for board in found] == [
        "photos, small-cnn: 100 images a class, 12 epochs",
        "photos, small-cnn: 100 images a class, 4 epochs",
    ]
    assert [sorted(row.name for row in board.rows) for board in found] == [["at", "trades"], ["at"]]
    assert board_of(tmp_path / "long").title == "photos, small-cnn"


def test_of_a_comparison_in_two_folders_the_one_with_more_images_counts(tmp_path: Path) -> None:
    head = "table,attack,part,method,baseline,difference,low,high,p_holm,verdict\n"
    for folder, n, difference in (("few", 10, "0.5"), ("many", 1000, "0.1")):
        for method in ("at", "trades"):
            cell(tmp_path / folder, method, 0, {("pgd", ""): (6, 5)}, n=n)
        line = f'"photos, small-cnn",pgd,average,trades,at,{difference},,,0.01,better\n'
        (tmp_path / folder / "comparisons.csv").write_text(head + line)
    for order in (["few", "many"], ["many", "few"]):
        (line,) = board_of(*(tmp_path / folder for folder in order)).comparisons
        assert line["difference"] == "0.1"


@pytest.mark.parametrize("dataset", ["npz:some/folder/photos.npz", "folder:some/photos", "folder:some\\photos\\"])
def test_a_data_set_of_ones_own_is_called_by_its_name(tmp_path: Path, dataset: str) -> None:
    cell(tmp_path, "at", 0, {("pgd", ""): (1,)}, dataset=dataset)
    assert board_of(tmp_path).title == "photos, small-cnn"


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    cell(tmp_path, "<b>at</b>", 0, {("clean", ""): (90, 80), ("pgd", ""): (50, 25)}, doubtful=True)
    config = RunConfig(trainer="at", lr=0.03, options={"target_sampler": {"scale": 2.0}}, target_sampler="cfps-softmax")
    place = cell_folder(tmp_path, "<b>at</b>_photos_seed0")
    place.mkdir(parents=True)
    config.save(place / "config.yaml")
    Record(config=config.to_dict(), training={"weights": "0", "seconds": 12.4}).save(place)
    head = (
        "table,attack,part,method,baseline,test,pairs,difference,low,high,level,p,planned,p_holm,detectable,verdict,doubtful,note"
    )
    line = '"photos, small-cnn",pgd,worst,<b>at</b>,<b>at</b>,seeds-and-samples,5,0.125,0.1,0.15,0.95,0.01,1,0.0123,0.1,better'
    (tmp_path / "comparisons.csv").write_text(f"{head}\n{line}\n")
    page = leaderboard_page([tmp_path])
    assert "<b>at</b>" not in page
    assert html.escape("<b>at</b>") in page
    for said in ("37.5", "25.0", ">12<", "lr 0.03, scale 2", "+12.5", "+10.0 to +15.0", "0.012", "better", "pgd, 200 images"):
        assert said in page
    assert "a sanity check of this attack failed" in page
    assert html.escape(yaml.safe_dump({"lr": 0.03}).strip()) in page


def test_bad_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OptionError, match=r"no folder of a benchmark: it has no results\.csv"):
        read_standings([tmp_path])
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OptionError, match="expected the columns cell, method"):
        read_standings([tmp_path])
    cell(tmp_path / "torn", "at", 0, {("pgd", ""): (1,)})
    torn = tmp_path / "torn" / "results.csv"
    torn.write_text(torn.read_text().replace(",100,1,", ",100,one,"))
    with pytest.raises(OptionError, match="is damaged"):
        read_standings([tmp_path / "torn"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "results.csv").write_text(",".join(HEAD) + "\n")
    with pytest.raises(OptionError, match="no cell of these benchmarks is finished"):
        leaderboard_page([tmp_path / "empty"])
    assert main(["leaderboard"]) == 2
    assert "fairart leaderboard FOLDER" in capsys.readouterr().err


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell(tmp_path / "grid", "at", 0, {("pgd", ""): (1,)})
    assert main(["leaderboard", str(tmp_path / "grid"), "--output", str(tmp_path / "page.html"), "--title", "Ours"]) == 0
    assert "page.html" in capsys.readouterr().out
    assert "<h1>Ours</h1>" in (tmp_path / "page.html").read_text()
