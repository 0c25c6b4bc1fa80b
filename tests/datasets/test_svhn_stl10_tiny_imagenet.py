"""SVHN, STL-10 and Tiny-ImageNet from small files in the layout of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fairart import create
from fairart.datasets import DownloadError


def no_network(*args: Any, **kwargs: Any) -> None:
    raise URLError("the network is unreachable")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is downloaded fails: a test that passes has downloaded nothing."""
    monkeypatch.setattr("torchvision.datasets.stl10.download_and_extract_archive", no_network)
    monkeypatch.setattr("torchvision.datasets.svhn.download_url", no_network)
    monkeypatch.setattr("torchvision.datasets.utils.download_and_extract_archive", no_network)


@pytest.fixture
def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file that is there for the right one, as the real checksums do not fit tiny files."""
    for module in ("stl10", "svhn"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: Path(path).is_file())

    def fetched(url: str, root: str, filename: str, md5: str) -> None:
        # torchvision asks for SVHN's files by their checksum in any case.
        if not (Path(root) / filename).is_file():
            no_network()

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", fetched)


@pytest.mark.usefixtures("any_checksum")
def test_svhn_reads_its_two_files_and_calls_ten_a_zero(tmp_path: Path) -> None:
    written = {}
    for split, count in (("train", 30), ("test", 20)):
        images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(count) % 10
        # The files have width last of all, and 10 for the digit 0.
        savemat(
            tmp_path / f"{split}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None]}
        )
        written[split] = images
    data = create("dataset", "svhn", data_root=str(tmp_path))
    assert data.input_shape == (3, 32, 32)
    assert data.classes == tuple("0123456789")
    assert data.augmentation == "none"
    np.testing.assert_array_equal(data.x_train, written["train"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(data.y_test, np.arange(20) % 10)


@pytest.mark.usefixtures("any_checksum")
def test_stl10_reads_its_binary_files(tmp_path: Path) -> None:
    folder, written = tmp_path / "stl10_binary", {}
    folder.mkdir()
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (folder / "class_names.txt").write_text("\n".join(names) + "\n")
    (folder / "unlabeled_X.bin").write_bytes(b"")
    for split, count in (("train", 20), ("test", 10)):
        images = np.random.default_rng(count).integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        # Column by column, labels from 1.
        (folder / f"{split}_X.bin").write_bytes(images.transpose(0, 1, 3, 2).tobytes())
        (folder / f"{split}_y.bin").write_bytes((np.arange(count) % 10 + 1).astype(np.uint8).tobytes())
        written[split] = images
    data = create("dataset", "stl10", data_root=str(tmp_path))
    assert data.classes == tuple(names)
    np.testing.assert_array_equal(data.x_train, written["train"])
    np.testing.assert_array_equal(data.y_test, np.arange(10))


def write_tiny_imagenet(root: Path, wnids: tuple[str, ...] = ("n01", "n02", "n03")) -> dict[str, list[Any]]:
    folder, random = root / "tiny-imagenet-200", np.random.default_rng(0)
    made: dict[str, list[Any]] = {"train": [], "val": []}

    def picture(path: Path) -> Any:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path, quality=95)
        return np.asarray(Image.open(path)).transpose(2, 0, 1)

    for label, wnid in enumerate(wnids):
        made["train"] += [(picture(folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG"), label) for i in range(4)]
    lines = []
    for index in range(6):
        label = (index * 2) % len(wnids)
        made["val"].append((picture(folder / "val" / "images" / f"val_{index}.JPEG"), label))
        lines.append(f"val_{index}.JPEG\t{wnids[label]}\t0\t0\t62\t62")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (folder / "words.txt").write_text("n01\tcrane, bird\nn02\tcrane, machine\nn03\tgoldfish, Carassius auratus\nn09\tunused\n")
    return made


def test_tiny_imagenet_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_tiny_imagenet(tmp_path)
    data = create("dataset", "tiny-imagenet", data_root=str(tmp_path))
    assert data.classes == ("crane (n01)", "crane (n02)", "goldfish")
    np.testing.assert_array_equal(data.x_train, np.stack([image for image, _ in made["train"]]))
    np.testing.assert_array_equal(data.y_test, [label for _, label in made["val"]])
    np.testing.assert_array_equal(data.x_test, np.stack([image for image, _ in made["val"]]))
    monkeypatch.setattr("fairart.datasets.tiny_imagenet.ImageView", no_network)
    again = create("dataset", "tiny-imagenet", data_root=str(tmp_path))
    np.testing.assert_array_equal(again.x_train, data.x_train)
    assert again.classes == data.classes


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "wnids.txt").unlink(), "wnids.txt"),
        (
            lambda folder: (folder / "val" / "images" / "val_0.JPEG").write_bytes(b"no image"),
            "val_0.JPEG cannot be read as an image",
        ),
        (
            lambda folder: (folder / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn99\n"),
            "line 1: expected a file and one",
        ),
        (
            lambda folder: [f.unlink() for f in (folder / "train" / "n02" / "images").iterdir()],
            r"n02.images has no \*.JPEG files",
        ),
    ],
)
def test_damaged_files_are_named_and_nothing_is_kept(tmp_path: Path, damage: Any, message: str) -> None:
    write_tiny_imagenet(tmp_path)
    damage(tmp_path / "tiny-imagenet-200")
    with pytest.raises(DownloadError, match=rf"tiny-imagenet could not be downloaded or read .*{message}.* By hand: fetch http"):
        create("dataset", "tiny-imagenet", data_root=str(tmp_path))
    assert not list((tmp_path / "tiny-imagenet-200").glob("*fairart*"))


@pytest.mark.parametrize("name", ["svhn", "stl10", "tiny-imagenet"])
def test_without_network_the_message_says_what_to_do_by_hand(tmp_path: Path, name: str) -> None:
    with pytest.raises(DownloadError, match=rf"{name} could not be downloaded .* By hand: fetch http.* remove damaged files"):
        create("dataset", name, data_root=str(tmp_path))
