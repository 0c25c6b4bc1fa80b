"""Noisy training labels: how many are wrong in every class, which, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart import create
from fairart.datasets import DatasetError
from fairart.datasets.label_noise import noisy_labels, pair_matrix, symmetric_matrix
from fairart.runs.build import build_dataset, resolved_config
from fairart.runs.config import RunConfig


def made(noise: str, y: np.ndarray, nb_classes: int, seed: int = 0) -> np.ndarray:
    return noisy_labels(noise, y, nb_classes, seed=seed, name="made")


@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0),
    st.sampled_from(["symmetric", "pair"]),
    st.floats(0.0, 1.0),
    st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_the_rate_holds_in_every_class(counts: list[int], kind: str, rate: float, seed: int) -> None:
    y = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    before = y.copy()
    labels = made(f"{kind}:{rate!r}", y, len(counts), seed)
    assert np.array_equal(y, before)
    for k, count in enumerate(counts):
        given_ = labels[y == k]
        assert abs(int((given_ != k).sum()) - rate * count) <= 0.5 + 1e-6
        wrong = np.bincount(given_[given_ != k], minlength=len(counts))
        if kind == "pair":
            assert not np.delete(wrong, (k + 1) % len(counts)).any()
        else:
            # The wrong labels of a class are spread as evenly as whole numbers allow.
            others = np.delete(wrong, k)
            assert others.max(initial=0) - others.min(initial=10**9) <= 1


def test_the_matrices_by_hand() -> None:
    np.testing.assert_allclose(symmetric_matrix(3, 0.2), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(pair_matrix(3, 0.25), [[0.75, 0.25, 0], [0, 0.75, 0.25], [0.25, 0, 0.75]])


def test_noise_of_a_lower_rate_is_contained_in_that_of_a_higher() -> None:
    y = np.arange(500) % 5
    few, many, other = (made(f"symmetric:{rate}", y, 5, seed) != y for rate, seed in ((0.1, 3), (0.3, 3), (0.3, 4)))
    assert not (few & ~many).any()
    assert (many != other).any()


def test_a_file_of_shares(tmp_path: Path) -> None:
    # Class 0 is mistaken for 2 only, class 1 never, class 2 for both.
    rows, y = [[0.5, 0, 0.5], [0, 1, 0], [0.2, 0.3, 0.5]], np.repeat([0, 1, 2], 10)
    file = tmp_path / "shares.json"
    file.write_text(json.dumps(rows))
    counts = [np.bincount(made(str(file), y, 3)[y == k], minlength=3).tolist() for k in range(3)]
    assert counts == [[5, 0, 5], [0, 10, 0], [2, 3, 5]]
    rows[2] = [0.2, 0.3, 0.4]
    file.write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match=r"made: the file .* 3 rows of 3 shares >= 0, each row with the sum 1, got"):
        made(str(file), y, 3)


@pytest.mark.parametrize("form", ["npy", "json", "text"])
def test_a_file_of_labels(form: str, tmp_path: Path) -> None:
    y, wanted = np.array([0, 1, 2, 0]), [2, 1, 0, 0]
    file = tmp_path / ("labels.npy" if form == "npy" else "labels.txt")
    if form == "npy":
        np.save(file, np.array(wanted, dtype=np.uint8))
    else:
        file.write_text(json.dumps(wanted) if form == "json" else "2 1\n0, 0\n")
    labels = made(str(file), y, 3)
    assert labels.tolist() == wanted
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ("symmetric:1.2", "symmetric expects a rate from 0 to 1, such as symmetric:0.2, got '1.2'"),
        ("pair:-0.1", "pair expects a rate from 0 to 1"),
        ("pair:much", "pair expects a rate from 0 to 1"),
        ("symmetric:nan", "symmetric expects a rate from 0 to 1"),
        ("asymmetric:0.2", "expects symmetric:RATE, pair:RATE or a file, got 'asymmetric:0.2'"),
    ],
)
def test_what_is_no_noise_is_refused(noise: str, message: str) -> None:
    with pytest.raises(DatasetError, match=f"made: label_noise {message}"):
        made(noise, np.array([0, 1, 2]), 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1", "must have 3 labels, one a training image, got 2"),
        ("0 1 3", r"must lie in 0\.\.2, got 0\.\.3"),
        ("0 1 x", "must hold one label for every training image"),
        ("[0.5, 1, 2]", "must be whole numbers, got float64"),
        ("[[1, 0], [0]]", "must hold one label"),
        ('[{"a": 1}]', "must hold one label"),
        ("[]", "must hold one label"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message):
        made(str(file), np.array([0, 1, 2]), 3)


def test_a_pickle_in_the_file_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "labels.npy"
    np.save(file, np.array([{"a": 1}, 2, 3], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="must hold one label"):
        made(str(file), np.array([0, 1, 2]), 3)


def test_a_run_has_it_seeded_noted_and_only_in_training(tmp_path: Path) -> None:
    first, again, other = (build_dataset(RunConfig(trainer="at", label_noise="pair:0.2", seed=seed)) for seed in (0, 0, 1))
    whole = create("dataset", "digits")
    assert first.y_train_original is not None
    np.testing.assert_array_equal(first.y_train_original, whole.y_train)
    np.testing.assert_array_equal(first.x_train, whole.x_train)
    np.testing.assert_array_equal(first.y_test, whole.y_test)
    np.testing.assert_array_equal(first.noisy, np.flatnonzero(first.y_train != whole.y_train))
    np.testing.assert_array_equal(first.y_train, again.y_train)
    assert not np.array_equal(first.y_train, other.y_train)
    assert f"label noise pair:0.2: {len(first.noisy)} of 1347 training labels are wrong, seed 0" in first.note
    # After the choice of images, and with an absolute path in the complete configuration.
    both = build_dataset(RunConfig(trainer="at", label_noise="symmetric:0.5", per_class=10))
    assert len(both.noisy) == 50
    assert len(whole.noisy) == 0


def test_a_file_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = create("dataset", "digits")
    np.save("labels.npy", data.y_train)
    config = RunConfig(trainer="at", label_noise="labels.npy")
    assert resolved_config(config, build_dataset(config)).label_noise == str(tmp_path / "labels.npy")


def test_labels_before_noise_follow_their_images() -> None:
    data = build_dataset(RunConfig(trainer="at", label_noise="pair:1"))
    few = data.with_counts([5] * 10, seed=0)
    assert few.y_train_original is not None
    np.testing.assert_array_equal((few.y_train_original + 1) % 10, few.y_train)
    # Noise on noise: the original labels stay the first ones.
    twice = data.with_labels((data.y_train + 1) % 10)
    assert twice.y_train_original is data.y_train_original
