"""Columns of data sets: attributes of the images beside the class."""

import numpy as np
import pytest
from PIL import Image

from fairart.datasets import Dataset
from fairart.datasets.base import DatasetError
from fairart.datasets.columns import Column, read_values
from fairart.datasets.files import load_npz
from fairart.datasets.folder import load_folder
from fairart.datasets.leave_out import leave_out
from fairart.datasets.validating import validating

SITES = np.array(["north", "south"] * 10)


def npz(folder, **more):
    generator = np.random.default_rng(0)
    arrays = {
        "x_train": generator.integers(0, 256, (20, 8, 8), dtype=np.uint8),
        "y_train": np.arange(20) % 2,
        "x_test": generator.integers(0, 256, (10, 8, 8), dtype=np.uint8),
        "y_test": np.arange(10) % 2,
        **more,
    }
    np.savez(folder / "own.npz", **{key: value for key, value in arrays.items() if value is not None})
    return folder / "own.npz"


def test_arrays_of_one_value_an_image_are_columns(tmp_path):
    file = npz(
        tmp_path,
        site_train=SITES,
        site_test=SITES[:10],
        test_sensor=np.arange(10) % 3,
        mean_train=np.ones(3),
        big_test=np.ones((10, 2)),
    )
    data = load_npz(path=str(file))
    assert set(data.columns) == {"site", "sensor"}
    assert data.columns["site"].train.tolist() == SITES.tolist()
    assert data.columns["sensor"].train is None
    assert data.columns["sensor"].test.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_an_array_of_objects_is_passed_over(tmp_path):
    file = npz(tmp_path, note_test=np.array([{"a": 1}] * 10, dtype=object))
    assert load_npz(path=str(file)).columns == {}


def test_a_subset_keeps_the_values_of_its_images(tmp_path):
    file = npz(tmp_path, place_train=np.arange(20))
    data = load_npz(path=str(file))
    small = data.subset(per_class=3, seed=1)
    assert small.x_train.tolist() == data.x_train[small.columns["place"].train].tolist()


def test_a_test_split_that_is_drawn_draws_the_values_too(tmp_path):
    file = npz(tmp_path, x_test=None, y_test=None, place_train=np.arange(20))
    every = np.load(file)["x_train"][:, None]
    data = load_npz(path=str(file), test_share=0.3)
    assert data.x_train.tolist() == every[data.columns["place"].train].tolist()
    assert data.x_test.tolist() == every[data.columns["place"].test].tolist()


def test_images_set_apart_bring_their_values(tmp_path):
    file = npz(tmp_path, place_train=np.arange(20), only_test=np.arange(10))
    data = load_npz(path=str(file))
    apart = validating(data, 0.3, seed=0)
    assert apart.x_train.tolist() == data.x_train[apart.columns["place"].train].tolist()
    assert apart.x_test.tolist() == data.x_train[apart.columns["place"].test].tolist()
    assert apart.columns["only"].test is None


def test_images_of_classes_left_out_take_their_values_along(tmp_path):
    file = npz(tmp_path, y_train=np.arange(20) % 3, y_test=np.arange(10) % 3, place_train=np.arange(20), place_test=np.arange(10))
    data = load_npz(path=str(file))
    fewer = leave_out(data, ["1"])
    assert fewer.x_train.tolist() == data.x_train[fewer.columns["place"].train].tolist()
    assert fewer.x_test.tolist() == data.x_test[fewer.columns["place"].test].tolist()


def folder_of_images(folder, splits=("train", "test")):
    for split in splits:
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / split / name / f"{number}.png")
    return folder


def test_metadata_of_a_folder_of_images_gives_columns(tmp_path):
    folder = folder_of_images(tmp_path / "own")
    rows = ["file_name,site", "train/cat/2.png,south", "train/cat/0.png,north", "train/dog/1.png,north"]
    (folder / "metadata.csv").write_text("\n".join(rows))
    # Where it stands in the folder of a split, names are relative to that.
    (folder / "test" / "metadata.csv").write_text("file_name,site\n" + "".join(f"dog/{k}.png,east\n" for k in range(3)))
    column = load_folder(path=str(folder)).columns["site"]
    assert column.train.tolist() == ["north", "", "south", "", "north", ""]
    assert column.test.tolist() == ["", "", "", "east", "east", "east"]


@pytest.mark.parametrize("text", ["name,site\ncat,north\n", "file_name,site\nelsewhere.png,north\n", "", "\xff\x00"])
def test_metadata_of_other_programs_is_passed_over(tmp_path, text):
    folder = folder_of_images(tmp_path / "own")
    (folder / "metadata.csv").write_text(text, encoding="latin-1")
    assert load_folder(path=str(folder)).columns == {}


def test_a_column_of_another_length_is_no_part_of_a_data_set():
    x, y = np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 0, 1])
    with pytest.raises(DatasetError, match="column 'site' must have 4 values for test, got"):
        Dataset("own", x, y, x, y, ("a", "b"), columns={"site": Column(y, y[:3])})


COLUMNS = {"site": Column(SITES, SITES[:10]), "only": Column(None, np.arange(10) % 2)}


def test_values_come_from_a_column_or_a_file(tmp_path):
    np.save(tmp_path / "stroke_test.npy", np.arange(10) % 2)
    (tmp_path / "plain.csv").write_text("\n".join("ab" * 5) + "\n")
    (tmp_path / "named.csv").write_text("site\n" + "\n".join("ab" * 5) + "\n")
    (tmp_path / "many.csv").write_text("\ufeffid,sensor\n" + "".join(f"{k},s{k % 3}\n" for k in range(10)), encoding="utf-8")

    def read(given):
        name, values = read_values(given, COLUMNS, split="test", number=10)
        return name, values.tolist()

    assert read("site") == ("site", SITES[:10].tolist())
    assert read(str(tmp_path / "stroke_test.npy")) == ("stroke", [0, 1] * 5)
    assert read(str(tmp_path / "plain.csv")) == ("plain", ["a", "b"] * 5)
    assert read(str(tmp_path / "named.csv")) == ("site", ["a", "b"] * 5)
    assert read(f"{tmp_path / 'many.csv'}:sensor") == ("sensor", [f"s{k % 3}" for k in range(10)])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("sight", r"no such column of its train images \(it has site\); expected a column: an array sight_train"),
        ("only", r"no such column of its train images \(it has site\)"),
        ("{}/gone.npy", "there is no file"),
        ("{}/short.npy", "expected 20 values, one for each train image, got 3"),
        ("{}/table.npy", r"expected 20 values, one for each train image, got an array of shape \(20, 2\)"),
        ("{}/damaged.npy", "cannot be read as a .npy file"),
        ("{}/many.csv", "has the columns id, sensor; write .*many.csv:COLUMN for one of them"),
        ("{}/many.csv:sensr", "has the columns id, sensor; .* got 'sensr'"),
        ("{}/ragged.csv", "rows of different lengths"),
        ("{}/empty.csv", "has no rows"),
    ],
)
def test_what_gives_no_values_is_one_error(tmp_path, given, told):
    np.save(tmp_path / "short.npy", np.arange(3))
    np.save(tmp_path / "table.npy", np.zeros((20, 2), dtype=int))
    (tmp_path / "damaged.npy").write_bytes(b"no array")
    (tmp_path / "many.csv").write_text("id,sensor\n" + "1,2\n" * 20)
    (tmp_path / "ragged.csv").write_text("1\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=told):
        read_values(given.format(tmp_path), COLUMNS, split="train", number=20)
