"""Images that stay on disk read as the array that was saved."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairart.datasets import Dataset, DatasetError
from fairart.datasets import array_file as module
from fairart.datasets.array_file import ArrayFileImages
from fairart.datasets.joined import JoinedImages
from fairart.datasets.leave_out import leave_out, left_out_images
from fairart.datasets.stored import StoredImages, select
from fairart.datasets.validating import validating
from fairart.fingerprint import array_digest, short_digest


def saved(folder: Path, x: np.ndarray) -> Path:
    path = folder / "x.npy"
    np.save(path, x)
    return path


def numbers(n: int, *shape: int, dtype: str = "uint8") -> np.ndarray:
    random = np.random.default_rng(n)
    whole = random.integers(0, 256, (n, *shape))
    return (whole / 255).astype(dtype) if dtype.startswith("float") else whole.astype(dtype)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.integers(-23, 22), max_size=40),
    chosen=st.lists(st.integers(0, 22), min_size=1, max_size=30),
    dtype=st.sampled_from(["uint8", "int32", "float32", "float64", ">f4"]),
    last=st.booleans(),
)
def test_any_rows_are_those_of_the_array(rows: list[int], chosen: list[int], dtype: str, last: bool, tmp_path: Path):
    x = numbers(23, 5, 4, 3, dtype=dtype) if last else numbers(23, 3, 5, 4, dtype=dtype)
    images = ArrayFileImages(saved(tmp_path, x), channel_axis=3 if last else 1)
    whole = (x.transpose(0, 3, 1, 2) if last else x).astype(np.float32 if "f" in dtype else np.uint8)
    assert (images.shape, images.dtype, len(images), images.nbytes) == (whole.shape, whole.dtype, 23, whole.nbytes)
    np.testing.assert_array_equal(images[rows], whole[rows])
    np.testing.assert_array_equal(images[3:17:2], whole[3:17:2])
    np.testing.assert_array_equal(images[-1], whole[-1])
    np.testing.assert_array_equal(np.stack(list(images)), whole)
    np.testing.assert_array_equal(np.concatenate(list(images.chunks(nbytes=7 * whole[0].nbytes))), whole)
    part = images.select(np.array(chosen))
    again = part.select(np.arange(len(chosen))[::-1])
    np.testing.assert_array_equal(again[:], whole[chosen][::-1])
    assert isinstance(part, StoredImages)
    assert images[rows].flags.c_contiguous
    assert images[rows].flags.writeable


def test_grey_images_get_a_channel_axis_and_a_mask_chooses(tmp_path: Path):
    x = numbers(6, 5, 4)
    images = ArrayFileImages(saved(tmp_path, x))
    np.testing.assert_array_equal(np.asarray(images), x[:, None])
    np.testing.assert_array_equal(images[x[:, 0, 0] > 100], x[x[:, 0, 0] > 100][:, None])


def test_systems_without_preadv_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    x = numbers(9, 3, 5, 4)
    images = ArrayFileImages(saved(tmp_path, x))
    monkeypatch.delattr(module.os, "preadv")
    np.testing.assert_array_equal(images[[8, 0, 1, 2, 5]], x[[8, 0, 1, 2, 5]])


@pytest.mark.parametrize("bad", [[23], [-24], [0.5]])
def test_rows_outside_are_refused(bad: list[float], tmp_path: Path):
    images = ArrayFileImages(saved(tmp_path, numbers(23, 3, 5, 4)))
    with pytest.raises(IndexError, match=r"rows must lie in 0..22, got|indexed by rows"):
        images[bad]


def test_digests_are_those_of_the_array_so_either_way_resumes_the_other(tmp_path: Path):
    x = numbers(23, 3, 5, 4)
    images = ArrayFileImages(saved(tmp_path, x))
    assert array_digest(images) == array_digest(x)
    assert short_digest(images, np.arange(3)) == short_digest(x, np.arange(3))
    other = x.copy()
    other[22, 2, 4, 3] ^= 1
    assert array_digest(ArrayFileImages(saved(tmp_path, other))) != array_digest(x)


def test_joined_images_are_those_of_the_parts(tmp_path: Path):
    x, more = numbers(9, 3, 5, 4), numbers(5, 3, 5, 4, dtype="float32")
    images = JoinedImages([ArrayFileImages(saved(tmp_path, x)), more], divisor=255)
    whole = np.concatenate([x.astype(np.float32) / np.float32(255), more])
    rows = np.array([13, 0, 8, 9, 9, 4])
    np.testing.assert_array_equal(images[rows], whole[rows])
    assert array_digest(images) == array_digest(whole)
    assert JoinedImages([x, ArrayFileImages(saved(tmp_path, x))], divisor=1)[:].dtype == np.uint8


def damaged(path: Path, how: str) -> None:
    if how == "cut short":
        os.truncate(path, path.stat().st_size - 1)
    elif how == "text":
        path.write_text("no array")
    elif how == "objects":
        np.save(path, np.array([{}], dtype=object))
    elif how == "archive":
        with path.open("wb") as file:
            np.savez(file, x=numbers(3, 3, 5, 4))
    elif how == "labels":
        np.save(path, np.arange(4))
    elif how == "fortran":
        np.save(path, np.asfortranarray(numbers(3, 3, 5, 4)))
    elif how == "wide":
        np.save(path, np.full((3, 3, 5, 4), 256))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut short", r"x\.npy cannot be read as an \.npy file: "),
        ("text", r"x\.npy cannot be read as an \.npy file: "),
        ("objects", r"x\.npy cannot be read as an \.npy file: "),
        ("archive", r"x\.npy cannot be read as an \.npy file: it is an archive"),
        ("labels", r"x\.npy must hold images .*, got int64 \(4,\)"),
        ("fortran", r"x\.npy is in Fortran order.*save np\.ascontiguousarray"),
        ("wide", r"x\.npy of whole numbers must lie in 0\.\.255, got 256\.\.256"),
    ],
)
def test_a_bad_file_is_named_before_any_work(how: str, said: str, tmp_path: Path):
    path = saved(tmp_path, numbers(3, 3, 5, 4))
    damaged(path, how)
    with pytest.raises(DatasetError, match=said):
        ArrayFileImages(path)


def test_a_file_that_changes_while_it_is_used_is_named(tmp_path: Path):
    path = saved(tmp_path, numbers(3, 3, 5, 4))
    images = ArrayFileImages(path)
    saved(tmp_path, numbers(4, 3, 5, 4))
    with pytest.raises(DatasetError, match=r"x\.npy was changed since it was opened"):
        images[:2]
    path.unlink()
    with pytest.raises(DatasetError, match=r"x\.npy cannot be read: "):
        images[:2]


def dataset(folder: Path, x: np.ndarray, *, disk: bool) -> Dataset:
    y = np.arange(len(x)) % 3
    images = ArrayFileImages(saved(folder, x)) if disk else x
    return Dataset(name="mine", x_train=images, y_train=y, x_test=images, y_test=y, classes=("a", "b", "c"))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_data_set_on_disk_has_the_statistics_and_subsets_of_the_one_in_memory(dtype: str, tmp_path: Path):
    x = numbers(60, 3, 5, 4, dtype=dtype)
    disk, memory = dataset(tmp_path, x, disk=True), dataset(tmp_path, x, disk=False)
    assert disk.on_disk
    assert not memory.on_disk
    for one, other in zip(disk.mean_std(), memory.mean_std(), strict=True):
        np.testing.assert_array_equal(one, other)
    small, other = (data.with_counts([3, 7, 5], seed=2) for data in (disk, memory))
    assert isinstance(small.x_train, StoredImages)
    np.testing.assert_array_equal(small.x_train[:], other.x_train)
    assert small.training_counts == [3, 7, 5]
    rest, other = (leave_out(data, ["b"]) for data in (disk, memory))
    assert isinstance(rest.x_train, StoredImages)
    np.testing.assert_array_equal(rest.x_train[:], other.x_train)
    np.testing.assert_array_equal(np.asarray(left_out_images(disk, ["b"])), left_out_images(memory, ["b"]))
    apart, other = (validating(data, 0.25, seed=2) for data in (disk, memory))
    assert isinstance(apart.x_train, StoredImages)
    np.testing.assert_array_equal(apart.x_test[:], other.x_test)


def test_the_rules_of_a_data_set_hold_on_disk(tmp_path: Path):
    bright = numbers(6, 3, 5, 4, dtype="float32")
    bright[5] = 1.5
    with pytest.raises(DatasetError, match=r"mine: x_train of float32 must lie in \[0, 1\], got \[.*, 1\.5\]"):
        dataset(tmp_path, bright, disk=True)
    with pytest.raises(DatasetError, match=r"looks like \(N, H, W, C\)"):
        dataset(tmp_path, numbers(6, 5, 4, 3), disk=True)


def test_select_leaves_images_where_they_are(tmp_path: Path):
    x = numbers(6, 3, 5, 4)
    assert isinstance(select(x, np.array([1])), np.ndarray)
    assert isinstance(select(ArrayFileImages(saved(tmp_path, x)), np.array([1])), StoredImages)
