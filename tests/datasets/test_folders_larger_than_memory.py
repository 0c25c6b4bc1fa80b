"""``folder:`` whose images stay in their files: the pixels of the folder in memory, random crops, and damaged files."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from fairart.datasets import Dataset, DatasetError, base
from fairart.datasets.folder import load_folder
from fairart.datasets.image_files import FileNames, ImageFiles
from fairart.datasets.image_view import ImageView, random_box
from fairart.errors import OptionError
from fairart.fingerprint import array_digest


def save(path: Path, number: int, size: tuple[int, int] = (20, 14)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes, 4 + 3 + 2 training images and one test image each, of several sizes and formats."""
    root, number = tmp_path / "animals", 0
    for name, count in (("ant", 4), ("bee", 3), ("cat", 2)):
        for index in range(count):
            save(root / "train" / name / f"{index}.{'jpg' if index % 2 else 'png'}", number, (20 + 3 * index, 14 + number))
            number += 1
        save(root / "test" / name / "0.png", 100 + number)
    return root


def same_data(one: Dataset, other: Dataset) -> None:
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(np.asarray(getattr(one, name)), getattr(other, name))
    assert one.classes == other.classes


@pytest.mark.parametrize("options", [{"size": 12}, {"size": 12, "crop": "centre"}, {"size": 12, "colour": "grey"}])
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_pixels_and_labels_are_those_in_memory(workers: int | None, options: dict, folder: Path):
    memory, disk = (load_folder(path=str(folder), data_memory=limit, workers=workers, **options) for limit in ("1GiB", "0"))
    assert (memory.on_disk, disk.on_disk) == (False, True)
    same_data(disk, memory)
    for one, other in zip(disk.mean_std(), memory.mean_std(), strict=True):
        np.testing.assert_array_equal(one, other)
    rows = np.array([8, 0, 0, 5])
    np.testing.assert_array_equal(disk.x_train[rows], memory.x_train[rows])
    np.testing.assert_array_equal(disk.x_train.select(rows)[[2, 1]], memory.x_train[[0, 0]])


def test_the_whole_image_or_its_middle_as_torchvision_makes_them(folder: Path):
    file = folder / "train" / "ant" / "3.jpg"
    image = Image.open(file).convert("RGB")
    for crop, transform in (
        ("none", v2.Resize((14, 14))),
        ("centre", v2.Compose([v2.Resize(16), v2.CenterCrop(14)])),
    ):
        wanted = np.asarray(transform(image)).transpose(2, 0, 1)
        np.testing.assert_array_equal(ImageView(size=14, crop=crop).pixels(file), wanted)


def test_a_random_crop_is_the_resized_part_of_the_box(folder: Path):
    file, view = folder / "train" / "ant" / "3.jpg", ImageView(size=9, crop="random")
    top, left, height, width = random_box(17, 29, np.random.default_rng(4))
    wanted = v2.functional.resized_crop(Image.open(file).convert("RGB"), top, left, height, width, [9, 9])
    np.testing.assert_array_equal(view.drawn_pixels(file, np.random.default_rng(4)), np.asarray(wanted).transpose(2, 0, 1))


@settings(max_examples=200, deadline=None)
@given(height=st.integers(1, 400), width=st.integers(1, 400), seed=st.integers(0, 10_000))
def test_a_random_box_lies_in_the_image_and_within_scale_and_ratio(height: int, width: int, seed: int):
    top, left, high, wide = random_box(height, width, np.random.default_rng(seed))
    assert 0 <= top <= top + high <= height
    assert 0 <= left <= left + wide <= width
    assert high > 0
    assert wide > 0
    if min(height, width) > 60 and 3 / 4 < width / height < 4 / 3:
        assert 0.07 < high * wide / (height * width) <= 1
        assert 0.7 < wide / high < 1.42


def test_random_boxes_are_distributed_as_torchvision_draws_them():
    numpy, count = np.random.default_rng(0), 4000
    ours = np.array([random_box(120, 90, numpy) for _ in range(count)], dtype=float)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transform, image = v2.RandomResizedCrop(8), torch.zeros(3, 120, 90)
        drawn = [transform.make_params([image]) for _ in range(count)]
    theirs = np.array([[one["top"], one["left"], one["height"], one["width"]] for one in drawn], dtype=float)
    for column in range(4):
        error = np.sqrt((ours[:, column].var() + theirs[:, column].var()) / count)
        assert abs(ours[:, column].mean() - theirs[:, column].mean()) < 4 * error
        assert 0.9 < ours[:, column].std() / theirs[:, column].std() < 1.1


def test_random_crops_follow_from_seed_epoch_and_place_alone(folder: Path):
    data = load_folder(path=str(folder), size=12, crop="random", data_memory="1GiB")
    assert data.storage == "images are decoded batch by batch: each is cropped anew in every epoch"
    rows = np.array([3, 3, 7, 1])
    drawn = data.x_train.read_to_train(rows, seed=5, epoch=2, first=10)
    parts = [data.x_train.read_to_train(rows[i : i + 2], seed=5, epoch=2, first=10 + i) for i in (0, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), drawn)
    assert not np.array_equal(drawn[0], drawn[1]), "one image at two places"
    for other in ({"seed": 6, "epoch": 2}, {"seed": 5, "epoch": 3}):
        assert not np.array_equal(data.x_train.read_to_train(rows, first=10, **other), drawn)
    centre = load_folder(path=str(folder), size=12, crop="centre")
    same_data(data, centre)


def test_a_crop_needs_a_size(folder: Path):
    with pytest.raises(OptionError, match="crop='random' needs a size"):
        load_folder(path=str(folder), crop="random")


def test_without_a_size_an_odd_image_is_named_when_its_turn_comes(tmp_path: Path):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            save(tmp_path / "d" / split / name / "0.png", 1)
    save(tmp_path / "d" / "train" / "bee" / "1.png", 2, (21, 14))
    data = load_folder(path=str(tmp_path / "d"), data_memory="0", skip_unreadable=True)
    assert data.input_shape == (3, 14, 20)
    with pytest.raises(DatasetError, match=r"train/bee/1\.png has 14x21 pixels .* have 14x20; set size to resize all"):
        data.x_train[:]


def test_size_against_memory_decides_and_is_said(folder: Path):
    nbytes = 12 * 3 * 12 * 12
    assert load_folder(path=str(folder), size=12, data_memory=str(nbytes)).storage == ""
    said = load_folder(path=str(folder), size=12, data_memory=str(nbytes - 1)).storage
    assert said == "images are read from their files and decoded batch by batch: 5.1 KiB are more than data_memory, 5.1 KiB"


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


def test_a_damaged_file_is_named(folder: Path):
    damage(folder / "train" / "bee" / "1.jpg")
    data = load_folder(path=str(folder), size=12, data_memory="0")
    with pytest.raises(DatasetError, match=r"train/bee/1\.jpg cannot be read as an image"):
        data.x_train[:]


def test_another_image_of_the_class_stands_in_for_a_damaged_one(folder: Path):
    whole = load_folder(path=str(folder), size=12)
    for file in ("ant/1.jpg", "bee/2.png", "bee/0.png"):
        damage(folder / "train" / file)
    data = load_folder(path=str(folder), size=12, data_memory="0", skip_unreadable=True)
    # ant: 0 1 2 3, bee: 4 5 6, cat: 7 8; the next of the class, and the first behind the last.
    np.testing.assert_array_equal(data.x_train[:], whole.x_train[[0, 2, 2, 3, 5, 5, 5, 7, 8]])
    assert sorted(Path(file).name for file in data.unreadable) == ["0.png", "1.jpg", "2.png"]
    assert all("cannot be read as an image" in why for why in data.unreadable.values())
    # Within a part, only images of that part: what is held out is not trained on.
    np.testing.assert_array_equal(data.x_train.select(np.array([1, 3, 8]))[:], whole.x_train[[3, 3, 8]])


def test_a_class_without_a_readable_image_is_an_error(folder: Path):
    for index, ending in enumerate(("png", "jpg")):
        damage(folder / "train" / "cat" / f"{index}.{ending}")
    data = load_folder(path=str(folder), size=12, data_memory="0", skip_unreadable=True)
    with pytest.raises(DatasetError, match=r"no image of the class of .*cat/0\.png can be read"):
        data.x_train[[7]]


def test_damaged_test_images_and_those_in_memory_are_left_out(folder: Path):
    damage(folder / "test" / "bee" / "0.png")
    damage(folder / "train" / "ant" / "0.png")
    disk, memory = (load_folder(path=str(folder), size=12, data_memory=limit, skip_unreadable=True) for limit in ("0", "1GiB"))
    assert len(disk.y_test) == 3
    left = disk.with_readable_test()
    np.testing.assert_array_equal(left.x_test[:], memory.x_test)
    assert left.y_test.tolist() == memory.y_test.tolist() == [0, 2]
    assert (len(memory.y_train), len(memory.unreadable)) == (8, 2)
    assert [Path(file).parent.name for file in left.unreadable] == ["bee"]
    assert memory.with_readable_test() is memory
    plain = load_folder(path=str(folder), size=12, data_memory="0")
    assert plain.with_readable_test() is plain, "without the flag nothing is passed over"


@pytest.mark.parametrize("data_memory", ["0", "1GiB"])
def test_columns_stay_with_their_images_when_others_are_left_out(data_memory: str, folder: Path):
    files = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*/*/*")) if file.is_file()]
    (folder / "metadata.csv").write_text("file_name,site\n" + "".join(f"{file},of {file}\n" for file in files))
    damage(folder / "test" / "bee" / "0.png")
    data = load_folder(path=str(folder), size=12, data_memory=data_memory, skip_unreadable=True).with_readable_test()
    assert data.columns["site"].test.tolist() == ["of test/ant/0.png", "of test/cat/0.png"]
    assert len(data.columns["site"].train) == 9


def test_statistics_are_of_a_sample_where_there_are_many(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "STATISTICS_IMAGES", 5)
    disk = load_folder(path=str(folder), size=12, data_memory="0")
    rows = np.sort(np.random.default_rng(0).choice(9, 5, replace=False))
    mean, std = disk.mean_std()
    pixels = disk.x_train[rows] / 255
    np.testing.assert_allclose(mean[:, 0, 0], pixels.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std[:, 0, 0], pixels.std(axis=(0, 2, 3)), rtol=1e-6)


def test_the_digest_knows_names_sizes_and_the_view_and_no_place(folder: Path, tmp_path: Path):
    def digest(place: Path = folder, **options) -> str:
        return array_digest(load_folder(path=str(place), data_memory="0", **{"size": 12, **options}).x_train)

    first = digest()
    moved = folder.rename(tmp_path / "elsewhere")
    assert digest(moved) == first
    assert len({first, digest(moved, size=13), digest(moved, crop="random"), digest(moved, colour="grey")}) == 4
    with (moved / "train" / "ant" / "0.png").open("ab") as file:
        file.write(b"more")
    assert digest(moved) != first


@given(names=st.lists(st.text(st.characters(blacklist_characters="\0/", blacklist_categories=("Cs",)), min_size=1), max_size=9))
def test_names_are_kept_whatever_they_are(names: list[str]):
    kept = FileNames(Path("/a"), names)
    assert [kept[row] for row in range(len(kept))] == [Path("/a") / name for name in names]


def test_a_copy_for_another_process_reads_the_same(folder: Path):
    images = load_folder(path=str(folder), size=12, data_memory="0").x_train
    assert isinstance(images, ImageFiles)
    np.testing.assert_array_equal(copy.deepcopy(images)[:], images[:])
    np.testing.assert_array_equal(copy.deepcopy(images).select(np.array([2]))[:], images[[2]])
