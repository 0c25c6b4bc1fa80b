"""``fairart evaluate --shift`` as a user meets it, and what compare and report make of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from fairart.datasets.digits import load_digits
from fairart.evaluation import EvaluationResult


def save(file, x, y, **more):
    np.savez(file, x_test=x, y_test=y, **more)
    return f"npz:{file}"


@pytest.fixture(scope="module")
def darker(tmp_path_factory):
    data = load_digits()
    return save(tmp_path_factory.mktemp("shift") / "darker.npz", 0.6 * data.x_test, data.y_test)


def test_the_table_the_file_compare_and_report(fairart_command, trained, train, darker, tmp_path):
    flags = ("--attack", "none", "--shift", f"darker={darker}", "--limit", "100")
    code, out, err = fairart_command("evaluate", trained, *flags)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert len(result.shifts["darker"].labels) == 100
    assert result.shifts.sources["darker"] == {"dataset": darker}
    train("trades", tmp_path / "other", "--quiet")
    assert fairart_command("evaluate", tmp_path / "other", *flags, "--quiet")[0] == 0
    assert "shifted test sets" in fairart_command("compare", trained, tmp_path / "other")[1]
    compared = json.loads(fairart_command("compare", trained, tmp_path / "other", "--json")[1])["shifts"][0]
    assert compared["accuracy"]["at"]["overall"]["mean"] == pytest.approx(result.shifts["darker"].accuracy)
    assert compared["accuracy"]["at"]["lost"]["mean"] == pytest.approx(
        result["clean"].accuracy - result.shifts["darker"].accuracy
    )
    assert compared["line_over_methods"] is None
    fairart_command("report", trained, tmp_path / "other", "--output", tmp_path / "page.html")
    assert '<section id="shifts"' in (tmp_path / "page.html").read_text()


def test_classes_are_matched_by_name_and_whole_numbers_are_divided(fairart_command, trained, tmp_path):
    data = load_digits()
    folder = tmp_path / "other"
    # "7" before "3" by no order of the run: the folder's own labels are 0 for "3" and 1 for "7".
    for name in ("7", "3"):
        (folder / "test" / name).mkdir(parents=True)
        for number, image in enumerate(data.x_test[data.y_test == int(name)][:20]):
            Image.fromarray((255 * image[0]).round().astype(np.uint8)).save(folder / "test" / name / f"{number}.png")
    code, out, err = fairart_command(
        *("evaluate", trained, "--attack", "none", "--json", "--shift", f"few=npz:{tmp_path / 'few.npz'}"),
    )
    assert code == 2
    keep = np.isin(data.y_test, (3, 7))
    save(tmp_path / "few.npz", data.x_test[keep], np.searchsorted([3, 7], data.y_test[keep]), classes=np.array(["3", "7"]))
    flags = ("--shift", f"few=npz:{tmp_path / 'few.npz'}")
    code, out, err = fairart_command("evaluate", trained, "--attack", "none", "--json", *flags)
    assert code == 0, err
    plain = json.loads(out)
    found = plain["shifts"][0]
    assert sorted(set(found["labels"])) == [3, 7]
    # The same images have the same accuracy as in the whole test set.
    for k in (3, 7):
        assert found["class_accuracy"][k] == plain["results"][0]["class_accuracy"][k]
    assert found["class_accuracy"][0] is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("darker", "shift 'darker': expected NAME=DATASET"),
        ("s=npz:gone.npz", "shift 's': dataset 'npz': there is no file gone.npz"),
        ("s=npz:{}/large.npz", "shift 's': images have the shape (1, 9, 9), the run's (1, 8, 8)"),
        ("s=npz:{}/names.npz", "shift 's': 1 of its 2 classes are not among the 10 of the run, such as 'cat'"),
        ("s=npz:{}/many.npz", "shift 's': 2 of its 12 classes are not among the 10 of the run, such as '10'"),
    ],
)
def test_a_bad_shift_is_one_line_and_nothing_is_written(fairart_command, trained, tmp_path, given, told):
    save(tmp_path / "large.npz", np.zeros((2, 9, 9), np.uint8), np.array([0, 1]))
    save(tmp_path / "names.npz", np.zeros((2, 8, 8), np.uint8), np.array([0, 1]), classes=np.array(["1", "cat"]))
    save(tmp_path / "many.npz", np.zeros((12, 8, 8), np.uint8), np.arange(12))
    before = (trained / "evaluation.json").read_text() if (trained / "evaluation.json").exists() else None
    code, out, err = fairart_command("evaluate", trained, "--attack", "none", "--shift", given.format(tmp_path))
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.strip().split("\n")) == 1
    assert not (trained / "evaluation.partial").exists()
    assert ((trained / "evaluation.json").read_text() if (trained / "evaluation.json").exists() else None) == before


def test_two_shifts_of_one_name_are_refused(fairart_command, trained, darker):
    flags = ("--shift", f"s={darker}", "--shift", f"s={darker}")
    code, _, err = fairart_command("evaluate", trained, "--attack", "none", *flags)
    assert code == 2
    assert "two shifts are called 's'" in err


def test_curves_and_temperatures_on_the_command_line(fairart_command, trained, tmp_path):
    flags = ("--attack", "none", "--limit", "100", "--affine", "rotation=-20,0", "--affine", "scale", "--temperature")
    code, out, err = fairart_command("evaluate", trained, *flags)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert result.affine.degrees("rotation") == (-20, 0)
    assert result.affine.families == ("rotation", "scale")
    assert result.temperature is not None
    fairart_command("report", trained, "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '<section id="affine"' in page
    assert '<section id="temperature"' in page
    code, out, err = fairart_command("evaluate", trained, "--affine", "rotation=fast")
    assert code == 2
    assert "--affine expects NAME or NAME=DEGREES, such as rotation=-30,0,30, got 'rotation=fast'" in err


def test_a_shift_is_looked_for_where_the_data_of_the_run_was(fairart_command, train, tmp_path):
    data, folder = load_digits(), tmp_path / "data"
    folder.mkdir()
    np.savez(folder / "own.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    save(folder / "darker.npz", 0.6 * data.x_test, data.y_test)
    assert train("at", tmp_path / "run", "--dataset", "npz:own.npz", "--data-root", folder, "--quiet")[0] == 0
    code, _, err = fairart_command(
        "evaluate", tmp_path / "run", "--attack", "none", "--shift", "darker=npz:darker.npz", "--quiet"
    )
    assert (code, err) == (0, "")
