import json
import struct

import numpy as np
import pytest
import torch

from fairart.evaluation import EvaluationResult
from fairart.runs import demo
from fairart.runs.demo import run_demo

pytestmark = pytest.mark.filterwarnings("ignore:.* cannot cross a ball of eps:UserWarning")

RUN_FILES = {"config.yaml", "history.jsonl", "metrics.csv", "model.safetensors", "evaluation.json", "checkpoint"}
QUICK = {**demo.SETTINGS, "epochs": 2, "per_class": 20, "max_iter": 2, "batch_size": 50}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "SETTINGS", QUICK)
        threads = torch.get_num_threads()
        result = run_demo(folder, seeds=1, verbose=False)
        assert torch.get_num_threads() == threads
    return result


def test_every_file_is_there(made):
    assert {path.name for path in made.folder.iterdir()} == {
        "at-seed0",
        "fair-tat-seed0",
        "dafa-seed0",
        "summary.json",
        "accuracy_per_class.png",
        "epsilon_per_class.png",
        "target_distribution.png",
    }
    for method in ("at", "fair-tat", "dafa"):
        assert {path.name for path in (made.folder / f"{method}-seed0").iterdir()} == RUN_FILES
    for path in made.files[1:]:
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", data[16:24])) > 300


def test_the_summary_holds_the_numbers_of_the_evaluations(made):
    summary = json.loads((made.folder / "summary.json").read_text())
    assert summary == made.to_dict()
    for method in ("at", "fair-tat", "dafa"):
        stored = EvaluationResult.load(made.folder / f"{method}-seed0" / "evaluation.json")
        for attack in ("clean", "pgd"):
            cells = summary["accuracy"][attack][method]
            for k, rate in enumerate(stored[attack].class_accuracy):
                assert cells[str(k)] == {"mean": pytest.approx(rate), "std": None, "seeds": 1}
            assert cells["worst"]["mean"] == pytest.approx(stored[attack].worst_class_accuracy())
    assert summary["attack"]["options"]["max_iter"] == 20
    assert summary["attack"]["options"]["eps"] == QUICK["eps"]


def test_all_methods_share_every_setting(made):
    import yaml

    at, ours = (yaml.safe_load((made.folder / f"{method}-seed0" / "config.yaml").read_text()) for method in ("at", "fair-tat"))
    assert {key for key in at if at[key] != ours[key]} == {"trainer", "target_sampler", "epsilon_scheduler"}
    assert at["epochs"] == QUICK["epochs"]


def test_the_text_says_what_the_numbers_mean(made):
    text = made.text()
    assert "digits is small" in text
    assert "One seed cannot tell" in text
    gain = made.table.cell("worst", "pgd", "difference").mean
    assert f"dafa is {100 * gain:+.1f} points from at" in text
    assert "chosen among ten methods on held-out training images" in text
    assert max(map(len, text.split("\n"))) <= 120


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(demo, "train_run", lambda *_, **__: pytest.fail("trained"))


def test_a_second_demo_into_the_folder_is_refused_before_training(made, no_training):
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    with pytest.raises(FileExistsError, match=r"has a demo already.*overwrite"):
        run_demo(made.folder)
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before


def test_folders_in_use_are_refused_before_training(tmp_path, no_training):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="what it has is no demo"):
        run_demo(tmp_path)
    with pytest.raises(FileExistsError, match="is a file"):
        run_demo(tmp_path / "thesis.txt")
    (tmp_path / "half" / "at-seed0").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="unfinished demo"):
        run_demo(tmp_path / "half")


@pytest.mark.parametrize("seeds", [0, -1, True, 1.5])
def test_seeds_are_counted(tmp_path, no_training, seeds):
    with pytest.raises(ValueError, match="seeds"):
        run_demo(tmp_path / "new", seeds=seeds)
    assert not (tmp_path / "new").exists()


def test_overwriting_takes_an_earlier_demo_away_and_nothing_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "summary.json").write_text("{}")
    for name, extra in (("at-seed7", None), ("fair-tat-seed7", "notes.txt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("old")
        if extra:
            (tmp_path / name / extra).write_text("mine")
    demo._prepare(tmp_path, True)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "fair-tat-seed7",
        "fair-tat-seed7/notes.txt",
        "thesis.txt",
    ]


def test_several_seeds_give_a_spread_and_progress_goes_to_standard_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "SETTINGS", {**QUICK, "epochs": 1})
    result = run_demo(tmp_path / "new", seeds=2)
    out, err = capsys.readouterr()
    assert result.text() in out
    assert err.count("seed 0: clean") == err.count("seed 1: clean") == 3
    accuracies = [run["pgd"].accuracy for run in result.evaluations["at"]]
    cell = result.table.cell("overall", "pgd", "at")
    assert (cell.mean, cell.std, cell.count) == (pytest.approx(np.mean(accuracies)), pytest.approx(np.std(accuracies, ddof=1)), 2)
    assert "spread over 2 seeds" in out
