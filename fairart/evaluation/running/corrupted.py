"""Sources of corrupted images, made or read, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.corruptions import SEVERITIES, CorruptionFolder, MadeCorruptions
from fairart.corruptions.source import ImageSource
from fairart.datasets.stored import Images, StoredImages
from fairart.engine.network import Network

__all__ = ["CorruptionSource", "Corruptions", "resolve_corruptions", "to_input_units"]

Corruptions = str | Sequence[str] | Mapping[str, Mapping[str, Any]] | CorruptionFolder | MadeCorruptions
"""A named set, names, name -> options, a folder of the published layout, or made corruptions."""


class CorruptionSource(ImageSource, Protocol):
    """What :class:`CorruptionFolder` and :class:`MadeCorruptions` have in common."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        ...

    def describe(self) -> dict[str, Any]:
        """What they are, for a result file."""
        ...

    def identity(self, name: str) -> dict[str, Any]:
        """What the images of one corruption follow from, as plain values."""
        ...


def resolve_corruptions(
    corruptions: Corruptions | None,
    severities: Sequence[int] | None,
    *,
    classifier: PyTorchClassifier,
    network: Network,
    x: Images,
    labels: npt.NDArray[np.int64],
    seed: int,
) -> tuple[CorruptionSource | None, tuple[int, ...]]:
    """Make or take the source of corrupted images, and check that it suits the classifier.

    Args:
        corruptions: see :data:`Corruptions`; None for none.
        severities: any of 1 to 5; None for all that the source has.
        classifier: gives the input shape and the classes.
        network: the same as a torch module; gives clip values and device.
        x: (n, C, H, W) checked images in clip values or uint8; corruptions are made of these where names are given.
        labels: (n,) their labels.
        seed: of what is made.

    Returns:
        The source, and the severities asked for.

    Raises:
        TypeError: something else.
        ValueError: severities that the source does not have, or another shape or other classes than the classifier's.
        UnknownNameError, OptionError, MissingTexturesError: as :class:`MadeCorruptions`.
    """
    if corruptions is None:
        if severities is not None:
            raise ValueError(f"severities {list(severities)} are given without corruptions")
        return None, ()
    _check_clip_values(network)
    if isinstance(corruptions, CorruptionFolder | MadeCorruptions):
        source: CorruptionSource = corruptions
        wanted = source.severities if severities is None else tuple(sorted(set(severities)))
        missing = [severity for severity in wanted if severity not in source.severities]
        if missing or not wanted:
            raise ValueError(
                f"severities must be among {list(source.severities)}, which the corruptions have, got {list(wanted)}"
            )
    else:
        source = _make(corruptions, severities, network, x, labels, seed)
        wanted = source.severities
    _check_suits(source, classifier)
    return source, wanted


def _make(
    corruptions: Any, severities: Sequence[int] | None, network: Network, x: Images, labels: Any, seed: int
) -> MadeCorruptions:
    if not isinstance(corruptions, str | Mapping | Sequence):
        raise TypeError(
            "corruptions expects a named set, names, name -> options, a CorruptionFolder or MadeCorruptions, "
            f"got {type(corruptions).__qualname__}"
        )
    options = {name: given or {} for name, given in corruptions.items()} if isinstance(corruptions, Mapping) else {}
    return MadeCorruptions(
        _to_unit_range(x, network),
        labels,
        corruptions=corruptions if isinstance(corruptions, str) else tuple(corruptions),
        severities=SEVERITIES if severities is None else severities,
        seed=seed,
        options={name: given for name, given in options.items() if given},
        device=network.device,
    )


def _check_clip_values(network: Network) -> None:
    clip = network.clip_values
    if clip is None:
        raise ValueError(
            "corruptions are made of images in [0, 1]: the classifier needs clip_values, the values of black and white"
        )
    if not all(np.isfinite(float(torch.as_tensor(value).abs().max())) for value in clip):
        raise ValueError("corruptions are made of images in [0, 1]: the classifier's clip_values must be finite")


def _check_suits(source: CorruptionSource, classifier: PyTorchClassifier) -> None:
    shape = tuple(classifier.input_shape)
    if source.image_shape != shape:
        raise ValueError(f"the corrupted images have the shape (C, H, W) {source.image_shape}, the classifier takes {shape}")
    if int(source.labels.max()) >= classifier.nb_classes:
        raise ValueError(
            f"the corrupted images have label {int(source.labels.max())}, out of range for {classifier.nb_classes} classes"
        )


def _to_unit_range(x: Images, network: Network) -> Images:
    """The images in [0, 1]; uint8 as they are."""
    if x.dtype == np.uint8 or network.clip_values is None:
        return x
    low, high = (torch.as_tensor(value).cpu().double().numpy() for value in network.clip_values)
    plain = not ((low != 0).any() or (high != 1).any())
    if isinstance(x, StoredImages):
        if not plain:
            raise ValueError("corruptions of float images on disk need a classifier with clip_values (0, 1)")
        return x
    scaled: npt.NDArray[Any] = x if plain else ((x - low) / (high - low)).astype(np.float32)
    # Values may lie a rounding error outside their clip values.
    return scaled if scaled.min() >= 0 and scaled.max() <= 1 else np.clip(scaled, 0, 1)


def to_input_units(images: Tensor, network: Network) -> Tensor:
    """Images in [0, 1] in the units of the classifier's input, which are those of its clip values.

    Args:
        images: (b, C, H, W) on the network's device.
        network: the classifier.
    """
    x = images.to(network.dtype)
    if network.clip_values is None:
        return x
    low, high = network.clip_values
    plain = isinstance(low, float) and isinstance(high, float)
    return x if plain and (low, high) == (0.0, 1.0) else low + (high - low) * x
