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

__all__ = ["load_cifar10", "load_cifar100", "load_fashion_mnist"]

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


def _load(source: _Source, data_root: str | None) -> Dataset:
    from torchvision import datasets  # 3 s: only when a data set is loaded

    root = data_folder(data_root)
    reader: Callable[..., Any] = getattr(datasets, source.torchvision_class)
    try:
        # torchvision downloads only what is missing or, for CIFAR, fails its checksum.
        train, test = (reader(str(root), train=train, download=True) for train in (True, False))
    except _FAILURES as error:
        raise DownloadError(
            f"{source.name} could not be downloaded or read in {root} ({type(error).__name__}: {error}). "
            f"{source.by_hand(root)}; remove damaged files there first"
        ) from error
    return Dataset(
        name=source.name,
        x_train=_images(train.data),
        y_train=np.asarray(train.targets, dtype=np.int64),
        x_test=_images(test.data),
        y_test=np.asarray(test.targets, dtype=np.int64),
        classes=tuple(train.classes),
        augmentation=source.augmentation,
    )


def _images(data: Any) -> npt.NDArray[np.uint8]:
    """Torchvision's (N, H, W) tensor or (N, H, W, 3) array as (N, C, H, W)."""
    images = np.asarray(data, dtype=np.uint8)
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images)
