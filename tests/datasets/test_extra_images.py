"""Extra training images: files without test images, classes matched by name, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fairart.datasets import DatasetError
from fairart.errors import OptionError
from fairart.runs.build import build_dataset, build_extra_data
from fairart.runs.config import RunConfig

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8)).astype(np.uint8)


def own(tmp_path: Path, classes: tuple[str, ...]) -> str:
    """A data set with these class names."""
    file, labels = tmp_path / "own.npz", np.arange(12) % len(classes)
    np.savez(file, x_train=IMAGES, y_train=labels, x_test=IMAGES, y_test=labels, classes=np.array(classes))
    return f"npz:{file}"


def npz(tmp_path: Path, **arrays: Any) -> str:
    np.savez(tmp_path / "extra.npz", **arrays)
    return f"npz:{tmp_path / 'extra.npz'}"


def built(dataset: str, extra: str) -> tuple[Any, Any]:
    config = RunConfig(trainer="at", dataset=dataset, extra_data=extra)
    pair = build_extra_data(config, build_dataset(config))
    assert pair is not None
    return pair


def test_a_file_without_test_images_gives_all_that_it_has(tmp_path: Path) -> None:
    # Only some of the classes: rare ones are what one generates.
    labels = np.array([8, 9] * 6)
    x, y = built("digits", npz(tmp_path, x_train=IMAGES, y_train=labels))
    np.testing.assert_array_equal(x, IMAGES[:, None])
    np.testing.assert_array_equal(y, labels)


def test_names_of_classes_say_which_is_which(tmp_path: Path) -> None:
    dataset = own(tmp_path, ("cat", "dog", "frog"))
    labels = np.array([0, 1] * 6)
    _, y = built(dataset, npz(tmp_path, x_train=IMAGES, y_train=labels, classes=np.array(["frog", "cat"])))
    np.testing.assert_array_equal(y, np.array([2, 0] * 6))
    with pytest.raises(DatasetError, match=r"class 'ant' is none of the classes of own: cat, dog, frog"):
        built(dataset, npz(tmp_path, x_train=IMAGES, y_train=labels, classes=np.array(["ant", "cat"])))


@pytest.mark.parametrize("inside", ["", "train"])
def test_a_folder_is_read_with_the_channels_of_the_data_set(tmp_path: Path, inside: str) -> None:
    for index, label in enumerate(("frog", "cat")):
        place = tmp_path / "folder" / inside / label
        place.mkdir(parents=True)
        Image.fromarray(IMAGES[index]).save(place / "one.png")
    x, y = built(own(tmp_path, ("cat", "dog", "frog")), f"folder:{tmp_path / 'folder'}")
    np.testing.assert_array_equal(x[:, 0], IMAGES[[1, 0]])
    np.testing.assert_array_equal(y, [0, 2])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": IMAGES, "label": np.zeros(12, dtype=int)}, "has no x_train, y_train; it holds image, label"),
        ({"x_train": IMAGES, "y_train": np.full(12, 10)}, r"labels must lie in 0..9, the classes of digits, got 10..10"),
        ({"x_train": IMAGES, "y_train": np.zeros(5, dtype=int)}, r"y_train must have the shape \(12,\)"),
        ({"x_train": IMAGES - 3.0, "y_train": np.zeros(12, dtype=int)}, r"must lie in \[0, 1\]"),
    ],
)
def test_what_holds_no_images_of_these_classes_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        built("digits", npz(tmp_path, **arrays))


def test_the_data_set_itself_is_refused_and_a_missing_file_is_named() -> None:
    with pytest.raises(OptionError, match="digits is the data set itself, so images that are held out"):
        built("digits", "digits")
    with pytest.raises(FileNotFoundError, match=r"there is no file nowhere\.npz"):
        built("digits", "npz:nowhere.npz")
