from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from fairart import create
from fairart.datasets import Dataset, DownloadError
from fairart.datasets.digits import load_digits
from fairart.datasets.vision import load_cifar10, load_cifar100, load_fashion_mnist
from fairart.errors import OptionError


def no_network(*args: Any, **kwargs: Any) -> None:
    raise URLError("the network is unreachable")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever torchvision tries to download fails: a test that passes has downloaded nothing."""
    for module in ("mnist", "cifar"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", no_network)


def write_fashion(root: Path) -> dict[str, np.ndarray]:
    raw, written = root / "FashionMNIST" / "raw", {}
    raw.mkdir(parents=True)
    for split, count in (("train", 20), ("t10k", 10)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())
        written[split] = images
    return written


def write_cifar(folder: Path, files: dict[str, int], key: str, meta: dict[str, list[str]]) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    written = {}
    for name, count in files.items():
        rows = np.random.default_rng(len(name) + count).integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = [k % len(next(iter(meta.values()))) for k in range(count)]
        (folder / name).write_bytes(pickle.dumps({"data": rows, key: labels}))
        written[name] = rows
    (folder / ("meta" if key == "fine_labels" else "batches.meta")).write_bytes(pickle.dumps(meta))
    return written


@pytest.fixture
def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file that is there for the right one, as the real checksums do not fit tiny files."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())


def test_digits_are_all_there_in_unit_range_and_stratified():
    data = load_digits()
    assert isinstance(data, Dataset)
    assert data.input_shape == (1, 8, 8)
    assert len(data.x_train) + len(data.x_test) == 1797
    assert data.x_train.dtype == np.float32
    assert set(np.unique(data.x_train * 16)) == set(range(17))
    whole = np.bincount(np.concatenate([data.y_train, data.y_test]))
    np.testing.assert_allclose(np.bincount(data.y_test) / whole, 0.25, atol=0.01)


def test_digits_hold_out_different_images_by_seed_and_the_same_by_the_same_seed():
    one, again, other = load_digits(), load_digits(data_root="ignored"), load_digits(split_seed=1)
    assert np.array_equal(one.x_test, again.x_test)
    assert not np.array_equal(one.x_test, other.x_test)
    train, test = ({image.tobytes() for image in split} for split in (one.x_train, one.x_test))
    assert not train & test


def test_digits_labels_belong_to_their_images():
    data = load_digits()
    means = np.stack([data.x_train[data.y_train == k].mean(axis=0) for k in range(10)])
    distance = ((data.x_test[:, None] - means) ** 2).sum(axis=(2, 3, 4))
    assert (distance.argmin(axis=1) == data.y_test).mean() > 0.85


@pytest.mark.parametrize("options", [{"test_fraction": 1.5}, {"test_fraction": 0.0}, {"split_seed": -1}])
def test_digits_refuse_options_out_of_range(options: dict[str, Any]):
    with pytest.raises(OptionError, match="dataset 'digits': " + next(iter(options))):
        load_digits(**options)


@pytest.mark.usefixtures("offline")
def test_fashion_mnist_reads_the_files_that_are_there(tmp_path: Path):
    written = write_fashion(tmp_path)
    data = create("dataset", "fashion-mnist", data_root=str(tmp_path))
    assert (data.input_shape, data.nb_classes, data.augmentation) == ((1, 28, 28), 10, "none")
    assert np.array_equal(data.x_train[:, 0], written["train"])
    assert np.array_equal(data.x_test[:, 0], written["t10k"])
    assert data.y_train.tolist() == [*range(10), *range(10)]
    assert data.classes[0] == "T-shirt/top"


@pytest.mark.usefixtures("offline", "any_checksum")
def test_cifar10_reads_the_files_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = {**{f"data_batch_{k}": 20 for k in range(1, 6)}, "test_batch": 10}
    names = [f"kind {k}" for k in range(10)]
    written = write_cifar(tmp_path / "cifar-10-batches-py", files, "labels", {"label_names": names})
    monkeypatch.setenv("FAIRART_DATA", str(tmp_path))
    data = load_cifar10()
    assert (len(data.x_train), len(data.x_test), data.augmentation) == (100, 10, "crop-flip")
    # The format has the red plane first, then green, then blue, each by rows.
    assert np.array_equal(data.x_train[20:40].reshape(20, -1), written["data_batch_2"])
    assert data.classes == tuple(names)
    assert data.x_train.flags.c_contiguous


@pytest.mark.usefixtures("offline", "any_checksum")
def test_cifar100_takes_the_fine_labels(tmp_path: Path):
    names = [f"kind {k}" for k in range(100)]
    written = write_cifar(tmp_path / "cifar-100-python", {"train": 200, "test": 100}, "fine_labels", {"fine_label_names": names})
    data = load_cifar100(data_root=str(tmp_path))
    assert (data.nb_classes, data.augmentation) == (100, "crop-flip")
    assert np.array_equal(data.x_test.reshape(100, -1), written["test"])
    assert data.y_train.max() == 99


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("loader", "urls", "folder"),
    [
        (load_fashion_mnist, 4, "FashionMNIST/raw"),
        (load_cifar10, 1, "cifar-10-batches-py"),
        (load_cifar100, 1, "cifar-100-python"),
    ],
)
def test_without_network_the_error_says_what_to_fetch_and_where_to_put_it(
    loader: Callable[..., Dataset], urls: int, folder: str, tmp_path: Path
):
    with pytest.raises(DownloadError, match="By hand: fetch") as caught:
        loader(data_root=str(tmp_path))
    message = str(caught.value)
    assert message.partition("By hand")[2].count("http") == urls
    assert "unreachable" in message
    assert str(tmp_path / folder) in message


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x00\x08\x03\x00\x00", gzip.compress(b"still packed", mtime=0)],
    ids=["empty", "header alone", "still packed"],
)
def test_a_damaged_file_gets_the_same_help(content: bytes, tmp_path: Path):
    write_fashion(tmp_path)
    (tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DownloadError, match="remove damaged files there first"):
        load_fashion_mnist(data_root=str(tmp_path))
