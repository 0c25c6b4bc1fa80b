"""Mean and deviation that stand among a network's weights: in files, and in networks that normalise their own input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["MeanAndStd", "is_normalization_key", "normalization_of_module", "normalizations_of_keys"]

PAIRS = (("mu", "sigma"), ("mean", "std"), ("new_mean", "new_std"), ("_mean", "_std"), ("means", "stds"), ("mean", "sd"))
"""Names that published networks give the two."""

MOST_CHANNELS = 16
"""A mean of more numbers is something else, such as the statistics of a hidden layer."""


@dataclass(frozen=True, eq=False)
class MeanAndStd:
    """One pair of buffers.

    Args:
        mean_key: full name of the mean.
        std_key: full name of the deviation.
        mean: numbers, one or one a channel.
        std: likewise.
    """

    mean_key: str
    std_key: str
    mean: Tensor
    std: Tensor

    def is_same(self, other: MeanAndStd) -> bool:
        """Whether both hold the same numbers, in whatever shape."""
        return all(
            one.numel() == its.numel() and torch.equal(one.flatten().double(), its.flatten().double())
            for one, its in ((self.mean, other.mean), (self.std, other.std))
        )


def _short(tensor: Tensor) -> bool:
    return 1 <= tensor.numel() <= MOST_CHANNELS and max(tensor.shape, default=1) == tensor.numel() and tensor.is_floating_point()


def normalizations_of_keys(tensors: Mapping[str, Tensor]) -> list[MeanAndStd]:
    """The pairs among named tensors, shortest names first.

    Args:
        tensors: name -> tensor.
    """
    found = []
    for key, mean in tensors.items():
        parent, dot, name = key.rpartition(".")
        for mean_name, std_name in PAIRS:
            std = tensors.get(f"{parent}{dot}{std_name}")
            if name == mean_name and std is not None and _short(mean) and _short(std) and bool((std > 0).all()):
                found.append(MeanAndStd(key, f"{parent}{dot}{std_name}", mean, std))
                break
    return sorted(found, key=lambda pair: (pair.mean_key.count("."), len(pair.mean_key)))


def is_normalization_key(key: str) -> bool:
    """Whether a name is one that published networks give a mean or a deviation of their input."""
    return key.rpartition(".")[2] in {name for pair in PAIRS for name in pair}


def normalization_of_module(module: nn.Module) -> MeanAndStd | None:
    """The pair that a network normalises its input with: buffers, saved or not, or tensors held as plain attributes.

    Args:
        module: the network.
    """
    held: dict[str, Tensor] = {}
    for prefix, part in module.named_modules():
        own = {**vars(part), **part._buffers, **part._parameters}
        held |= {f"{prefix}.{name}" if prefix else name: value for name, value in own.items() if isinstance(value, Tensor)}
    pairs = normalizations_of_keys(held)
    return pairs[0] if pairs else None
