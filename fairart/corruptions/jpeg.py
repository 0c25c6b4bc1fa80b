"""What a baseline JPEG file keeps of an image, computed for a batch on its device (ITU-T T.81, JFIF).

The entropy coding of a JPEG file loses nothing, so it is left out: colours are converted, chroma is halved, blocks are
transformed, quantised and taken back, with rounding where an 8-bit coder rounds.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["jpeg_round_trip", "smooth_jpeg_round_trip"]

_BLOCK = 8
# Annex K of the standard: step sizes of the 8 x 8 coefficients at quality 50.
_LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
_RED_CR, _GREEN_CB, _GREEN_CR, _BLUE_CB = 1.402, -0.344136286, -0.714136286, 1.772

_LEAST_SLOPE = 0.1
"""Of the smooth stairway, where it is flattest. Without it, PGD fooled fewer images (Fashion-MNIST, qualities 10 to 50)."""


def jpeg_round_trip(x: Tensor, quality: int) -> Tensor:
    """Compress and decompress.

    Args:
        x: (n, C, H, W) in [0, 255], C 1 or 3; colour is stored with chroma at half the resolution both ways.
        quality: 1 to 100, as the reference library counts it.

    Returns:
        (n, C, H, W), whole numbers in [0, 255].
    """
    pixels = x.round()
    height, width = pixels.shape[2:]
    if pixels.shape[1] == 1:
        return _through_blocks(pixels, _LUMA_STEPS, quality)
    matrix = pixels.new_tensor(_TO_YCC)
    ycc = torch.einsum("ij,njhw->nihw", matrix, pixels)
    ycc[:, 1:] += 128
    ycc = ycc.round().clamp_(0, 255)
    brightness = _through_blocks(ycc[:, :1], _LUMA_STEPS, quality)
    # Coders widen the image to whole chroma blocks before they halve it, and lengthen it only after.
    wide = functional.pad(ycc[:, 1:], (0, -width % (2 * _BLOCK), 0, 0), mode="replicate")
    chroma = _through_blocks(_halve(wide), _CHROMA_STEPS, quality)[..., : (width + 1) // 2]
    shifts = _double(chroma)[:, :, :height, :width] - 128
    blue, red = shifts[:, :1], shifts[:, 1:]
    red_shift, blue_shift = (_RED_CR * red).round(), (_BLUE_CB * blue).round()
    green_shift = (_GREEN_CB * blue + _GREEN_CR * red).round()
    return torch.cat([brightness + red_shift, brightness + green_shift, brightness + blue_shift], dim=1).clamp_(0, 255)


def smooth_jpeg_round_trip(x: Tensor, quality: int) -> Tensor:
    """The same compression with a gradient: nothing is rounded but the coefficients, and these by a smooth stairway.

    The stairway is flat where a coefficient lies on a step, and steep between two steps (Shin & Song, NeurIPS 2017 workshop,
    take a cubic as well). So its gradient is small along what the compression takes away, which is most of the high frequencies,
    and large along what it keeps. It is nowhere 0: where every coefficient lies on a step, there would be no direction at all.

    Args:
        x: (n, C, H, W) in [0, 255]; three channels are stored in colour, any other number channel by channel.
        quality: 1 to 100.

    Returns:
        (n, C, H, W), differentiable in ``x``.
    """
    if x.shape[1] != 3:
        return _smooth_planes(x, _LUMA_STEPS, quality)
    to_ycc = x.new_tensor(_TO_YCC)
    ycc = torch.einsum("ij,njhw->nihw", to_ycc, x)
    height, width = x.shape[2:]
    padded = functional.pad(ycc[:, 1:], (0, width % 2, 0, height % 2), mode="replicate")
    chroma = _smooth_planes(functional.avg_pool2d(padded, 2) + 128, _CHROMA_STEPS, quality) - 128
    wide = functional.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)[:, :, :height, :width]
    brightness = _smooth_planes(ycc[:, :1], _LUMA_STEPS, quality)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(to_ycc), torch.cat([brightness, wide], dim=1))


def _smooth_planes(planes: Tensor, table: tuple[tuple[int, ...], ...], quality: int) -> Tensor:
    blocks = _blocks(planes - 128)
    transform, steps = _cosines().to(planes), _steps(table, quality, planes)
    kept = _stairway(transform @ blocks @ transform.mT / steps) * steps
    return _unblocked(transform.mT @ kept @ transform, planes.shape) + 128


def _stairway(values: Tensor) -> Tensor:
    nearest = values.round().detach()
    beside = values - nearest
    return nearest + _LEAST_SLOPE * beside + (1 - _LEAST_SLOPE) * 4 * beside**3


def _steps(table: tuple[tuple[int, ...], ...], quality: int, like: Tensor) -> Tensor:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((like.new_tensor(table) * percent + 50) / 100).floor().clamp(1, 255)


@functools.lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """(8, 8) orthonormal cosine transform, one frequency a row."""
    frequencies = torch.arange(_BLOCK, dtype=torch.float64)[:, None]
    places = torch.arange(_BLOCK, dtype=torch.float64) + 0.5
    matrix = torch.cos(math.pi / _BLOCK * frequencies * places) * math.sqrt(2 / _BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix


def _through_blocks(planes: Tensor, table: tuple[tuple[int, ...], ...], quality: int) -> Tensor:
    blocks = _blocks(planes - 128)
    transform, steps = _cosines().to(planes), _steps(table, quality, planes)
    # Coders hold coefficients in eighths and round half a step away from zero: ties are common, and each is a whole step.
    eighths = (transform @ blocks @ transform.mT * 8).round_()
    kept = ((eighths.abs() + 4 * steps) / (8 * steps)).floor_() * eighths.sign() * steps
    restored = _unblocked(transform.mT @ kept @ transform, planes.shape)
    return (restored.round() + 128).clamp_(0, 255)


def _blocks(planes: Tensor) -> Tensor:
    """(n, C, rows, columns, 8, 8) blocks of planes (n, C, H, W), widened to whole blocks by their last pixels."""
    number, channels, height, width = planes.shape
    padded = functional.pad(planes, (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate")
    rows, columns = padded.shape[2] // _BLOCK, padded.shape[3] // _BLOCK
    return padded.reshape(number, channels, rows, _BLOCK, columns, _BLOCK).transpose(3, 4)


def _unblocked(blocks: Tensor, shape: torch.Size) -> Tensor:
    """The planes (n, C, H, W) that blocks were cut from."""
    number, channels, height, width = shape
    rows, columns = blocks.shape[2:4]
    whole = blocks.transpose(3, 4).reshape(number, channels, rows * _BLOCK, columns * _BLOCK)
    return whole[:, :, :height, :width]


def _halve(chroma: Tensor) -> Tensor:
    """Means of 2 x 2 pixels; ties are rounded down in even and up in odd columns, so that rounding has no drift."""
    height, width = chroma.shape[2:]
    padded = functional.pad(chroma, (0, width % 2, 0, height % 2), mode="replicate")
    sums = padded[:, :, ::2, ::2] + padded[:, :, 1::2, ::2] + padded[:, :, ::2, 1::2] + padded[:, :, 1::2, 1::2]
    bias = 1 + torch.arange(sums.shape[3], device=sums.device) % 2
    return ((sums + bias) / 4).floor()


def _double(chroma: Tensor) -> Tensor:
    """Twice the size: every new pixel is three quarters its nearest and one quarter its next old one, in each direction."""
    padded = functional.pad(chroma, (1, 1, 1, 1), mode="replicate")
    above, below = 3 * padded[:, :, 1:-1] + padded[:, :, :-2], 3 * padded[:, :, 1:-1] + padded[:, :, 2:]
    tall = torch.stack([above, below], dim=3).flatten(2, 3)
    # The decoder rounds ties up in even and down in odd columns.
    left = ((3 * tall[..., 1:-1] + tall[..., :-2] + 8) / 16).floor()
    right = ((3 * tall[..., 1:-1] + tall[..., 2:] + 7) / 16).floor()
    return torch.stack([left, right], dim=4).flatten(3, 4)
