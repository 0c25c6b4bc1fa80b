"""Several augmentations in a row, as a trainer applies them to each batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart import draws
from fairart.engine.data.augmentation.base import Augmentation, Mixing
from fairart.engine.data.augmentation.each_sample import EachSample
from fairart.errors import OptionError, PolicyError
from fairart.objectives.answers import checked_images
from fairart.plugins import create, get_plugin_manager, origin
from fairart.plugins.written import read_parts

__all__ = ["AnyAugmentation", "AugmentationChain", "ImageFunction", "make_augmentation"]

ImageFunction = Callable[[Tensor, torch.Generator], Tensor]
"""(n, C, H, W) images and a random state -> images of the same shape."""

NONE = "none"


class AugmentationChain:
    """Augmentations in the order in which they are applied; those that mix samples come last.

    Where several mix, each sample is mixed by one of them, drawn uniformly.

    Args:
        parts: the augmentations.
        scaling: lowest and highest value of the inputs, arrays that broadcast against a batch, for parts that want [0, 1]; None
            where the inputs have these values.
    """

    def __init__(self, parts: Sequence[Augmentation | ImageFunction], *, scaling: tuple[Any, Any] | None = None) -> None:
        self.changing = tuple(part for part in parts if not isinstance(part, Mixing))
        self.mixing = tuple(part for part in parts if isinstance(part, Mixing))
        self.leaves_range = any(isinstance(part, Augmentation) and part.leaves_range for part in parts)
        self._scaling = scaling
        self._limits: tuple[Tensor, Tensor] | None = None

    @property
    def mixes(self) -> bool:
        """Whether samples are mixed, with their labels."""
        return bool(self.mixing)

    def __str__(self) -> str:
        """Every part with its options, in order."""
        return ", ".join(map(_described, (*self.changing, *self.mixing)))

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The images of a batch, changed but not yet mixed.

        Args:
            x: (n, C, H, W) images.
            generator: random state on their device.

        Raises:
            PolicyError: a part returned something else than images of that shape.
        """
        for part in self.changing:
            if isinstance(part, Augmentation):
                x = checked_images(part, self._in_range(part, x, generator), x)
            else:
                x = checked_images(part, part(x, generator), x)
        return x

    def mixed(self, x: Tensor, y: Tensor, nb_classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Mix a whole batch.

        Args:
            x: (n, C, H, W) images.
            y: (n,) labels.
            nb_classes: K.
            generator: random state on their device.

        Returns:
            (n, C, H, W) images; (n,) the label with the larger share, the sample's own where both are alike; (n, K) shares of the
            classes, of the type of ``x``.

        Raises:
            PolicyError: a part returned something of another shape.
        """
        images, partner, share = self._mixed(self.mixing[0], x, generator)
        if len(self.mixing) > 1:
            chosen = draws.randint(len(self.mixing), (len(x),), generator=generator, device=x.device)
            for place, part in enumerate(self.mixing[1:], start=1):
                other = self._mixed(part, x, generator)
                here = chosen == place
                images = torch.where(here.view(-1, *[1] * (x.ndim - 1)), other[0], images)
                partner, share = torch.where(here, other[1], partner), torch.where(here, other[2], share)
        own, others = share.to(x.dtype)[:, None], y[partner]
        shares = x.new_zeros(len(y), nb_classes).scatter_add_(1, y[:, None], own).scatter_add_(1, others[:, None], 1 - own)
        return images, torch.where(share >= 0.5, y, others), shares

    def _mixed(self, part: Mixing, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        images, partner, share = part.mixed(x, generator)
        n = (len(x),)
        if partner.shape != n or partner.dtype != torch.int64 or share.shape != n or not share.is_floating_point():
            raise PolicyError(f"{origin(part)}: mixed() must give images, rows {n} torch.int64, and floating-point shares {n}")
        return checked_images(part, images, x), partner, share

    def _in_range(self, part: Augmentation, x: Tensor, generator: torch.Generator) -> Tensor:
        if self._scaling is None or not part.unit_range:
            return part.images(x, generator)
        low, high = self._on(x)
        images = part.images(((x - low) / (high - low)).clamp_(0, 1), generator)
        return torch.lerp(low.expand_as(images), high.expand_as(images), images)

    def _on(self, x: Tensor) -> tuple[Tensor, Tensor]:
        limits = self._limits
        if limits is None or limits[0].device != x.device or limits[0].dtype != x.dtype:
            low, high = (torch.as_tensor(value, dtype=x.dtype, device=x.device) for value in self._scaling or ())
            limits = self._limits = low, high
        return limits


AnyAugmentation = AugmentationChain | ImageFunction
"""What a trainer applies to each batch."""


def make_augmentation(wanted: Any, classifier: PyTorchClassifier) -> AnyAugmentation | None:
    """Make what a trainer applies to each batch.

    Args:
        wanted: None or ``"none"``; a function; an :class:`Augmentation`; text such as ``"crop-flip,mixup:alpha=0.4"``; or a list
            of such, of ``{name: {option: value}}``, and of torchvision's transforms.
        classifier: says the input shape and the clip values.

    Raises:
        OptionError: an option that a part does not have or a bad value, inputs that a part cannot take, or a part after one that
            mixes samples.
        UnknownNameError: no such augmentation.
        TypeError: anything else.
    """
    # A function alone is called as it is, whatever the samples are.
    if callable(wanted) and not isinstance(wanted, type) and not _of_torchvision(wanted):
        return wanted  # type: ignore[no-any-return]
    parts = _parts(wanted)
    if not parts:
        return None
    shape = tuple(classifier.input_shape)
    _check_order(parts)
    _check_range(parts)
    for part in parts:
        if isinstance(part, Augmentation):
            if not classifier.channels_first:
                raise OptionError(f"{origin(part)} expects channels first, got a classifier with channels_first=False")
            part.check(shape)
    scaled = any(isinstance(part, Augmentation) and part.unit_range for part in parts)
    return AugmentationChain(parts, scaling=_scaling(classifier) if scaled else None)


def _parts(wanted: Any) -> list[Augmentation | ImageFunction]:
    if wanted is None:
        return []
    made: list[Augmentation | ImageFunction] = []
    entries = wanted if isinstance(wanted, list | tuple) else [wanted]
    for entry in entries:
        if isinstance(entry, str | dict):
            written = read_parts(entry, label="augmentation")
            if len(written) + len(entries) > 2 and any(part.name == NONE for part in written):
                raise OptionError("augmentation: 'none' stands for no augmentation at all, so nothing goes with it")
            made += [create("augmentation", part.name, **part.options) for part in written if part.name != NONE]
        else:
            made.append(_instance(entry))
    return made


def _instance(entry: Any) -> Augmentation | ImageFunction:
    if isinstance(entry, type):
        raise TypeError(f"augmentation: got the class {entry.__name__}: make an instance of it")
    if _of_torchvision(entry):
        return EachSample(entry)
    if isinstance(entry, Augmentation):
        return entry
    if callable(entry):
        function: ImageFunction = entry
        return function
    raise TypeError(
        "augmentation must be None, a registered name, a function (images, generator) -> images, an instance of "
        f"fairart.engine.data.augmentation.Augmentation, or a list of these, got {entry!r}"
    )


def _check_range(parts: Sequence[Augmentation | ImageFunction]) -> None:
    for first, second in itertools.combinations(parts, 2):
        if isinstance(first, Augmentation) and first.leaves_range and isinstance(second, Augmentation) and second.unit_range:
            raise OptionError(
                f"augmentation: {_name(first)} leaves the range of the inputs, which {_name(second)} would clip: put "
                f"{_name(first)} last"
            )


def _of_torchvision(entry: Any) -> bool:
    """Whether it is a transform of one image. By name: importing torchvision takes its time."""
    return any(base.__module__.startswith("torchvision.transforms.") for base in type(entry).__mro__)


def _check_order(parts: Sequence[Augmentation | ImageFunction]) -> None:
    for first, second in itertools.pairwise(parts):
        if isinstance(first, Mixing) and not isinstance(second, Mixing):
            raise OptionError(
                f"augmentation: {_name(first)} mixes whole images with their labels, so only one that mixes too may come after "
                f"it, got {_name(second)}: put {_name(first)} last"
            )


def _scaling(classifier: PyTorchClassifier) -> tuple[Any, Any] | None:
    if classifier.clip_values is None:
        raise OptionError(
            "augmentation: these augmentations are defined on images with a lowest and a highest value: give clip_values"
        )
    low, high = (np.asarray(value, dtype=np.float64) for value in classifier.clip_values)
    return None if (low == 0).all() and (high == 1).all() else (low, high)


def _name(part: Augmentation | ImageFunction) -> str:
    if isinstance(part, EachSample):
        return part.name
    if isinstance(part, Augmentation):
        return get_plugin_manager().name_of(part)
    return str(getattr(part, "__qualname__", type(part).__name__))


def _described(part: Augmentation | ImageFunction) -> str:
    plain = (bool, int, float, str, type(None))
    options = [
        f"{name}={value!r}" for name, value in sorted(vars(part).items()) if not name.startswith("_") and isinstance(value, plain)
    ]
    return _name(part) + (f"({', '.join(options)})" if options and isinstance(part, Augmentation) else "")
