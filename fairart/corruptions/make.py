"""Corruptions made on the fly, for any image data set, the same whatever the batch size and the device."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.corruptions.common import CIFAR_SIDE, MIN_SIDE, SEVERITIES, CorruptionWarning
from fairart.corruptions.sets import corruption_names
from fairart.corruptions.source import check_asked_for, in_batches
from fairart.datasets.stored import StoredImages
from fairart.fingerprint import array_digest, code_digest, options_fingerprint
from fairart.plugins import BUILTIN, create, registered

__all__ = ["CORRUPTION_VERSION", "MadeCorruptions", "check_severities"]

CORRUPTION_VERSION = 1
"""Counts up whenever the same seed gives other images; results of different versions do not compare sample by sample."""

_BLOCK = 256
"""Images that are drawn for together. Part of the version: another number gives other images."""


class MadeCorruptions:
    """Corrupted versions of a set of images, made when they are asked for.

    Random numbers are drawn on the CPU for whole blocks of 256 images, by a generator that follows from seed, version, name,
    severity and block. So results depend neither on the batch size, nor on which corruptions are asked for, nor in which
    order, nor on the device (up to rounding), and global random state is neither used nor changed.

    Args:
        x: (n, C, H, W), C 1 or 3, H and W >= 8: uint8, or floating point in [0, 1]; numpy or torch, or images
            on disk, which are read block by block.
        y: (n,) classes, integers >= 0.
        corruptions: a named set, a name, or several, see :func:`corruption_names`; plugins' names too.
        severities: any of 1 to 5.
        seed: of all corruptions, >= 0.
        options: options of single corruptions, name -> option -> value: ``{"frost": {"textures": "my/pictures"}}``.
        device: device on which images are corrupted and returned.

    Raises:
        TypeError, ValueError: images, labels, severities or seed are not as described.
        UnknownNameError: there is no such corruption.
        OptionError: there is no such option, or its value is bad.
        MissingTexturesError: frost is asked for and there are no pictures of it. Known here, before any work.
    """

    def __init__(
        self,
        x: npt.NDArray[Any] | Tensor | StoredImages,
        y: npt.ArrayLike,
        *,
        corruptions: str | Sequence[str] = "all",
        severities: Sequence[int] = SEVERITIES,
        seed: int = 0,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.names = corruption_names(corruptions, known=tuple(registered("corruption")))
        self.severities = check_severities(severities)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seed must be an integer >= 0, got {seed!r}")
        self.seed = int(seed)
        self.device = torch.device(device)
        self._images = _as_images(x)
        self.labels = _as_labels(y, len(self._images))
        self._options = {name: dict(given) for name, given in (options or {}).items()}
        for name in self._options:
            corruption_names((name,), known=self.names)
        self._functions = {name: self._function(name) for name in self.names}
        self._last: tuple[tuple[str, int, int], Tensor] | None = None

    def __len__(self) -> int:
        return len(self._images)

    def _function(self, name: str) -> Callable[..., Tensor]:
        function: Callable[..., Tensor] = create("corruption", name, **self._options.get(name, {}))
        # One image, so that missing textures and other lacks of a corruption show before an hour of work.
        sample = _floating(torch.as_tensor(self._images[:1]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CorruptionWarning)
            function(sample, 1, generator=torch.Generator().manual_seed(0))
        return function

    @functools.cached_property
    def notes(self) -> tuple[str, ...]:
        """What differs from CIFAR-10-C because of the images at hand, one sentence each; for reports."""
        channels, height, width = self._images.shape[1:]
        notes = []
        if (height, width) != (CIFAR_SIDE, CIFAR_SIDE):
            notes.append(
                f"images have {height} x {width} pixels; blurs, drops and flakes keep their size in pixels, which is that of "
                f"{CIFAR_SIDE} x {CIFAR_SIDE} images, elastic_transform and pixelate follow the size of the image"
            )
        if min(height, width) < CIFAR_SIDE and "zoom_blur" in self.names:
            notes.append("zoom_blur enlarges about the centre, without the rounding to whole pixels that CIFAR-10-C has")
        if channels == 1 and "saturate" in self.names:
            notes.append("saturate leaves grey images as they are")
        if min(height, width) <= 10 and "pixelate" in self.names:
            notes.append("pixelate has fewer than five different severities on images this small")
        return tuple(notes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self._images.shape[1:]
        return int(channels), int(height), int(width)

    @functools.cached_property
    def _digests(self) -> tuple[str, str]:
        """Of the images and of the labels."""
        return array_digest(self._images), array_digest(self.labels)

    def identity(self, name: str) -> dict[str, Any]:
        """What the images of one corruption follow from, as plain values.

        Args:
            name: one of ``names``.
        """
        registration = registered("corruption")[name]
        return {
            "corruption": name,
            "corruption version": CORRUPTION_VERSION,
            "corruption seed": self.seed,
            "corruption code": registration.plugin if registration.plugin == BUILTIN else code_digest(registration.load()),
            "images": self._digests[0],
            "labels": self._digests[1],
            **options_fingerprint(self._options.get(name, {})),
        }

    def describe(self) -> dict[str, Any]:
        """What was made, for a result file: plain values only."""
        return {
            "source": "made by fairart, not CIFAR-10-C",
            "version": CORRUPTION_VERSION,
            "seed": self.seed,
            "corruptions": list(self.names),
            "severities": list(self.severities),
            "images": len(self),
            "options": self._options,
            "notes": list(self.notes),
        }

    def batches(self, name: str, severity: int, *, batch_size: int = 512) -> Iterator[tuple[Tensor, Tensor]]:
        """Corrupt all images, a batch at a time.

        Args:
            name: one of ``names``.
            severity: one of ``severities``.
            batch_size: images a batch; it changes nothing else.

        Yields:
            Images (b, C, H, W) float32 in [0, 1] and classes (b,) int64, on the device, in the order of the data.

        Raises:
            ValueError: a name or severity that was not asked for, or a batch size below 1.
        """
        check_asked_for(self, name, severity)
        return in_batches(self, name, severity, batch_size)

    def images(self, name: str, severity: int, first: int, stop: int) -> Tensor:
        """Corrupt some images.

        Args:
            name: one of ``names``.
            severity: one of ``severities``.
            first: position of the first image.
            stop: position after the last one.

        Returns:
            (stop - first, C, H, W) float32 in [0, 1], on the device.

        Raises:
            ValueError: a name or severity that was not asked for.
        """
        check_asked_for(self, name, severity)
        starts = range(first - first % _BLOCK, stop, _BLOCK)
        blocks = [self._kept_block(name, severity, start) for start in starts]
        if not blocks:
            return torch.empty(0, *self._images.shape[1:], device=self.device)
        return torch.cat(blocks)[first - starts.start : stop - starts.start]

    def _kept_block(self, name: str, severity: int, first: int) -> Tensor:
        """A block; the last one is kept, as the next images may begin within it."""
        key = name, severity, first
        if self._last is None or self._last[0] != key:
            self._last = key, self._block(name, severity, first)
        return self._last[1]

    def _block(self, name: str, severity: int, first: int) -> Tensor:
        images = _floating(torch.as_tensor(self._images[first : first + _BLOCK])).to(self.device)
        key = f"{self.seed}/{CORRUPTION_VERSION}/{name}/{severity}/{first}".encode()
        seed = int.from_bytes(blake2b(key, digest_size=8).digest(), "little") >> 1
        return self._functions[name](images, severity, generator=torch.Generator().manual_seed(seed)).float()


def check_severities(severities: Sequence[int]) -> tuple[int, ...]:
    """The severities, each once, in rising order.

    Raises:
        ValueError: none, or one that is not 1 to 5.
    """
    wrong = [severity for severity in severities if isinstance(severity, bool) or severity not in SEVERITIES]
    if wrong or not len(severities):
        raise ValueError(f"severities must be whole numbers from 1 to 5, at least one, got {list(severities)!r}")
    return tuple(sorted({int(severity) for severity in severities}))


def _floating(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def _as_images(x: npt.NDArray[Any] | Tensor | StoredImages) -> Tensor | StoredImages:
    if isinstance(x, StoredImages):  # its values were checked
        _check_shape(x.shape)
        return x
    # Copied when it may not be written to: torch would warn about sharing it.
    array = x.detach().cpu() if isinstance(x, Tensor) else torch.from_numpy(np.require(x, requirements=["C", "W"]))
    _check_shape(tuple(array.shape))
    if array.dtype != torch.uint8 and not array.is_floating_point():
        raise TypeError(f"expected images of uint8 or floating point, got {array.dtype}")
    if array.is_floating_point():
        low, high = (float(bound) for bound in torch.aminmax(array))
        if not (low >= 0 and high <= 1):
            raise ValueError(f"floating point images must lie in [0, 1], got {low:.6g} to {high:.6g}")
    return array


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or shape[1] not in (1, 3) or shape[0] == 0:
        raise ValueError(f"expected images (n, 1 or 3, H, W) with n >= 1, got shape {shape}")
    if min(shape[2:]) < MIN_SIDE:
        raise ValueError(f"expected at least {MIN_SIDE} x {MIN_SIDE} pixels, got {shape[2]} x {shape[3]}")


def _as_labels(y: npt.ArrayLike, number: int) -> npt.NDArray[np.int64]:
    labels = np.asarray(y)
    if labels.shape != (number,) or labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise ValueError(f"expected {number} classes (n,), integers >= 0, got {labels.dtype} of shape {labels.shape}")
    return labels.astype(np.int64)
