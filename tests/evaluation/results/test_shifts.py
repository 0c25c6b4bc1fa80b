"""Shifted test sets: what is lost, its interval, the line from clean to shifted accuracy, files and resuming."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress, norm

from fairart.evaluation import AttackResult, DamagedFileError, EvaluationResult, evaluate
from fairart.evaluation.results.calibration import reliability
from fairart.evaluation.results.intervals import newcombe_interval
from fairart.evaluation.results.line import fitted_line, probit
from fairart.evaluation.results.shift_results import Drop, ShiftResults


def outcome(rates, per_class, *, label="clean", sure=0.8):
    labels = np.repeat(np.arange(len(rates)), per_class)
    place = np.tile(np.arange(per_class), len(rates))
    right = place < np.rint(np.array(rates) * per_class)[labels]
    guesses = np.where(right, labels, (labels + 1) % len(rates))
    return AttackResult(label, labels, guesses, len(rates), {}, confidences=np.full(len(labels), sure))


@pytest.mark.parametrize(
    ("counts", "ends"),
    [
        # Table II of Newcombe (1998), method 10.
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_the_interval_of_a_difference_is_that_of_its_paper(counts, ends):
    assert newcombe_interval(*counts) == pytest.approx(ends, abs=6e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_interval_holds_the_difference_and_turns_with_its_sign(n, m, data):
    first, second = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    low, high = newcombe_interval(first, n, second, m)
    assert -1 - 1e-12 <= low <= first / n - second / m <= high <= 1 + 1e-12
    assert newcombe_interval(second, m, first, n) == pytest.approx((-high, -low))


def test_what_is_lost_by_hand():
    drop = Drop(outcome([0.9, 0.8, 0.5], 10), outcome([0.6, 0.8, 0.25], 20, label="s"))
    assert drop.of_classes == pytest.approx([0.3, 0.0, 0.25])
    assert drop.relative_of_classes == pytest.approx([1 / 3, 0, 0.5])
    assert drop.overall == pytest.approx(22 / 30 - 33 / 60)
    assert drop.relative == pytest.approx((22 / 30 - 33 / 60) / (22 / 30))
    assert drop.interval == pytest.approx(newcombe_interval(22, 30, 33, 60))
    assert drop.class_intervals[2] == pytest.approx(newcombe_interval(5, 10, 5, 20))


def test_without_clean_accuracy_no_share_of_it_is_lost():
    drop = Drop(outcome([0.0, 0.0], 10), outcome([0.5, 0.0], 10))
    assert math.isnan(drop.relative)
    assert np.isnan(drop.relative_of_classes).all()


def test_the_line_is_that_of_scipy_on_the_probit_scale():
    clean, shifted, n = np.array([40, 45, 30, 50]), np.array([30, 31, 18, 50]), np.full(4, 50)
    x, y = norm.ppf((clean + 0.5) / 51), norm.ppf((shifted + 0.5) / 51)
    expected = linregress(x, y)
    line = fitted_line(probit(clean, n), probit(shifted, n))
    assert (line.slope, line.intercept, line.correlation) == pytest.approx((expected.slope, expected.intercept, expected.rvalue))
    assert line.at(norm.cdf(0.7)) == pytest.approx(norm.cdf(expected.intercept + 0.7 * expected.slope))


def test_absent_classes_are_left_out_of_the_line_and_two_points_make_none():
    clean, shifted = probit([4, 3, 2, 1], [5, 5, 5, 5]), probit([3, 2, 0, 1], [5, 5, 0, 5])
    assert fitted_line(clean, shifted).points == 3
    assert fitted_line(clean[:2], shifted[:2]) is None
    assert fitted_line(np.zeros(4), np.arange(4.0)) is None


def made():
    clean = outcome([0.9, 0.8, 0.5], 10)
    shifts = ShiftResults(
        {"camera": outcome([0.6, 0.8, 0.25], 20, label="camera"), "<b>2": outcome([0.6, 0.6, 0.6], 5, label="<b>2", sure=0.6)},
        sources={"camera": {"dataset": "npz:camera.npz"}},
    )
    return EvaluationResult([clean], shifts=shifts)


def test_a_file_brings_shifts_back_and_wrong_counts_are_damage(tmp_path):
    result = made()
    path = result.save(tmp_path / "evaluation.json")
    back = EvaluationResult.load(path)
    assert back.to_dict() == result.to_dict()
    assert back.table() == result.table()
    assert back.shifts.sources["camera"] == {"dataset": "npz:camera.npz"}
    plain = json.loads(path.read_text())
    assert plain["shifts"][0]["drop"]["relative_of_classes"] == pytest.approx([1 / 3, 0, 0.5])
    assert plain["shifts"][1]["calibration"]["ece"] == pytest.approx(0, abs=1e-9)
    plain["shifts"][0]["predictions"][0] = 2
    path.write_text(json.dumps(plain))
    with pytest.raises(DamagedFileError, match="the counts of 'camera' are not those of its predictions"):
        EvaluationResult.load(path)
    plain.pop("shifts")
    path.write_text(json.dumps(plain))
    assert len(EvaluationResult.load(path).shifts) == 0


def test_the_table_says_what_is_lost():
    table = made().table()
    row = next(line for line in table.split("\n") if line.startswith("2  ") and "25.0" in line)
    assert "50.0" in row
    assert "camera: 60 images of npz:camera.npz" in table
    assert "&lt;b&gt;2" in made()._repr_html_()
    assert "lost" not in EvaluationResult([outcome([0.5, 0.5], 4)]).table()


def test_a_shift_has_other_samples_and_is_scored_as_clean_data_is(classifier, digits, tmp_path, monkeypatch):
    x, y = digits.x_train[:70], digits.y_train[:70]
    darker = (0.5 * x).astype(np.float32)
    common = {"attacks": [], "verbose": False, "batch_size": 32}
    result = evaluate(classifier, digits.x, digits.y, shifts={"same": (digits.x, digits.y), "darker": (darker, y)}, **common)
    assert result.shifts["same"].predictions.tolist() == result["clean"].predictions.tolist()
    alone = evaluate(classifier, darker, y, **common)["clean"]
    shifted = result.shifts["darker"]
    assert shifted.predictions.tolist() == alone.predictions.tolist()
    assert shifted.calibration().ece == pytest.approx(reliability(alone.correct, alone.confidences).ece)
    assert result.shifts.drop("same", result["clean"]).overall == 0
    # Whole numbers are divided as those of the test set are.
    whole = (255 * x).round().astype(np.uint8)
    as_bytes = evaluate(classifier, digits.x, digits.y, shifts={"s": (whole, y)}, **common).shifts["s"]
    assert as_bytes.accuracy == pytest.approx(evaluate(classifier, x, y, **common)["clean"].accuracy, abs=0.03)


def test_an_interrupted_shift_goes_on(classifier, digits, tmp_path, monkeypatch):
    from fairart.evaluation.running.runner import Runner

    shifts = {"one": (digits.x_train[:64], digits.y_train[:64]), "two": (digits.x_train[64:128], digits.y_train[64:128])}
    common = {"attacks": [], "verbose": False, "batch_size": 16, "shifts": shifts}
    whole = evaluate(classifier, digits.x, digits.y, **common)
    score, calls = Runner._score, []

    def killed(self, x, indices, name, *rest, **options):
        calls.append(name)
        if calls.count("shift/two") == 3:
            raise KeyboardInterrupt
        return score(self, x, indices, name, *rest, **options)

    monkeypatch.setattr(Runner, "_score", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(classifier, digits.x, digits.y, checkpoint=tmp_path / "kept", **common)
    calls.clear()
    resumed = evaluate(classifier, digits.x, digits.y, checkpoint=tmp_path / "kept", **common)
    assert resumed.to_dict() == whole.to_dict()
    assert calls == ["shift/two", "shift/two"]


@pytest.mark.parametrize(
    ("shifts", "told"),
    [
        ({"s": 3}, r"shift 's': expected a pair \(x, y\), got int"),
        ([("s", 1)], r"shifts expects name -> \(x, y\), got list"),
        ({"s": (np.zeros((4, 3, 8, 8), np.float32), [0, 1, 2, 3])}, r"shift 's': x must have the classifier's input shape"),
        ({"s": (np.zeros((2, 1, 8, 8), np.float32), [0, 11])}, r"shift 's': y must be labels in \[0, 10\)"),
        ({"s": (np.zeros((2, 1, 8, 8), np.float32), [0])}, "shift 's': x and y must be of one length, got 2 and 1"),
        ({"s": (np.full((2, 1, 8, 8), 7.0), [0, 1])}, "shift 's': x must lie in the classifier's clip_values"),
    ],
)
def test_bad_shifts_are_one_error_before_any_work(shifts, told, classifier, digits, tmp_path):
    with pytest.raises(ValueError, match=told):
        evaluate(classifier, digits.x, digits.y, attacks=[], shifts=shifts, checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
