"""The residual block that pre-activation and wide networks share."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PreActivationBlock", "global_average", "residual_stage"]


class PreActivationBlock(nn.Module):
    """Norm, ReLU, 3x3 convolution, twice, added to the input (He et al., arXiv:1603.05027, Fig. 4e).

    Where the shape changes, the shortcut is a 1x1 convolution of the activated input, so that the first norm serves both
    branches.

    Args:
        in_channels: channels that come in.
        out_channels: channels that go out.
        stride: of the first convolution and of the shortcut.
        dropout: probability between the convolutions (wide networks), 0 for none.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        active = F.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(active)
        hidden = F.relu(self.norm2(self.conv1(active)))
        if self.dropout is not None:
            hidden = self.dropout(hidden)
        out: Tensor = self.conv2(hidden) + skip
        return out


def residual_stage(
    in_channels: int, out_channels: int, *, blocks: int, stride: int, dropout: float = 0.0
) -> Iterator[PreActivationBlock]:
    """The blocks of one stage; the first one changes channels and resolution."""
    yield PreActivationBlock(in_channels, out_channels, stride=stride, dropout=dropout)
    for _ in range(blocks - 1):
        yield PreActivationBlock(out_channels, out_channels, stride=1, dropout=dropout)


def global_average(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C); a plain mean takes every size and is deterministic on GPUs, unlike adaptive pooling."""
    return x.mean(dim=(2, 3))
