"""Public image sets, fetched and read through torchvision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DataRoot, Dataset, DownloadError, data_folder

__all__ = ["load_cifar10", "load_cifar100", "load_fashion_mnist", "load_stl10", "load_svhn"]

# What torchvision lets through when there is no network, the disk is full, or a file is cut short.
_FAILURES = (OSError, RuntimeError, ValueError, AssertionError, HTTPException)


@dataclass(frozen=True)
class _Source:
    """A public data set: torchvision's class, and where its files come from and belong."""

    name: str
    torchvision_class: str
    augmentation: str
    urls: tuple[str, ...]
    unpack: str
    folder: str
    splits: bool = False
    """Whether torchvision's class takes ``split="train"`` and has ``labels``, in place of ``train=True`` and ``targets``."""
    classes: tuple[str, ...] = ()
    """Names where torchvision has none."""

    def by_hand(self, root: Path) -> str:
        """How to put the files in place without us."""
        return f"By hand: fetch {', '.join(self.urls)} and {self.unpack} {root / self.folder}"


_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_FASHION_MNIST = _Source(
    name="fashion-mnist",
    torchvision_class="FashionMNIST",
    augmentation="none",
    urls=tuple(f"{_FASHION}{split}-{part}-ubyte.gz" for split in ("train", "t10k") for part in ("images-idx3", "labels-idx1")),
    unpack="gunzip the four files into",
    folder="FashionMNIST/raw",
)
_CIFAR10 = _Source(
    name="cifar10",
    torchvision_class="CIFAR10",
    augmentation="crop-flip",
    urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    unpack="unpack it, so that its batch files lie in",
    folder="cifar-10-batches-py",
)
_CIFAR100 = _Source(
    name="cifar100",
    torchvision_class="CIFAR100",
    augmentation="crop-flip",
    urls=("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    unpack="unpack it, so that its files train, test and meta lie in",
    folder="cifar-100-python",
)

_STL10 = _Source(
    name="stl10",
    torchvision_class="STL10",
    augmentation="crop-flip",
    urls=("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
    unpack="unpack it, so that its files train_X.bin and others lie in",
    folder="stl10_binary",
    splits=True,
)
_SVHN = _Source(
    name="svhn",
    torchvision_class="SVHN",
    augmentation="none",
    urls=tuple(f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat" for split in ("train", "test")),
    unpack="put both files into",
    folder="",
    splits=True,
    classes=tuple(map(str, range(10))),
)


def load_fashion_mnist(*, data_root: DataRoot = None) -> Dataset:
    """Fashion-MNIST: 60 000 + 10 000 grey 28x28 images of 10 kinds of clothing.

    Args:
        data_root: folder that holds ``FashionMNIST/raw``; files are downloaded only where they are missing.

    Returns:
        Images (N, 1, 28, 28) uint8, augmentation ``"none"``.

    Raises:
        DownloadError: the files could not be fetched or read; the message says how to place them by hand.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv:1708.07747.
    """
    return _load(_FASHION_MNIST, data_root)


def load_cifar10(*, data_root: DataRoot = None) -> Dataset:
    """CIFAR-10: 50 000 + 10 000 colour 32x32 images of 10 classes.

    Args:
        data_root: folder that holds ``cifar-10-batches-py``; files are downloaded only where they are missing.

    Returns:
        Images (N, 3, 32, 32) uint8, augmentation ``"crop-flip"``.

    Raises:
        DownloadError: the files could not be fetched or read; the message says how to place them by hand.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _load(_CIFAR10, data_root)


def load_cifar100(*, data_root: DataRoot = None) -> Dataset:
    """CIFAR-100: 50 000 + 10 000 colour 32x32 images of 100 (fine) classes.

    Args:
        data_root: folder that holds ``cifar-100-python``; files are downloaded only where they are missing.

    Returns:
        Images (N, 3, 32, 32) uint8, augmentation ``"crop-flip"``.

    Raises:
        DownloadError: the files could not be fetched or read; the message says how to place them by hand.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _load(_CIFAR100, data_root)


def load_stl10(*, data_root: DataRoot = None) -> Dataset:
    """STL-10: 5 000 + 8 000 labelled colour 96x96 images of 10 classes; the unlabelled ones are left out.

    Args:
        data_root: folder that holds ``stl10_binary``; files are downloaded only where they are missing.

    Returns:
        Images (N, 3, 96, 96) uint8, augmentation ``"crop-flip"``.

    Raises:
        DownloadError: the files could not be fetched or read; the message says how to place them by hand.

    Source: Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011.
    """
    return _load(_STL10, data_root)


def load_svhn(*, data_root: DataRoot = None) -> Dataset:
    """SVHN: 73 257 + 26 032 colour 32x32 images of house numbers, digits 0 to 9, of unequal frequency.

    Args:
        data_root: folder that holds ``train_32x32.mat`` and ``test_32x32.mat``; they are downloaded only where they are missing.

    Returns:
        Images (N, 3, 32, 32) uint8, augmentation ``"none"``: a digit that is flipped is another one.

    Raises:
        DownloadError: the files could not be fetched or read; the message says how to place them by hand.

    Source: Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
    """
    return _load(_SVHN, data_root)


def _load(source: _Source, data_root: str | None) -> Dataset:
    from torchvision import datasets  # 3 s: only when a data set is loaded

    root = data_folder(data_root)
    reader: Callable[..., Any] = getattr(datasets, source.torchvision_class)
    try:
        # torchvision downloads only what is missing or, for CIFAR, fails its checksum.
        chosen = [{"split": split} if source.splits else {"train": split == "train"} for split in ("train", "test")]
        train, test = (reader(str(root), **which, download=True) for which in chosen)
    except _FAILURES as error:
        raise DownloadError(
            f"{source.name} could not be downloaded or read in {root} ({type(error).__name__}: {error}). "
            f"{source.by_hand(root)}; remove damaged files there first"
        ) from error
    return Dataset(
        name=source.name,
        x_train=_images(train.data),
        y_train=_labels(train),
        x_test=_images(test.data),
        y_test=_labels(test),
        classes=source.classes or tuple(train.classes),
        augmentation=source.augmentation,
    )


def _labels(read: Any) -> npt.NDArray[np.int64]:
    return np.asarray(read.targets if hasattr(read, "targets") else read.labels, dtype=np.int64)


def _images(data: Any) -> npt.NDArray[np.uint8]:
    """Torchvision's (N, H, W) tensor, (N, H, W, 3) or (N, 3, H, W) array as (N, C, H, W)."""
    images = np.asarray(data, dtype=np.uint8)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] != 3:
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images)
