"""The look through a data set: duplicates, ranges, suspected labels, each against a computation of its own."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart import create
from fairart.cli.main import main
from fairart.datasets import Dataset, DatasetError
from fairart.datasets.checking import check_dataset, confident_learning, duplicates, near_duplicates, out_of_fold_probabilities
from fairart.runs.build import with_label_noise


def rms(one: np.ndarray, other: np.ndarray, scale: float) -> float:
    return float(np.sqrt(np.mean((one.astype(float) / scale - other.astype(float) / scale) ** 2)))


@given(
    st.integers(2, 60),
    st.sampled_from([(1, 8, 8), (3, 5, 7), (2, 20, 9), (1, 1, 3)]),
    st.booleans(),
    st.floats(0.0, 0.2),
    st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_near_duplicates_are_those_of_every_pair(n: int, shape: Any, whole: bool, tolerance: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    base = random.random((4, *shape))
    x = np.clip(base[random.integers(4, size=n)] + 0.1 * random.random((n, 1, 1, 1)) * random.normal(size=(n, *shape)), 0, 1)
    x = (255 * x).astype(np.uint8) if whole else x.astype(np.float32)
    x[-1] = x[0]
    scale = 255.0 if whole else 1.0
    firsts = [i for i in range(n) if not any(np.array_equal(x[i], x[j]) for j in range(i))]
    gaps = {pair: rms(x[pair[0]], x[pair[1]], scale) for pair in itertools.combinations(firsts, 2)}
    found = near_duplicates(x, tolerance)
    assert found.complete
    pairs = {(int(i), int(j)) for i, j in found.pairs}
    assert pairs <= gaps.keys()
    # A pair that lies on the edge may go either way by rounding.
    assert all((gap <= tolerance) == (pair in pairs) for pair, gap in gaps.items() if abs(gap - tolerance) > 1e-6)


def test_too_many_pairs_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 50)
    x = np.random.default_rng(0).random((100, 1, 4, 4)).astype(np.float32) * 1e-3
    found = near_duplicates(x, 0.1)
    assert not found.complete
    assert len(found.pairs) == 50


def made() -> Dataset:
    """20 training and 10 test images with two equal ones across the splits, a nearly equal pair, and one of one colour."""
    random = np.random.default_rng(0)
    x_train, x_test = random.random((20, 3, 6, 6)).astype(np.float32), random.random((10, 3, 6, 6)).astype(np.float32)
    y_train, y_test = np.arange(20) % 2, np.arange(10) % 2
    x_test[3], x_test[4] = x_train[7], x_train[8]
    y_test[4] = 1 - y_train[8]
    x_train[1] = np.clip(x_train[0] + 0.01, 0, 1)
    x_train[5] = np.array([0.1, 0.2, 0.3], dtype=np.float32)[:, None, None]
    return Dataset("made", x_train, y_train, x_test, y_test, ("a", "b"))


def test_what_is_hidden_in_a_data_set_is_found() -> None:
    data = made()
    report = check_dataset(data, label_errors=False)
    assert [group["images"] for group in report.exact] == [
        [{"split": "train", "index": 7}, {"split": "test", "index": 3}],
        [{"split": "train", "index": 8}, {"split": "test", "index": 4}],
    ]
    assert [group["conflict"] for group in report.exact] == [False, True]
    assert [group["images"] for group in report.near] == [[{"split": "train", "index": 0}, {"split": "train", "index": 1}]]
    train = report.splits["train"]
    assert train.one_colour == [5]
    assert report.splits["test"].one_colour == []
    np.testing.assert_allclose(train.mean, data.x_train.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(train.std, data.x_train.std(axis=(0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(train.low, data.x_train.min(axis=(0, 2, 3)))
    np.testing.assert_allclose(train.high, data.x_train.max(axis=(0, 2, 3)))
    assert report.findings() == [
        "train: 1 image of one colour",
        "2 groups of equal images across train and test, 1 of them with different labels",
        "1 pair of nearly equal images within train, 1 of them with different labels",
    ]


def test_ranges_that_are_wrong_are_told() -> None:
    data = made()
    dark = Dataset("dark", data.x_train / 255, data.y_train, data.x_test, data.y_test, ("a", "b", "c"))
    found = " | ".join(check_dataset(dark, label_errors=False, tolerance=None).findings())
    assert "train: no image of class c" in found
    assert "train: no value is above 0.0039: were the images divided by 255 twice?" in found
    assert "the mean values of training and test images differ" in found
    plain = create("dataset", "digits")
    assert check_dataset(plain, label_errors=False).findings() == []


def by_hand(p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """The confident joint, sample by sample (Northcutt et al. 2021, Eq. 1)."""
    classes = p.shape[1]
    members = [[row[k] for row, label in zip(p, y, strict=True) if label == k] for k in range(classes)]
    thresholds = [np.mean(own) if own else np.inf for own in members]
    counts, suspected = np.zeros((classes, classes), dtype=int), {}
    for i, (row, label) in enumerate(zip(p, y, strict=True)):
        above = [k for k in range(classes) if row[k] >= thresholds[k]]
        if above:
            looks = max(above, key=lambda k: row[k])
            counts[label, looks] += 1
            if looks != label:
                suspected[i] = looks
    return counts, suspected


@given(st.integers(1, 80), st.integers(2, 6), st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_confident_learning_is_its_equations(n: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    p, y = random.dirichlet(np.full(classes, 0.4), size=n), random.integers(classes, size=n)
    found = confident_learning(p, y)
    counts, suspected = by_hand(p, y)
    assert found.counts.tolist() == counts.tolist()
    assert dict(zip(found.suspected.tolist(), found.suggested.tolist(), strict=True)) == suspected
    assert (np.diff(found.margins) <= 0).all()
    margins = [p[i, k] - p[i, y[i]] for i, k in zip(found.suspected, found.suggested, strict=True)]
    np.testing.assert_allclose(found.margins, margins)
    # Eqs. 2 and 3: rows have the sizes of the labels, and all of it is 1.
    np.testing.assert_allclose(found.joint.sum(axis=1), np.bincount(y, minlength=classes) / n)
    assert found.joint.sum() == pytest.approx(1)
    assert found.agreement == pytest.approx(np.mean([row.argmax() == label for row, label in zip(p, y, strict=True)]))
    assert -1e-9 <= found.noise <= 1


def test_the_estimate_of_the_noise_is_right_where_probabilities_are_exact() -> None:
    random = np.random.default_rng(0)
    true = random.integers(4, size=4000)
    y = np.where(random.random(4000) < 0.2, (true + 1) % 4, true)
    # An ideal classifier of such labels: sure of the pair of the true class and the next.
    p = 0.8 * np.eye(4)[true] + 0.2 * np.eye(4)[(true + 1) % 4]
    found = confident_learning(p, y)
    assert found.noise == pytest.approx((y != true).mean(), abs=0.01)
    assert set(found.suspected) == set(np.flatnonzero(y != true))


@pytest.mark.parametrize(("noise", "precision", "recall"), [("symmetric:0.2", 0.9, 0.85), ("pair:0.2", 0.9, 0.8)])
def test_wrong_labels_of_digits_are_found(noise: str, precision: float, recall: float) -> None:
    report = check_dataset(with_label_noise(create("dataset", "digits"), noise, seed=1), tolerance=None)
    assert report.known_noise is not None
    assert report.known_noise["precision"] > precision
    assert report.known_noise["recall"] > recall
    data = with_label_noise(create("dataset", "digits"), noise, seed=1)
    in_train = [error["index"] for error in report.label_errors or () if error["split"] == "train"]
    assert report.known_noise["found"] == len(set(in_train) & set(data.noisy.tolist()))
    # Nothing is wrong with the labels as they are.
    clean = check_dataset(create("dataset", "digits"), tolerance=None)
    assert len(clean.label_errors or ()) < 10
    assert clean.known_noise is None


def test_no_sample_votes_for_itself() -> None:
    """With itself as its one neighbour, every image of random labels would be sure of its own."""
    random = np.random.default_rng(0)
    x, y = random.random((60, 1, 4, 4)).astype(np.float32), random.integers(3, size=60)
    p = out_of_fold_probabilities(x, y, 3, neighbours=1)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p.argmax(axis=1) == y).mean() < 0.6
    # Such suspicions are weak, and the report says so.
    random_labels = Dataset("made", x[:50], y[:50], x[50:], y[50:], ("a", "b", "c"))
    assert any("too weak for these images" in line for line in check_dataset(random_labels).findings())


def test_probabilities_of_ones_own(tmp_path: Path) -> None:
    data = create("dataset", "digits")
    p = np.eye(10)[data.y_train] * 0.9 + 0.01
    p[5] = np.eye(10)[(data.y_train[5] + 3) % 10]
    report = check_dataset(data, tolerance=None, probabilities=p)
    assert report.label_errors is not None
    assert [(error["split"], error["index"]) for error in report.label_errors] == [("train", 5)]
    for wrong, message in (
        (p[:9], r"must be floating numbers of shape \(1797, 10\), or \(1347, 10\).*, got float64 of shape \(9, 10\)"),
        (10 * p, "with the sum 1; were logits given"),
    ):
        with pytest.raises(DatasetError, match=f"digits: probabilities .*{message}"):
            check_dataset(data, tolerance=None, probabilities=wrong)


def test_too_few_images_for_folds_is_a_remark() -> None:
    data = made()
    few = Dataset("few", data.x_train[:4], data.y_train[:4], data.x_test[:3], data.y_test[:3], ("a", "b"))
    report = check_dataset(few)
    assert report.label_errors is None
    assert len(report.remarks) == 1
    assert "expected at least 2 folds and two samples a fold, got 5 folds and 7 samples" in report.remarks[0]


def test_the_command(tmp_path: Path, capsys: Any) -> None:
    data, file = made(), tmp_path / "made.npz"
    x = {f"x_{split}": (255 * getattr(data, f"x_{split}")).astype(np.uint8) for split in ("train", "test")}
    np.savez(file, **x, y_train=data.y_train, y_test=data.y_test)
    output = tmp_path / "check.json"
    assert main(["data", "check", f"npz:{file}", "--json", "--output", str(output)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(output.read_text())
    assert (document["format"], len(document["exact"]), document["tolerance"]) == ("fairart.data_check", 2, 0.03)
    assert main(["data", "check", "digits", "--label-noise", "pair:0.2", "--tolerance", "none", "--show", "2"]) == 0
    shown = capsys.readouterr().out
    assert "labels that were made wrong are suspected (precision" in shown
    assert "the most suspicious labels" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "expected 'fairart data check DATASET'"),
        (["data", "checks", "digits"], "did you mean"),
        (["data", "check"], "no data set given"),
        (["data", "check", "digit"], "digits"),
        (["data", "check", "digits", "--tolerance", "2"], "--tolerance expects a number from 0 to 1, or none, got '2'"),
        (["data", "check", "digits", "--label-noise", "pair:2"], "expects a rate from 0 to 1"),
        (["data", "check", "digits", "--output", "nowhere/a.json"], "there is no folder 'nowhere'"),
        (["data", "check", "digits", "--probabilities", "nowhere.npy"], "nowhere.npy"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
