"""Long-tailed training sets: what is kept of each class, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart import create
from fairart.datasets import DatasetError
from fairart.datasets.imbalance import imbalanced_counts
from fairart.runs.build import build_dataset, resolved_config
from fairart.runs.config import RunConfig


@given(st.lists(st.integers(30, 400), min_size=2, max_size=12), st.sampled_from(["exp", "step"]), st.floats(1.0, 10.0))
@settings(max_examples=100, deadline=None)
def test_a_profile_keeps_its_shape_within_what_there_is(available: list[int], kind: str, ratio: float) -> None:
    counts = imbalanced_counts(f"{kind}:{ratio}", available, name="made")
    assert (counts >= 1).all()
    assert (counts <= available).all()
    assert (np.diff(counts) <= 0).all()
    # As many images as the shape allows: somewhere one class gives nearly all that it has.
    shares = ratio ** (-np.arange(len(available)) / (len(available) - 1)) if kind == "exp" else np.array([1.0])
    if kind == "exp":
        assert counts[0] == np.floor((np.array(available) / shares).min() + 1e-9) or counts[0] == available[0]


def test_a_step_halves_the_classes() -> None:
    assert imbalanced_counts("step:10", [100] * 5, name="made").tolist() == [100, 100, 100, 10, 10]


@pytest.mark.parametrize("text", ["[5, 4, 3]", "5 4 3", "5\n4\n3\n", "5,4,3", "5;4; 3"])
def test_a_file_says_it_number_by_number(tmp_path: Path, text: str) -> None:
    file = tmp_path / "counts.txt"
    file.write_text(text)
    assert imbalanced_counts(str(file), [9, 9, 9], name="made").tolist() == [5, 4, 3]


@pytest.mark.parametrize(
    ("imbalance", "message"),
    [
        ("exp:0.5", "exp expects a ratio of at least 1, such as exp:100, got '0.5'"),
        ("exp:many", "exp expects a ratio of at least 1"),
        ("step:inf", "step expects a ratio of at least 1"),
        ("exp:1000", "exp:1000 leaves class 2 without training images"),
        ("linear:10", "expects exp:RATIO, step:RATIO or a file of counts, got 'linear:10'"),
        ("nowhere.csv", "a file of counts, got 'nowhere.csv'"),
    ],
)
def test_what_is_no_imbalance_is_refused(imbalance: str, message: str) -> None:
    with pytest.raises(DatasetError, match=f"made: imbalance .*{message}"):
        imbalanced_counts(imbalance, [40, 40, 40], name="made")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2", "must have 3 whole numbers, one a class, got 2 numbers"),
        ("1 2 x", "got something else"),
        ("[1, 2.5, 3]", "got something else"),
        ("1 0 1", "leaves class 1 without training images"),
        ("1 1 50", "asks for 50 images of class 2, which has 40"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "counts.txt"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message):
        imbalanced_counts(str(file), [40, 40, 40], name="made")


def test_a_run_has_it_seeded_and_noted() -> None:
    first, again, other = (build_dataset(RunConfig(trainer="at", imbalance="exp:10", seed=seed)) for seed in (0, 0, 1))
    counts = np.bincount(first.y_train)
    assert counts[0] > 9 * counts[-1]
    assert first.training_counts == counts.tolist()
    assert f"imbalance exp:10: {', '.join(map(str, counts))} training images, seed 0" in first.note
    np.testing.assert_array_equal(first.x_train, again.x_train)
    assert not np.array_equal(first.x_train, other.x_train)
    whole = create("dataset", "digits")
    np.testing.assert_array_equal(first.x_test, whole.x_test)
    both = build_dataset(RunConfig(trainer="at", imbalance="step:2", per_class=20))
    assert both.training_counts == [20] * 5 + [10] * 5


def test_fewer_images_are_contained_in_more() -> None:
    data = create("dataset", "digits")
    few, many = (data.with_counts([count] * 10, seed=3) for count in (5, 9))
    rows = {image.tobytes() for image in many.x_train}
    assert all(image.tobytes() in rows for image in few.x_train)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "counts.bin"
    file.write_bytes(bytes(range(128, 256)))
    with pytest.raises(DatasetError, match="must have 3 whole numbers, one a class, got something else"):
        imbalanced_counts(str(file), [9, 9, 9], name="made")


def test_a_run_finds_its_file_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counts.txt").write_text(" ".join(["9", *["3"] * 9]))
    monkeypatch.chdir(tmp_path)
    config = RunConfig(trainer="at", imbalance="counts.txt")
    full = resolved_config(config, build_dataset(config))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert build_dataset(full).training_counts == [9, *[3] * 9]
    profile = RunConfig(trainer="at", imbalance="exp:10")
    assert resolved_config(profile, build_dataset(profile)).imbalance == "exp:10"
