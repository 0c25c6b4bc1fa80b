"""Data without a test split, with a test split alone, and under the names that MedMNIST uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fairart import create
from fairart.datasets import DatasetError
from fairart.datasets.splitting import split_off


def arrays(n: int = 40, nb_classes: int = 4) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"x": random.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8), "y": np.arange(n) % nb_classes}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(**named: Any) -> str:
        np.savez(tmp_path / "mine.npz", **named)
        return f"npz:{tmp_path / 'mine.npz'}"

    return write


def test_a_share_of_every_class_is_drawn_once_and_noted(write: Any):
    made = arrays()
    name = write(x_train=made["x"], y_train=made["y"])
    with pytest.raises(DatasetError, match=r"has no x_test, y_test: add them, or draw a test split with test_share=0.2"):
        create("dataset", name)
    data = create("dataset", name, test_share=0.2)
    assert np.bincount(data.y_test).tolist() == [2, 2, 2, 2]
    assert np.bincount(data.y_train).tolist() == [8, 8, 8, 8]
    images = {image.tobytes() for image in (*data.x_train, *data.x_test)}
    assert images == {image.transpose(2, 0, 1).tobytes() for image in made["x"]}
    assert "a share of 0.2 of each class, seed 0" in data.note
    again, other = create("dataset", name, test_share=0.2), create("dataset", name, test_share=0.2, test_seed=1)
    assert np.array_equal(again.x_test, data.x_test)
    assert not np.array_equal(other.x_test, data.x_test)


def test_a_share_beside_a_test_split_is_refused(write: Any):
    made = arrays()
    name = write(x_train=made["x"], y_train=made["y"], x_test=made["x"], y_test=made["y"])
    with pytest.raises(DatasetError, match=r"has a test split, so test_share=0.2 has nothing to draw"):
        create("dataset", name, test_share=0.2)


def test_files_of_medmnist_are_read_as_they_come(write: Any):
    made = arrays()
    column = made["y"].astype(np.uint8)[:, None]
    name = write(
        train_images=made["x"], train_labels=column, val_images=made["x"][:8], val_labels=column[:8],
        test_images=made["x"][:12], test_labels=column[:12],
    )  # fmt: skip
    data = create("dataset", name)
    assert (len(data.x_train), len(data.x_test), data.input_shape) == (40, 12, (3, 6, 6))
    assert data.y_test.tolist() == made["y"][:12].tolist()


def test_test_arrays_alone_serve_for_evaluation_and_not_for_training(write: Any):
    made = arrays()
    data = create("dataset", write(x_test=made["x"], y_test=made["y"]))
    assert (len(data.x_train), len(data.x_test), data.nb_classes, data.note) == (0, 40, 4, "test images alone")
    with pytest.raises(DatasetError, match="has no training images: it is for evaluation alone"):
        data.mean_std()


def folder_of(root: Path, *splits: str) -> None:
    for split in splits:
        for name in ("ant", "bee"):
            place = root / split / name
            place.mkdir(parents=True)
            for number in range(6):
                Image.fromarray(np.full((8, 8, 3), 20 * number, dtype=np.uint8)).save(place / f"{number}.png")


@pytest.mark.parametrize("split", ["train", "."])
def test_folders_without_a_test_split(split: str, tmp_path: Path):
    folder_of(tmp_path, split)
    with pytest.raises(DatasetError, match=r"has no folder '(test|train)'.*draw a test split with test_share=0.2"):
        create("dataset", f"folder:{tmp_path}")
    data = create("dataset", f"folder:{tmp_path}", test_share=0.5)
    assert (len(data.x_train), len(data.x_test), data.classes) == (6, 6, ("ant", "bee"))
    assert np.bincount(data.y_test).tolist() == [3, 3]


def test_a_folder_of_test_images_alone(tmp_path: Path):
    folder_of(tmp_path, "test")
    data = create("dataset", f"folder:{tmp_path}")
    assert (len(data.x_train), len(data.x_test)) == (0, 12)
    with pytest.raises(DatasetError, match=r"has a folder 'test', so test_share=0\.5 has nothing to draw"):
        create("dataset", f"folder:{tmp_path}", test_share=0.5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=6), share=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_a_split_is_stratified_and_whole_or_refused(counts: list[int], share: float, seed: int):
    labels, refused = np.repeat(np.arange(len(counts)), counts), ""
    try:
        train, test = split_off(labels, share, seed=seed, name="mine")
    except DatasetError as error:
        refused, train, test = str(error), labels, labels
    found = np.bincount(labels[test], minlength=len(counts))
    whole = sorted([*train, *test]) == list(range(len(labels)))
    stratified = (np.abs(found - share * np.array(counts)) < 1.5).all() and (found > 0).all()
    # Small classes cannot give a share to both sides.
    assert ("test_share" in refused and min(counts) * min(share, 1 - share) < 1.5) or (whole and stratified)
