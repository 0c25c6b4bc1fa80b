"""``npy:FOLDER``: arrays of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairart import create
from fairart.datasets import DatasetError, StoredImages, memory
from fairart.datasets.checking import check_dataset as compare_images
from fairart.datasets.files import load_npz
from fairart.datasets.npy import load_npy
from fairart.errors import OptionError
from fairart.testing import check_dataset


def arrays(**changes: Any) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    whole = {
        "x_train": generator.integers(0, 256, (12, 8, 9, 3), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": generator.integers(0, 256, (6, 8, 9, 3), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
        "classes": np.array(["ant", "bee", "cat"]),
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def write(folder: Path, **changes: Any) -> str:
    place = folder / "mine"
    place.mkdir()
    for name, value in arrays(**changes).items():
        np.save(place / f"{name}.npy", value)
    return str(place)


@pytest.mark.parametrize("data_memory", [None, "0"])
@pytest.mark.parametrize("changes", [{}, {"classes": None}, {"x_train": None, "y_train": None}])
def test_it_is_the_data_set_that_npz_reads(data_memory: str | None, changes: dict[str, Any], tmp_path: Path):
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    other = load_npz(path=str(tmp_path / "mine.npz"))
    data = create("dataset", f"npy:{write(tmp_path, **changes)}", data_root=None, data_memory=data_memory)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(np.asarray(getattr(data, name)), getattr(other, name))
    assert (data.name, data.classes, data.note, data.on_disk) == ("mine", other.classes, other.note, data_memory == "0")


def test_arrays_with_one_value_an_image_are_columns_as_in_npz(tmp_path: Path):
    sites = {"site_train": np.array(["north", "south"] * 6), "site_test": np.array(["south"] * 6), "odd_train": np.arange(3)}
    np.savez(tmp_path / "mine.npz", **arrays(), **sites)
    other = load_npz(path=str(tmp_path / "mine.npz"))
    data = load_npy(path=write(tmp_path, **sites), data_memory="0")
    assert list(data.columns) == list(other.columns) == ["site"]
    for split in ("train", "test"):
        assert np.array_equal(getattr(data.columns["site"], split), getattr(other.columns["site"], split))


def test_a_test_split_is_drawn_alike_in_memory_and_on_disk(tmp_path: Path):
    place = write(tmp_path, x_test=None, y_test=None)
    memory, disk = (load_npy(path=place, test_share=0.25, data_memory=limit) for limit in ("1MB", "0"))
    assert isinstance(disk.x_test, StoredImages)
    assert memory.note == disk.note
    np.testing.assert_array_equal(memory.x_test, disk.x_test[:])
    with pytest.raises(DatasetError, match=r"mine has no x_test, y_test: add them, or draw"):
        load_npy(path=place)


def test_size_against_memory_decides_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place, nbytes = write(tmp_path), 18 * 8 * 9 * 3
    assert not load_npy(path=place, data_memory=str(nbytes)).on_disk
    data = load_npy(path=place, data_memory=f"{nbytes - 1}B")
    assert data.on_disk
    assert data.storage == "images are read from disk batch by batch: 3.8 KiB are more than data_memory, 3.8 KiB"
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * nbytes - 1)
    assert "more than half of the free memory, 3.8 KiB" in load_npy(path=place).storage
    monkeypatch.setattr(memory, "available_memory", lambda: 2 * nbytes)
    assert load_npy(path=place).storage == ""


def test_the_conformance_check_takes_a_data_set_on_disk(tmp_path: Path):
    place = write(tmp_path)

    def load(*, data_root: str | None = None) -> Any:
        return load_npy(path=place, data_root=data_root, data_memory="0")

    check_dataset(load)


def test_looking_for_duplicates_says_that_it_needs_all_images_in_memory(tmp_path: Path):
    data = load_npy(path=write(tmp_path), data_memory="0")
    with pytest.raises(DatasetError, match=r"mine: every image is compared .* they stay on disk .*: allow more"):
        compare_images(data)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y_train": None}, r"mine has no y_train; it holds classes, x_test, x_train, y_test"),
        ({"y_train": np.arange(11) % 3}, r"mine: .*y_train must have the shape \(12,\)"),
        ({"y_train": np.full(12, 3)}, r"mine: .*y_train must lie in 0\.\.2, got 3\.\.3"),
        ({"x_test": np.zeros((6, 9, 9, 3), np.uint8)}, r"mine: .*both splits must have one image shape"),
        ({"x_train": np.zeros((12, 3, 8, 3), np.uint8)}, r"x_train\.npy: both the second and the last axis .* set layout"),
        ({"classes": np.array(["ant"])}, "mine: .*classes must be two or more"),
    ],
)
@pytest.mark.parametrize("data_memory", ["0", "1GiB"])
def test_what_is_wrong_is_named(data_memory: str, changes: dict[str, Any], said: str, tmp_path: Path):
    with pytest.raises(DatasetError, match=said):
        load_npy(path=write(tmp_path, **changes), data_memory=data_memory)


def test_a_missing_folder_and_bad_amounts(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"dataset 'npy': there is no folder .*nowhere"):
        load_npy(path=str(tmp_path / "nowhere"))
    for bad in ("much", "-1GiB", "4 GiBs", ""):
        with pytest.raises(OptionError, match=r"dataset 'npy': data_memory expects an amount of memory such as 4GiB"):
            load_npy(path=write(tmp_path) if not (tmp_path / "mine").exists() else str(tmp_path / "mine"), data_memory=bad)


@pytest.mark.parametrize(
    ("text", "nbytes"), [("0", 0), ("4GiB", 4 << 30), ("1.5 MiB", 3 << 19), ("500MB", 500_000_000), ("2kb", 2000), ("7B", 7)]
)
def test_amounts_are_read(text: str, nbytes: int):
    assert memory.parse_memory(text, where="it") == nbytes


def test_free_memory_is_what_machine_and_control_group_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = {"memory.max": "1000000\n", "memory.current": "800000\n", "memory.stat": "anon 5\ninactive_file 300000\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = tuple(tmp_path / name for name in files)
    monkeypatch.setattr(memory, "_control_group_files", lambda: [paths])
    assert memory.available_memory() == 500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_memory() > 1_000_000
