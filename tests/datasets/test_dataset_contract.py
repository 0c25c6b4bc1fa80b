from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fairart.datasets.base as base
from fairart.datasets import Dataset, DatasetError, data_folder


def parts(**changes: Any) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    whole: dict[str, Any] = {
        "name": "toy",
        "x_train": generator.integers(0, 256, (12, 3, 8, 9), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": generator.integers(0, 256, (4, 3, 8, 9), dtype=np.uint8),
        "y_test": np.arange(4) % 3,
        "classes": ("a", "b", "c"),
    }
    return {**whole, **changes}


def test_properties_describe_the_arrays():
    data = Dataset(**parts())
    assert (data.nb_classes, data.input_shape, data.augmentation, data.note) == (3, (3, 8, 9), "none", "")
    assert all(type(side) is int for side in data.input_shape)
    assert "x_train" not in repr(data)
    with pytest.raises(FrozenInstanceError):
        data.name = "other"  # type: ignore[misc]


def test_a_class_may_be_absent_from_both_splits():
    assert Dataset(**parts(classes=("a", "b", "c", "never"))).nb_classes == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"classes": ["a", "b", "c"]}, "must be a tuple of names"),
        ({"classes": ("a", "b", 3)}, "must be a tuple of names"),
        ({"classes": ("a",)}, "two or more different names"),
        ({"classes": ("a", "b", "a")}, "two or more different names"),
        ({"augmentation": "mixup"}, "augmentation must be one of none, crop-flip, got 'mixup'"),
        ({"x_train": [[1]]}, "x_train must be a numpy array of uint8 or float32, got list"),
        ({"x_test": np.zeros((4, 3, 8, 9))}, "x_test must be a numpy array of uint8 or float32, got float64"),
        ({"x_train": np.zeros((12, 8, 9), np.uint8)}, r"x_train must have the shape \(N, C, H, W\), got \(12, 8, 9\)"),
        ({"x_test": np.zeros((0, 3, 8, 9), np.uint8)}, "x_test is empty"),
        ({"x_train": np.zeros((12, 8, 9, 3), np.uint8)}, "looks like"),
        ({"x_train": np.full((12, 3, 8, 9), 1.5, np.float32)}, r"must lie in \[0, 1\], got \[1.5, 1.5\]"),
        ({"x_train": np.full((12, 3, 8, 9), np.nan, np.float32)}, r"must lie in \[0, 1\], got \[nan, nan\]"),
        ({"y_train": np.arange(12, dtype=np.int32) % 3}, "y_train must be a numpy array of int64, got int32"),
        ({"y_test": [0, 1, 2, 0]}, "y_test must be a numpy array of int64, got list"),
        ({"y_train": np.arange(11) % 3}, r"y_train must have the shape \(12,\)"),
        ({"y_train": np.arange(12) % 4}, r"y_train must lie in 0..2, got 0..3"),
        ({"y_test": np.array([0, 1, 2, -1])}, r"y_test must lie in 0..2, got -1..2"),
        ({"x_test": np.zeros((4, 3, 8, 8), np.uint8)}, "one image shape and type"),
        ({"x_test": np.zeros((4, 3, 8, 9), np.float32)}, "one image shape and type"),
    ],
)
def test_each_broken_rule_has_its_own_error(changes: dict[str, Any], message: str):
    with pytest.raises(DatasetError, match=message):
        Dataset(**parts(**changes))


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 2), min_size=3, max_size=40), seed=st.integers(0, 99), data=st.data())
def test_subsets_are_stratified_nested_and_made_of_whole_pairs(labels: list[int], seed: int, data: st.DataObject):
    y = np.array([0, 1, 2, *labels])
    # Every image carries its own number, so that images and labels torn apart would show.
    x = np.arange(len(y), dtype=np.uint8)[:, None, None, None]
    whole = Dataset(**parts(x_train=x, y_train=y, x_test=x, y_test=y))
    large = data.draw(st.integers(1, int(np.bincount(y).min())))
    small = data.draw(st.integers(1, large))
    first, second = whole.subset(per_class=small, seed=seed), whole.subset(per_class=large, seed=seed)
    assert np.bincount(second.y_train).tolist() == [large] * 3
    assert np.array_equal(y[second.x_train.ravel()], second.y_train)
    assert set(first.x_train.ravel()) <= set(second.x_train.ravel())
    assert len(set(second.x_train.ravel())) == 3 * large
    assert second.x_test is whole.x_test
    assert np.array_equal(second.x_train, whole.subset(per_class=large, seed=seed).x_train)


def test_subset_seeds_differ_and_the_note_says_what_was_kept():
    x = np.arange(60, dtype=np.uint8)[:, None, None, None]
    whole = Dataset(**parts(x_train=x, y_train=np.arange(60) % 3, x_test=x, y_test=np.arange(60) % 3, note="JPEG q75"))
    one, two = whole.subset(per_class=5, seed=1), whole.subset(per_class=5, seed=2)
    assert not np.array_equal(one.x_train, two.x_train)
    assert one.note == "JPEG q75; 5 training images per class, seed 1"


@pytest.mark.parametrize(("per_class", "message"), [(5, "class 'a' has 4 training images, asked for 5"), (0, "at least 1")])
def test_subset_never_gives_less_than_asked_for(per_class: int, message: str):
    with pytest.raises(DatasetError, match=message):
        Dataset(**parts()).subset(per_class=per_class)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_std_over_chunks_equals_numpy(dtype: type, monkeypatch: pytest.MonkeyPatch):
    x = np.random.default_rng(1).integers(0, 256, (50, 3, 8, 9), dtype=np.uint8)
    images = x if dtype is np.uint8 else (x / 255).astype(np.float32)
    data = Dataset(**parts(x_train=images, y_train=np.arange(50) % 3, x_test=images[:4]))
    monkeypatch.setattr(base, "_CHUNK_VALUES", 1500)  # seven images a chunk, and a last one of a single image
    mean, std = data.mean_std()
    assert mean.shape == std.shape == (3, 1, 1)
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean.ravel(), (x / 255).mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.ravel(), (x / 255).std(axis=(0, 2, 3)), rtol=1e-6)


def test_a_constant_channel_can_be_divided_by():
    x = np.full((12, 3, 8, 9), 77, np.uint8)
    mean, std = Dataset(**parts(x_train=x)).mean_std()
    np.testing.assert_allclose(mean.ravel(), 77 / 255, rtol=1e-6)
    assert std.ravel().tolist() == [1, 1, 1]


def test_mean_std_does_not_copy_the_data_set(monkeypatch: pytest.MonkeyPatch):
    x = np.zeros((2000, 3, 32, 32), np.uint8)
    data = Dataset(**parts(x_train=x, y_train=np.zeros(2000, np.int64), x_test=x[:4]))
    monkeypatch.setattr(base, "_CHUNK_VALUES", 100_000)
    tracemalloc.start()
    data.mean_std()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes  # as float64 at once it would be 8 times that


def test_data_folder_takes_argument_then_environment_then_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FAIRART_DATA", str(tmp_path / "env"))
    assert data_folder("~/given") == tmp_path / "given"
    assert data_folder() == tmp_path / "env"
    monkeypatch.delenv("FAIRART_DATA")
    assert data_folder() == tmp_path / ".cache" / "fairart"


def test_importing_the_package_loads_nothing_heavy():
    modules = "fairart.datasets, fairart.datasets.digits, fairart.datasets.vision, fairart.datasets.files"
    code = f"import {modules}, sys; print(sorted({{'torch', 'torchvision', 'sklearn', 'PIL', 'art'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
