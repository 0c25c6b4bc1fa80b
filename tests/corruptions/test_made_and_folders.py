"""Made corruptions, folders of the published layout, and both ways between them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fairart
from fairart.corruptions import (
    CORRUPTION_SETS,
    CORRUPTION_VERSION,
    CorruptionFolder,
    CorruptionFolderError,
    MadeCorruptions,
    MissingTexturesError,
    corruption_names,
    write_corruptions,
)
from fairart.errors import OptionError, UnknownNameError

LABELS = np.arange(30) % 3


def gathered(source: Any, name: str, severity: int, batch_size: int) -> tuple[Tensor, Tensor]:
    batches = list(source.batches(name, severity, batch_size=batch_size))
    assert all(len(x) == batch_size for x, _ in batches[:-1])
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_sets_are_those_of_the_papers() -> None:
    assert {name: len(names) for name, names in CORRUPTION_SETS.items()} == {
        "common15": 15,
        "extra4": 4,
        "paper18": 18,
        "all": 19,
    }
    assert set(CORRUPTION_SETS["all"]) - set(CORRUPTION_SETS["paper18"]) == {"glass_blur"}
    assert not set(CORRUPTION_SETS["common15"]) & set(CORRUPTION_SETS["extra4"])


def test_names_are_spelt_out_once_each() -> None:
    assert corruption_names("fog, extra4,fog") == ("fog", *CORRUPTION_SETS["extra4"])
    assert corruption_names(["snow", "fog"]) == ("snow", "fog")
    assert corruption_names("common15,-frost,-extra4,spatter") == tuple(
        name for name in (*CORRUPTION_SETS["common15"], "spatter") if name != "frost"
    )
    with pytest.raises(UnknownNameError, match="did you mean 'gaussian_noise'"):
        corruption_names("gausian_noise")
    with pytest.raises(ValueError, match="no corruption"):
        corruption_names("fog,-all")
    with pytest.raises(UnknownNameError, match="did you mean 'snow'"):
        corruption_names("all,-snoww")


@pytest.mark.parametrize("name", ["gaussian_noise", "fog", "elastic_transform", "jpeg_compression"])
def test_batch_size_order_and_selection_change_nothing(images: Tensor, name: str) -> None:
    x = images.repeat(10, 1, 1, 1)[:290]  # more than one block
    y = np.arange(290) % 7
    whole = MadeCorruptions(x, y, corruptions=["snow", name], seed=3)
    first, labels = gathered(whole, name, 4, 290)
    gathered(whole, "snow", 1, 100)
    assert torch.equal(gathered(MadeCorruptions(x.numpy(), y, corruptions=name, severities=[4], seed=3), name, 4, 7)[0], first)
    np.testing.assert_array_equal(labels, y)
    if name != "jpeg_compression":
        assert not torch.equal(gathered(MadeCorruptions(x, y, corruptions=name, seed=4), name, 4, 100)[0], first)
        assert not torch.equal(first[:30], first[30:60]), "the same image again draws anew"


def test_bytes_and_floats_give_the_same(images: Tensor) -> None:
    as_bytes = (images * 255).round().to(torch.uint8).numpy()
    one, other = (gathered(MadeCorruptions(x, LABELS, corruptions="fog"), "fog", 2, 8)[0] for x in (images, as_bytes))
    assert torch.equal(one, other)


def test_description_is_plain_and_says_that_it_is_made(images: Tensor, textures: str) -> None:
    made = MadeCorruptions(images[:, :1, :8, :8], LABELS, options={"frost": {"textures": textures}}, seed=9)
    described = json.loads(json.dumps(made.describe()))
    assert described["source"].endswith("not CIFAR-10-C")
    assert (described["seed"], described["version"]) == (9, CORRUPTION_VERSION)
    assert "8 x 8" in described["notes"][0]
    assert [note.split()[0] for note in described["notes"][1:]] == ["zoom_blur", "saturate", "pixelate"]
    assert not MadeCorruptions(images, LABELS, corruptions="common15", options={"frost": {"textures": textures}}).notes


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"x": np.zeros((30, 3, 7, 7))}, ValueError, "8 x 8"),
        ({"x": np.zeros((30, 32, 32, 3))}, ValueError, "1 or 3, H, W"),
        ({"x": np.zeros((30, 3, 8, 8), dtype=np.int32)}, TypeError, "int32"),
        ({"x": np.full((30, 3, 8, 8), 2.0)}, ValueError, "2"),
        ({"y": LABELS[:-1]}, ValueError, "expected 30 classes"),
        ({"y": LABELS - 1}, ValueError, ">= 0"),
        ({"y": LABELS.astype(float)}, ValueError, "float64"),
        ({"severities": [0, 1]}, ValueError, "1 to 5"),
        ({"severities": []}, ValueError, "at least one"),
        ({"seed": -1}, ValueError, "seed"),
        ({"corruptions": "smog"}, UnknownNameError, "fog"),
        ({"options": {"snow": {}}}, UnknownNameError, "snow"),
        ({"corruptions": "frost", "options": {"frost": {"texture": "a"}}}, OptionError, "textures"),
        ({"corruptions": "frost", "options": {"frost": {"textures": "no/such/folder"}}}, MissingTexturesError, "no/such/folder"),
    ],
)
def test_bad_requests_fail_before_any_work(images: Tensor, changed: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"x": images, "y": LABELS, "corruptions": "fog", **changed}
    with pytest.raises(error, match=message):
        MadeCorruptions(arguments.pop("x"), arguments.pop("y"), **arguments)


@pytest.fixture
def folder(images: Tensor, tmp_path: Path) -> Path:
    return write_corruptions(images[:, :, :8, :8], LABELS, tmp_path / "made", corruptions="fog,contrast", seed=1)


def test_a_written_folder_has_the_published_layout(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == ["contrast.npy", "fog.npy", "labels.npy", "made.json"]
    array, labels = np.load(folder / "fog.npy"), np.load(folder / "labels.npy")
    assert (array.shape, array.dtype, labels.dtype) == ((150, 8, 8, 3), np.uint8, np.uint8)
    np.testing.assert_array_equal(labels, np.tile(LABELS, 5))


@pytest.mark.parametrize("severity", [1, 5])
def test_a_written_folder_reads_as_what_was_made(folder: Path, images: Tensor, severity: int) -> None:
    made = MadeCorruptions(images[:, :, :8, :8], LABELS, corruptions="fog", seed=1)
    read = CorruptionFolder(folder, nb_classes=3, input_shape=(3, 8, 8))
    assert read.names == ("contrast", "fog")
    assert read.describe()["source"] == made.describe()["source"]
    expected, classes = gathered(made, "fog", severity, 30)
    got, labels = gathered(read, "fog", severity, 8)
    torch.testing.assert_close(got, expected, atol=0.501 / 255, rtol=0)
    assert torch.equal(labels, classes)


def test_grey_images_keep_their_channel(images: Tensor, tmp_path: Path) -> None:
    write_corruptions(images[:, :1], LABELS, tmp_path, corruptions="fog")
    (batch, _), *_ = CorruptionFolder(tmp_path).batches("fog", 1)
    assert batch.shape == (30, 1, 32, 32)


def test_nothing_is_replaced_unasked_and_published_folders_never(folder: Path, images: Tensor) -> None:
    with pytest.raises(FileExistsError, match=r"fog\.npy"):
        write_corruptions(images, LABELS, folder, corruptions="fog")
    write_corruptions(images, LABELS, folder, corruptions="fog", overwrite=True)
    assert np.load(folder / "fog.npy").shape == (150, 32, 32, 3)
    assert not (folder / "contrast.npy").exists(), "what is there is all of one note"
    (folder / "made.json").unlink()
    with pytest.raises(FileExistsError, match="not made by fairart"):
        write_corruptions(images, LABELS, folder, corruptions="fog", overwrite=True)


def test_an_interrupted_writing_leaves_whole_files_only(images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = MadeCorruptions.batches

    def interrupted(self: MadeCorruptions, name: str, severity: int, **options: Any) -> Any:
        if (name, severity) == ("contrast", 3):
            raise KeyboardInterrupt
        return batches(self, name, severity, **options)

    monkeypatch.setattr(MadeCorruptions, "batches", interrupted)
    done: list[tuple[str, int]] = []
    with pytest.raises(KeyboardInterrupt):
        write_corruptions(images, LABELS, tmp_path, corruptions="fog,contrast", progress=lambda *told: done.append(told))
    assert done == [("fog", 0), *[("fog", 30)] * 5, ("contrast", 0), *[("contrast", 30)] * 2]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fog.npy", "labels.npy", "made.json"]
    # The same again goes on with what is missing, and what is there is not made anew.
    monkeypatch.setattr(MadeCorruptions, "batches", batches)
    before = (tmp_path / "fog.npy").stat().st_mtime_ns
    write_corruptions(images, LABELS, tmp_path, corruptions="fog,contrast", resume=True)
    assert (tmp_path / "fog.npy").stat().st_mtime_ns == before
    whole = write_corruptions(images, LABELS, tmp_path / "whole", corruptions="fog,contrast")
    for name in ("fog.npy", "contrast.npy", "made.json", "labels.npy"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_corruptions_are_added_to_a_folder_of_the_same_images_alone(folder: Path, images: Tensor) -> None:
    small = images[:, :, :8, :8]
    write_corruptions(small, LABELS, folder, corruptions="pixelate", seed=1, resume=True, about={"dataset": "tiles"})
    note = json.loads((folder / "made.json").read_text())
    assert (note["corruptions"], note["seed"], note["dataset"]) == (["fog", "contrast", "pixelate"], 1, "tiles")
    assert note["fairart"] == fairart.__version__
    assert CorruptionFolder(folder).names == ("contrast", "fog", "pixelate")
    for changed, message in (
        ({"seed": 2}, "seed 1 and not 2"),
        ({"x": small.flip(3)}, "other images"),
        ({"y": LABELS[::-1]}, "other labels"),
    ):
        arguments: dict[str, Any] = {"x": small, "y": LABELS, "seed": 1, **changed}
        with pytest.raises(FileExistsError, match=message):
            write_corruptions(arguments.pop("x"), arguments.pop("y"), folder, corruptions="fog", resume=True, **arguments)


def test_frost_of_other_pictures_is_not_taken_for_the_same(images: Tensor, tmp_path: Path, textures: str) -> None:
    small, again = images[:4, :, :8, :8], {"corruptions": "frost", "resume": True}
    write_corruptions(small, LABELS[:4], tmp_path / "made", options={"frost": {"textures": textures}}, **again)  # type: ignore[arg-type]
    other = tmp_path / "other"
    shutil.copytree(textures, other)
    with pytest.raises(FileExistsError, match="textures"):
        write_corruptions(small, LABELS[:4], tmp_path / "made", options={"frost": {"textures": str(other)}}, **again)  # type: ignore[arg-type]


def test_a_published_folder_is_read_without_being_loaded(tmp_path: Path) -> None:
    pixels = np.arange(10 * 8 * 8 * 3, dtype=np.uint64).astype(np.uint8).reshape(10, 8, 8, 3)
    np.save(tmp_path / "snow.npy", pixels)
    np.save(tmp_path / "labels.npy", np.array([1, 0] * 5, dtype=np.uint8))
    read = CorruptionFolder(tmp_path, corruptions="snow", severities=[2, 5], nb_classes=2)
    assert isinstance(read._arrays["snow"], np.memmap)
    assert read.describe()["made"] is None
    images, labels = gathered(read, "snow", 5, 1)
    np.testing.assert_allclose(images.permute(0, 2, 3, 1) * 255, pixels[8:], atol=1e-4)
    assert labels.tolist() == [1, 0]
    with pytest.raises(ValueError, match="severity 1 was not asked for"):
        read.batches("snow", 1)
    with pytest.raises(ValueError, match="batch_size"):
        read.batches("snow", 2, batch_size=0)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _pickled(file: Path) -> None:
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)


IMAGES = np.zeros((150, 8, 8, 3), dtype=np.uint8)
DAMAGES = {
    "missing": ("fog.npy", Path.unlink, {}, "missing"),
    "truncated": ("fog.npy", _truncate, {}, "truncated"),
    "header alone": ("fog.npy", lambda file: file.write_bytes(file.read_bytes()[:20]), {}, "truncated"),
    "empty": ("fog.npy", lambda file: file.write_bytes(b""), {}, "truncated"),
    "Python objects": ("fog.npy", _pickled, {}, "no .npy"),
    "text": ("fog.npy", lambda file: file.write_text("fog"), {}, "no .npy"),
    "wrong type": ("fog.npy", lambda file: np.save(file, IMAGES.astype(np.float32)), {}, "uint8, got float32"),
    "channels first": ("fog.npy", lambda file: np.save(file, IMAGES.transpose(0, 3, 1, 2)), {}, "shape"),
    "one severity": ("fog.npy", lambda file: np.save(file, IMAGES[:30]), {}, "30 images"),
    "another size": ("fog.npy", lambda file: np.save(file, np.zeros((150, 9, 8, 3), np.uint8)), {}, "shape"),
    "not the model's size": ("contrast.npy", lambda _: None, {"input_shape": (3, 32, 32)}, "expected"),
    "no labels": ("labels.npy", Path.unlink, {}, "missing"),
    "short labels": ("labels.npy", lambda file: np.save(file, np.tile(LABELS, 5)[:-1]), {}, "149"),
    "one-hot labels": ("labels.npy", lambda file: np.save(file, np.eye(150, dtype=np.uint8)), {}, "shape"),
    "float labels": ("labels.npy", lambda file: np.save(file, np.tile(LABELS, 5).astype(float)), {}, "float64"),
    "negative labels": ("labels.npy", lambda file: np.save(file, np.tile(LABELS, 5) - 1), {}, ">= 0"),
    "labels out of range": ("labels.npy", lambda _: None, {"nb_classes": 2}, "out of range"),
    "too few classes": ("labels.npy", lambda _: None, {"nb_classes": 2}, "label 2 is out of range for 2 classes"),
    "labels that differ": ("labels.npy", lambda file: np.save(file, np.arange(150) % 4), {}, "same for every severity"),
    "truncated labels": ("labels.npy", _truncate, {}, "truncated"),
    "labels of Python objects": ("labels.npy", _pickled, {}, "no .npy"),
    "note without a version": ("made.json", lambda file: file.write_text('{"version": "1"}'), {}, "which version"),
    "damaged note": ("made.json", lambda file: file.write_text("{"), {}, "cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_folder_is_refused_by_name_before_any_work(folder: Path, case: str) -> None:
    name, damage, options, message = DAMAGES[case]
    damage(folder / name)  # type: ignore[operator]
    with pytest.raises(CorruptionFolderError, match=message) as caught:
        CorruptionFolder(folder, corruptions="contrast,fog", **options)  # type: ignore[arg-type]
    assert str(folder / name) in str(caught.value)


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(CorruptionFolderError, match="no folder"):
        CorruptionFolder(tmp_path / "nowhere")
    with pytest.raises(CorruptionFolderError, match="holds no"):
        CorruptionFolder(tmp_path)
    with pytest.raises(UnknownNameError, match="smog"):
        CorruptionFolder(tmp_path, corruptions="smog")


def test_a_folder_without_some_of_the_classes_is_read(tmp_path: Path, images: Tensor) -> None:
    """A small --limit leaves classes out."""
    write_corruptions(images[:4], np.array([0, 3, 3, 7]), tmp_path / "made", corruptions="contrast")
    assert sorted(set(CorruptionFolder(tmp_path / "made", nb_classes=10).labels)) == [0, 3, 7]
