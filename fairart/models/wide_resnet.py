"""Wide residual networks; WRN-34-10 is the large network of TRADES and of robustness benchmarks."""

from __future__ import annotations

import math
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor, nn

from fairart.errors import OptionError
from fairart.models._arguments import InputShape, NbClasses, checked_shape
from fairart.models._blocks import global_average, residual_stage
from fairart.plugins.options import Option

__all__ = ["WideResNet", "wide_resnet_34_10"]

_STEM_CHANNELS = 16
_DEPTHS = "10, 16, 22, 28, 34, ..."


def _has_three_equal_stages(depth: int) -> bool:
    """Stem, three shortcuts, and two layers in each of n blocks of three stages: 6n + 4."""
    return depth >= 10 and (depth - 4) % 6 == 0


class WideResNet(nn.Module):
    """A wide residual network of three stages.

    Args:
        in_channels: channels of the images.
        nb_classes: number of logits.
        depth: layers, 6n + 4 for n blocks a stage.
        widen_factor: how many times 16, 32 and 64 channels the stages have.
        dropout: probability between the convolutions of a block.

    Raises:
        OptionError: the depth is not 6n + 4.

    Source: Zagoruyko and Komodakis, Wide Residual Networks, arXiv:1605.07146.
    """

    def __init__(self, in_channels: int, nb_classes: int, *, depth: int, widen_factor: int, dropout: float = 0.0) -> None:
        super().__init__()
        if not _has_three_equal_stages(depth):
            raise OptionError(f"a wide residual network has 6n + 4 layers ({_DEPTHS}), got depth {depth}")
        self.stem = nn.Conv2d(in_channels, _STEM_CHANNELS, 3, padding=1, bias=False)
        stages: list[nn.Module] = []
        channels = _STEM_CHANNELS
        for index in range(3):
            out_channels = _STEM_CHANNELS * 2**index * widen_factor
            stride = 1 if index == 0 else 2
            count = (depth - 4) // 6
            stages.extend(residual_stage(channels, out_channels, blocks=count, stride=stride, dropout=dropout))
            channels = out_channels
        self.blocks = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, nb_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # He's rule by outgoing connections, as the authors' programs have it.
                height, width = module.kernel_size
                nn.init.normal_(module.weight, std=math.sqrt(2 / (height * width * module.out_channels)))
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        features = F.relu(self.norm(self.blocks(self.stem(x))))
        logits: Tensor = self.head(global_average(features))
        return logits


def wide_resnet_34_10(
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    depth: Annotated[int, Option("number of layers, 6n + 4 for n blocks in each of the three stages", low=10)] = 34,
    widen_factor: Annotated[int, Option("channels of the stages in units of 16, 32 and 64", low=1)] = 10,
    dropout: Annotated[float, Option("probability of dropout between the convolutions of a block", low=0, high=0.9)] = 0.0,
) -> nn.Module:
    """WRN-34-10 of TRADES, or another depth and width; 46.16 million parameters on CIFAR-10 (46 160 474) by default.

    Args:
        input_shape: (C, H, W), H and W from 8 up.
        nb_classes: number of classes K, from 2 up.
        depth: number of layers, 6n + 4 with n from 1 up: 10, 16, 22, 28, 34, ...
        widen_factor: the stages have 16, 32 and 64 channels times this, from 1 up.
        dropout: probability, 0..0.9; 0 in TRADES.

    Returns:
        A module from (N, C, H, W) to logits (N, K), without normalisation inside.

    Raises:
        OptionError: an argument is of the wrong type or outside its range, or the depth is not 6n + 4.

    Source: Zagoruyko and Komodakis, arXiv:1605.07146; Zhang et al., TRADES, arXiv:1901.08573.
    """
    channels, _, _ = checked_shape(
        wide_resnet_34_10,
        "wide-resnet-34-10",
        min_side=8,
        input_shape=input_shape,
        nb_classes=nb_classes,
        depth=depth,
        widen_factor=widen_factor,
        dropout=dropout,
    )
    if not _has_three_equal_stages(depth):
        raise OptionError(f"model 'wide-resnet-34-10': depth must be 6n + 4 ({_DEPTHS}), got {depth}")
    return WideResNet(channels, nb_classes, depth=depth, widen_factor=widen_factor, dropout=dropout)
