from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairart import create
from fairart.datasets import DatasetError
from fairart.datasets.files import load_npz
from fairart.errors import OptionError


def arrays(**changes: Any) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    whole = {
        "x_train": generator.integers(0, 256, (12, 8, 9, 3), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": generator.integers(0, 256, (6, 8, 9, 3), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def write(folder: Path, **changes: Any) -> str:
    path = folder / "mine.npz"
    np.savez(path, **arrays(**changes))
    return str(path)


def test_channels_last_becomes_channels_first_pixel_by_pixel(tmp_path: Path):
    path = write(tmp_path, classes=np.array(["cat", "dog", "eel"]))
    data = create("dataset", f"npz:{path}", data_root=None)
    assert data.input_shape == (3, 8, 9)
    assert data.x_train[5, 2, 7, 1] == arrays()["x_train"][5, 7, 1, 2]
    assert (data.name, data.classes, data.augmentation) == ("mine", ("cat", "dog", "eel"), "none")
    assert data.x_train.dtype == np.uint8


def test_channels_first_stays_as_it_is(tmp_path: Path):
    x = np.random.default_rng(0).random((12, 3, 8, 9))
    data = load_npz(path=write(tmp_path, x_train=x, x_test=x[:6]), name="float set", augmentation="crop-flip")
    assert (data.name, data.augmentation, data.x_train.dtype) == ("float set", "crop-flip", np.float32)
    np.testing.assert_allclose(data.x_train, x, rtol=1e-6)


@pytest.mark.parametrize("layout", ["auto", "nchw", "nhwc"])
def test_grey_images_need_no_channel_axis(layout: str, tmp_path: Path):
    x = np.random.default_rng(0).integers(0, 256, (12, 8, 9), dtype=np.uint8)
    data = load_npz(path=write(tmp_path, x_train=x, x_test=x[:6]), layout=layout)
    assert np.array_equal(data.x_train[:, 0], x)


def test_an_ambiguous_layout_is_refused_until_it_is_named(tmp_path: Path):
    x = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 3), dtype=np.uint8)
    path = write(tmp_path, x_train=x, x_test=x[:6])
    with pytest.raises(DatasetError, match=r"mine\.npz: both the second and the last axis .* set layout to nchw or nhwc"):
        load_npz(path=path)
    assert load_npz(path=path, layout="nchw").input_shape == (3, 8, 3)
    assert load_npz(path=path, layout="nhwc").input_shape == (3, 3, 8)


def test_channels_that_no_axis_shows_are_refused(tmp_path: Path):
    x = np.zeros((12, 4, 8, 4), np.uint8)
    path = write(tmp_path, x_train=x, x_test=x[:6])
    with pytest.raises(DatasetError, match="neither the second nor the last axis"):
        load_npz(path=path)
    assert load_npz(path=path, layout="nhwc").input_shape == (4, 4, 8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    labels=st.lists(st.integers(0, 4), min_size=12, max_size=12),
    form=st.sampled_from(["plain", "column", "one-hot"]),
    kind=st.sampled_from(["uint8", "int32", "int64"]),
)
def test_labels_are_read_in_every_usual_form(labels: list[int], form: str, kind: str, tmp_path: Path):
    y = np.array(labels)
    forms = {"plain": y, "column": y[:, None], "one-hot": np.eye(5, dtype=int)[y]}
    names = np.array(list("abcde"))
    data = load_npz(path=write(tmp_path, y_train=forms[form].astype(kind), classes=names))
    assert data.y_train.dtype == np.int64
    assert data.y_train.tolist() == labels


def test_classes_default_to_numbers_that_cover_both_splits(tmp_path: Path):
    data = load_npz(path=write(tmp_path, y_test=np.array([0, 1, 2, 3, 4, 4])))
    assert data.classes == ("0", "1", "2", "3", "4")


def test_wide_integers_within_a_byte_become_uint8(tmp_path: Path):
    x = arrays()["x_train"].astype(np.int64)
    data = load_npz(path=write(tmp_path, x_train=x))
    assert data.x_train.dtype == np.uint8
    assert np.array_equal(data.x_train.transpose(0, 2, 3, 1), x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "has no y_test; it holds x_train, y_train, x_test"),
        ({"x_test": None, "y_test": None}, "has no x_test, y_test"),
        ({"x_train": np.array([{}, {}], dtype=object)}, "x_train holds Python objects, which are not read"),
        ({"y_train": np.arange(12) / 2}, r"y_train must be integers \(N,\) or one-hot \(N, K\), got float64"),
        ({"y_train": np.arange(24).reshape(12, 2)}, r"y_train must be integers .* shape \(12, 2\)"),
        ({"y_train": np.arange(12) - 1}, "y_train must lie in 0"),
        ({"y_train": np.arange(11) % 3}, r"y_train must have the shape \(12,\)"),
        ({"x_train": np.full((12, 8, 9, 3), 300)}, r"x_train of whole numbers must lie in 0\.\.255, got 300\.\.300"),
        ({"x_train": np.full((12, 8, 9, 3), 255.0)}, r"must lie in \[0, 1\], got \[255, 255\]"),
        ({"x_train": np.full((12, 8, 9, 3), "a")}, "must be a numpy array of uint8 or float32"),
        ({"x_train": np.zeros((12, 5))}, r"must have the shape \(N, C, H, W\), got \(12, 5\)"),
        ({"x_train": np.zeros((0, 8, 9, 3), np.uint8)}, "x_train is empty"),
        ({"x_test": np.zeros((6, 8, 8, 3), np.uint8)}, "one image shape and type"),
        ({"classes": np.array(["cat", "dog"])}, r"y_train must lie in 0\.\.1, got 0\.\.2"),
        ({"classes": np.eye(3)}, r"classes must be K names \(K,\), got float64"),
    ],
)
def test_every_error_names_the_file_and_the_array(changes: dict[str, Any], message: str, tmp_path: Path):
    path = write(tmp_path, **changes)
    with pytest.raises(DatasetError, match=message) as caught:
        load_npz(path=path)
    assert path in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive_is_named(content: bytes, tmp_path: Path):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"bad\.npz cannot be read as an \.npz file"):
        load_npz(path=str(tmp_path / "bad.npz"))


def test_damage_inside_the_archive_is_named(tmp_path: Path):
    path = Path(write(tmp_path))
    content = bytearray(path.read_bytes())
    content[1000:1400] = bytes(400)  # in the pixels of the first array: its checksum no longer fits
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"mine\.npz: x_train is damaged"):
        load_npz(path=str(path))


def test_a_single_array_is_no_data_set(tmp_path: Path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DatasetError, match=r"holds one array; expected an \.npz file with x_train"):
        load_npz(path=str(tmp_path / "one.npy"))


def test_a_relative_path_is_looked_for_in_the_data_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("FAIRART_DATA", raising=False)
    assert load_npz(path="mine.npz", data_root=str(tmp_path)).name == "mine"
    with pytest.raises(FileNotFoundError, match=r"there is no file other\.npz"):
        load_npz(path="other.npz", data_root=str(tmp_path))


@pytest.mark.parametrize("options", [{"layout": "hwcn"}, {"augmentation": "mixup"}])
def test_options_are_checked_without_the_registry_too(options: dict[str, str], tmp_path: Path):
    with pytest.raises(OptionError, match=f"dataset 'npz': {next(iter(options))} expects one of"):
        load_npz(path=write(tmp_path), **options)
