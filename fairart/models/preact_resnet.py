"""PreActResNet-18, the network of CFA, FAIR-TAT and most of the field's tables."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from torch import Tensor, nn

from fairart.models._arguments import InputShape, NbClasses, checked_shape
from fairart.models._blocks import global_average, residual_stage
from fairart.plugins.options import Option

__all__ = ["PreActResNet", "preact_resnet_18"]


class PreActResNet(nn.Module):
    """A pre-activation residual network of four stages, with a last norm and ReLU before pooling.

    Args:
        in_channels: channels of the images.
        nb_classes: number of logits.
        blocks: blocks of each stage; (2, 2, 2, 2) has 18 layers.
        width: channels of the first stage, doubled by each one after it.

    Source: He et al., Identity Mappings in Deep Residual Networks, arXiv:1603.05027.
    """

    def __init__(self, in_channels: int, nb_classes: int, *, blocks: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        stages: list[nn.Module] = []
        channels = width
        for index, count in enumerate(blocks):
            out_channels = width * 2**index
            stages.extend(residual_stage(channels, out_channels, blocks=count, stride=1 if index == 0 else 2))
            channels = out_channels
        self.blocks = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, nb_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        features = F.relu(self.norm(self.blocks(self.stem(x))))
        logits: Tensor = self.head(global_average(features))
        return logits


def preact_resnet_18(
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    width: Annotated[int, Option("channels of the first stage, doubled by each of the three after it", low=1)] = 64,
) -> nn.Module:
    """PreActResNet-18 with a last batch norm and ReLU; 11.17 million parameters on CIFAR-10.

    The count is 11 172 170 for three channels and ten classes. The 11 171 146 often quoted belong to the variant without
    the last norm, which has 2 * 512 parameters; the authors' programs of this field carry it.

    Args:
        input_shape: (C, H, W), H and W from 8 up.
        nb_classes: number of classes K, from 2 up.
        width: channels of the first stage, 64 in the papers.

    Returns:
        A module from (N, C, H, W) to logits (N, K), without normalisation inside.

    Raises:
        OptionError: an argument is of the wrong type or outside its range.

    Source: He et al., arXiv:1603.05027; the last norm as in Rice et al., Overfitting in Adversarially Robust Deep Learning,
    arXiv:2002.11569.
    """
    channels, _, _ = checked_shape(
        preact_resnet_18, "preact-resnet-18", min_side=8, input_shape=input_shape, nb_classes=nb_classes, width=width
    )
    return PreActResNet(channels, nb_classes, blocks=(2, 2, 2, 2), width=width)
