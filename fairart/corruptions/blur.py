"""Gaussian, glass, defocus and zoom blur (Hendrycks & Dietterich, ICLR 2019), at the parameters of CIFAR-10-C."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from fairart.corruptions.common import CIFAR_SIDE, finish, level, start
from fairart.corruptions.linear import filter_mirrored, gaussian_filter, mean_zoom

__all__ = ["defocus_blur", "gaussian_blur", "glass_blur", "zoom_blur"]

_GAUSSIAN = (0.4, 0.6, 0.7, 0.8, 1.0)
_GLASS = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
_DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
_ZOOM_PERCENT = (5, 10, 15, 20, 25)


def gaussian_blur(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Blur with a Gaussian of standard deviation 0.4 to 1 pixels.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    return finish(gaussian_filter(start(x, severity), level(_GAUSSIAN, severity)), x)


def glass_blur(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Look through frosted glass: blur, move pixels by up to one place, blur again.

    The authors' program means to swap neighbours, but its tuple assignment on array views copies; as its shifts only go up
    and left and it runs from the lower right, every pixel gets the earlier value of a neighbour. That is one gather, and
    it is what the published images hold.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: of the shifts.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    sigma, reach, rounds = level(_GLASS, severity)
    images = start(x, severity)
    # The program stores 8 bits here and cuts the rest off; the margin keeps 8-bit images from losing a step to rounding.
    images = (gaussian_filter(images, sigma) * 255 + 1e-3).floor() / 255
    for _ in range(rounds):
        images = _from_upper_left(images, reach, generator)
    return finish(gaussian_filter(images, sigma), x)


def _from_upper_left(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    number, channels, height, width = images.shape
    drawn = torch.randint(-reach, reach, (2, number, height, width), generator=generator, device=generator.device)
    shifts = drawn.to(images.device)
    # The program leaves out a margin of reach + 1 pixels above and on the left.
    shifts[:, :, : reach + 1, :] = 0
    shifts[:, :, :, : reach + 1] = 0
    places = torch.arange(height * width, device=images.device).reshape(1, height, width)
    sources = (places + shifts[0] * width + shifts[1]).reshape(number, 1, -1).expand(-1, channels, -1)
    return images.reshape(number, channels, -1).gather(2, sources).reshape(images.shape)


def defocus_blur(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Take the image out of focus: the mean over a softened disc of radius 0.3 to 1.5 pixels.

    Args:
        x: (n, C, H, W) in [0, 1].
        severity: 1 to 5.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    return finish(filter_mirrored(images, _disc(*level(_DEFOCUS, severity))), x)


@functools.lru_cache(maxsize=16)
def _disc(radius: float, alias_sigma: float) -> Tensor:
    """(k, k) weights of a disc, softened by 3 x 3 taps of a Gaussian."""
    reach = int(radius) + 1
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius**2).double()
    taps = torch.exp(-0.5 * (torch.arange(-1, 2).double() / alias_sigma) ** 2)
    taps = taps / taps.sum()
    soft = functional.conv2d((disc / disc.sum())[None, None], (taps[:, None] * taps)[None, None], padding=1)
    return soft[0, 0]


def zoom_blur(x: Tensor, severity: int, *, generator: torch.Generator) -> Tensor:
    """Move towards the camera: the mean of the image and its enlargements by 0 to 25 % in steps of 1 %.

    Args:
        x: (n, C, H, W) in [0, 1]; below 32 pixels enlarged about the centre by exactly these factors, where the authors'
            rounding to whole pixels would leave the image as it is.
        severity: 1 to 5; enlarged by up to 5, 10, 15, 20 and 25 %.
        generator: not used, nothing is drawn.

    Raises:
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    images = start(x, severity)
    factors = tuple(1 + percent / 100 for percent in range(level(_ZOOM_PERCENT, severity) + 1))
    # The authors enlarge whole pixels to whole pixels. That leaves small images as they are at many of the factors.
    whole_pixels = min(images.shape[2:]) >= CIFAR_SIDE
    # The image itself counts beside its enlargement by nothing.
    return finish(mean_zoom(images, (1.0, *factors), whole_pixels=whole_pixels), x)
