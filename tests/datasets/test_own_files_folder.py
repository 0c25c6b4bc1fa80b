from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairart import create
from fairart.datasets import DatasetError
from fairart.datasets.folder import load_folder
from fairart.errors import OptionError

COLOURS = {"ant": (250, 10, 20), "bee": (5, 240, 60)}


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (10, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of plain colour: 3 + 2 training images and one test image each, 10 wide and 8 high."""
    root = tmp_path / "insects"
    for name, count in (("ant", 3), ("bee", 2)):
        for index in range(count):
            save(root / "train" / name / f"{index}.png", COLOURS[name])
        save(root / "test" / name / "0.png", COLOURS[name])
    return root


def test_classes_are_the_folders_and_pixels_the_files(folder: Path):
    data = create("dataset", f"folder:{folder}", augmentation="crop-flip")
    assert (data.name, data.classes, data.input_shape) == ("insects", ("ant", "bee"), (3, 8, 10))
    assert data.y_train.tolist() == [0, 0, 0, 1, 1]
    assert data.y_test.tolist() == [0, 1]
    assert data.augmentation == "crop-flip"
    for image, label in zip(data.x_train, data.y_train, strict=True):
        assert (image == np.array(COLOURS[data.classes[label]], np.uint8)[:, None, None]).all()


def test_one_image_arrives_upright(folder: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "test" / "ant" / "0.png")
    assert np.array_equal(load_folder(path=str(folder)).x_test[0], pixels.transpose(2, 0, 1))


def test_grey_is_one_channel_of_luma(folder: Path):
    data = load_folder(path=str(folder), colour="grey")
    assert data.input_shape == (1, 8, 10)
    luma = round(0.299 * 250 + 0.587 * 10 + 0.114 * 20)
    assert abs(int(data.x_train[0, 0, 0, 0]) - luma) <= 1


def test_size_brings_all_images_to_one_square(folder: Path):
    save(folder / "train" / "bee" / "odd.JPG", COLOURS["bee"], size=(31, 17))
    data = load_folder(path=str(folder), size=9)
    assert data.input_shape == (3, 9, 9)
    assert len(data.x_train) == 6
    np.testing.assert_allclose(data.x_train[-1, :, 4, 4], COLOURS["bee"], atol=4)  # JPEG loses a little


@pytest.mark.parametrize("place", ["train/bee/odd.png", "test/ant/odd.png"])
def test_without_size_the_first_odd_file_is_named(place: str, folder: Path):
    save(folder / place, (1, 2, 3), size=(7, 8))
    with pytest.raises(DatasetError, match=f"{place} has 8x7 pixels .* have 8x10; set size to resize all"):
        load_folder(path=str(folder))


def test_hidden_folders_and_other_files_are_passed_over(folder: Path):
    save(folder / "train" / ".thumbnails" / "0.png", (0, 0, 0))
    save(folder / "train" / "ant" / "._0.png", (0, 0, 0))
    (folder / "train" / "ant" / "notes.txt").write_text("no image")
    (folder / "train" / "README.md").write_text("no class")
    data = load_folder(path=str(folder))
    assert data.classes == ("ant", "bee")
    assert len(data.x_train) == 5


def test_images_in_folders_below_a_class_belong_to_it(folder: Path):
    save(folder / "train" / "bee" / "2024" / "may" / "0.png", COLOURS["bee"])
    assert load_folder(path=str(folder)).y_train.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_folder_without_splits_is_told_the_layout(tmp_path: Path):
    save(tmp_path / "flat" / "ant" / "0.png", (0, 0, 0))
    with pytest.raises(DatasetError, match=r"flat has no folder 'train'; expected train/<class>/\*\.png .* test/<class>"):
        load_folder(path=str(tmp_path / "flat"))


def test_a_class_of_one_split_only_is_named(folder: Path):
    save(folder / "test" / "cicada" / "0.png", (0, 0, 0))
    with pytest.raises(DatasetError, match="class folder 'cicada' is in 'test' only"):
        load_folder(path=str(folder))


def test_splits_without_classes_or_images_are_named(tmp_path: Path, folder: Path):
    for split in ("train", "test"):
        (tmp_path / "bare" / split).mkdir(parents=True)
        (folder / split / "wasp").mkdir()
    with pytest.raises(DatasetError, match="train has no class folders; expected"):
        load_folder(path=str(tmp_path / "bare"))
    with pytest.raises(DatasetError, match=r"class folder .*train/wasp has no images"):
        load_folder(path=str(folder))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n cut"])
def test_a_file_that_is_no_image_is_named(content: bytes, folder: Path):
    (folder / "train" / "bee" / "1.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"train/bee/1\.png cannot be read as an image"):
        load_folder(path=str(folder))


def test_an_image_cut_short_is_named(folder: Path):
    path = folder / "train" / "bee" / "1.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:120])
    with pytest.raises(DatasetError, match=r"train/bee/1\.png cannot be read as an image"):
        load_folder(path=str(folder))


def test_pixels_of_16_bits_are_refused_rather_than_clipped(folder: Path):
    Image.fromarray(np.full((8, 10), 40_000, np.uint16)).save(folder / "train" / "ant" / "0.png")
    with pytest.raises(DatasetError, match=r"train/ant/0\.png has pixels of more than 8 bits"):
        load_folder(path=str(folder))


def test_missing_folders_and_bad_options(folder: Path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        load_folder(path=str(folder / "nowhere"))
    with pytest.raises(OptionError, match="size must be >= 1"):
        load_folder(path=str(folder), size=0)
    with pytest.raises(OptionError, match=r"colour expects one of .*grey"):
        load_folder(path=str(folder), colour="cmyk")
