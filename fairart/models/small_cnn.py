"""A small convolutional network: quick enough for adversarial training on a CPU."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F

from fairart.models._arguments import InputShape, NbClasses, checked_shape
from fairart.plugins.options import Option

__all__ = ["SmallCNN", "small_cnn"]

_KEPT_WHOLE = 16  # pixels: halving smaller images at once costs robustness (8x8 digits: 0.70 -> 0.78 without it)
_LAST_SIDE = 8  # pixels: larger maps are halved further, so that the last layer stays small


def _strides(height: int, width: int) -> list[int]:
    """Stride of each convolution: two or more halvings from 16 pixels up, one below it, then one at full size."""
    strides = [1 if min(height, width) < _KEPT_WHOLE else 2, 2]
    while max(height, width) // 2 ** strides.count(2) > _LAST_SIDE and min(height, width) // 2 ** strides.count(2) > 1:
        strides.append(2)
    return [*strides, 1]


class Readout(nn.Linear):
    """A linear layer over a whole feature map, computed as a convolution of the map's size.

    The gradient then has the map's own memory layout: flattening would give it back with channels first, and every layer
    before would mix the two layouts where the network runs with channels last.

    Args:
        feature_map: (C, H, W) of what it takes.
        out_features: number of outputs K; ``weight`` is (K, C H W), as after flattening.
    """

    def __init__(self, feature_map: tuple[int, int, int], out_features: int) -> None:
        super().__init__(math.prod(feature_map), out_features)
        self.feature_map = feature_map

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, C, H, W) -> (N, K)."""
        out = F.conv2d(x, self.weight.view(self.out_features, *self.feature_map), self.bias)
        # Not flatten(): of a larger map it would make more outputs.
        return out.squeeze((2, 3))


class SmallCNN(nn.Module):
    """Three convolutions (more above 35 pixels), halving by 4x4 kernels of stride 2, and one linear layer.

    That layer sees where a feature lies, which these small images need; it fixes the image size.

    Args:
        input_shape: (C, H, W), H and W from 8 up.
        nb_classes: number of logits.
        width: channels of the first convolution; the others have twice as many.
        batch_norm: normalise after each convolution.
        spectral_norm: divide every kernel and the last layer by their largest singular value.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        nb_classes: int,
        *,
        width: int,
        batch_norm: bool,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        channels, height, breadth = input_shape
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for index, stride in enumerate(_strides(height, breadth), start=1):
            out_channels = width if index == 1 else 2 * width
            kernel = 4 if stride == 2 else 3
            layers[f"conv{index}"] = nn.Conv2d(channels, out_channels, kernel, stride, padding=1, bias=not batch_norm)
            if batch_norm:
                layers[f"norm{index}"] = nn.BatchNorm2d(out_channels)
            layers[f"relu{index}"] = nn.ReLU()
            channels, height, breadth = out_channels, height // stride, breadth // stride
        self.features = nn.Sequential(layers)
        self.head = Readout((channels, height, breadth), nb_classes)
        if spectral_norm:
            for layer in (*self.features, self.head):
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.utils.parametrizations.spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x))
        return logits


def small_cnn(
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    width: Annotated[int, Option("channels of the first convolution, doubled by the next", low=1)] = 16,
    batch_norm: Annotated[bool, Option("normalise by batch after each convolution")] = True,
    spectral_norm: Annotated[
        bool,
        Option(
            "divide each kernel, as a matrix, and the last layer by their largest singular value", source="Miyato et al. 2018"
        ),
    ] = False,
) -> nn.Module:
    """Small CNN for grey or colour images from 8x8 up: quick enough to train against PGD on a CPU.

    Args:
        input_shape: (C, H, W), H and W from 8 up.
        nb_classes: number of classes K, from 2 up.
        width: channels of the first convolution; time and robustness grow with it.
        batch_norm: normalise by batch after each convolution.
        spectral_norm: spectral normalisation (Miyato et al., ICLR 2018), for small Lipschitz constants; with
            ``batch_norm=False``, as batch-norm scales the channels again.

    Returns:
        A module from (N, C, H, W) to logits (N, K), without normalisation inside; it takes images of this size alone.

    Raises:
        OptionError: an argument is of the wrong type or outside its range.

    Source: ours, after the strided networks that Wong and Kolter train robustly on MNIST (arXiv:1711.00851).
    """
    shape = checked_shape(
        small_cnn,
        "small-cnn",
        min_side=8,
        input_shape=input_shape,
        nb_classes=nb_classes,
        width=width,
        batch_norm=batch_norm,
        spectral_norm=spectral_norm,
    )
    return SmallCNN(shape, nb_classes, width=width, batch_norm=batch_norm, spectral_norm=spectral_norm)
