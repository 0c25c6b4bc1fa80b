"""Perturbation sequences as in CIFAR-10-P, and how often predictions flip along them (Hendrycks & Dietterich, ICLR 2019).

A sequence shows one image under small changes, frame by frame. Names and parameters are those of CIFAR-10-P, at its first
difficulty; ``snow`` and the hold-out of spatter, speckle noise, Gaussian blur and shear are not built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.corruptions.colour import brighten
from fairart.corruptions.common import normal, start
from fairart.corruptions.motion import directional_blur
from fairart.corruptions.noise import photons
from fairart.corruptions.warp import affine_places, pixel_places, read_at
from fairart.did_you_mean import did_you_mean
from fairart.errors import UnknownNameError

__all__ = ["NOISE_SEQUENCES", "SEQUENCES", "flip_rate", "perturbation_sequence"]

_NOISE, _PHOTONS = 0.02, 700
_FRAMES = 31

Frames = Callable[[Tensor, torch.Generator], list[Tensor]]


def perturbation_sequence(x: Tensor, name: str, *, generator: torch.Generator) -> Tensor:
    """Make the frames of one kind of perturbation.

    Args:
        x: (n, C, H, W) in [0, 1].
        name: one of ``SEQUENCES``.
        generator: of the noise; the other sequences draw nothing.

    Returns:
        (n, T, C, H, W) in [0, 1]; T is 31, or 21 for motion_blur and 16 for translate.

    Raises:
        UnknownNameError: no such sequence.
        TypeError, ValueError: as :func:`fairart.corruptions.common.start`.
    """
    if name not in SEQUENCES:
        raise UnknownNameError(f"there is no perturbation sequence {name!r}; {did_you_mean(name, SEQUENCES)}")
    frames = SEQUENCES[name](start(x, 1), generator)
    return torch.stack(frames, dim=1).clamp(0, 1).to(x.dtype)


def flip_rate(predictions: npt.ArrayLike, *, noise: bool) -> float:
    """Share of frames whose prediction differs from the one it is compared with, in [0, 1]; lower is better.

    Noise has no order, so its frames are compared with the first, which is clean; all others with the frame before.

    Args:
        predictions: (n, T) classes along n sequences of T >= 2 frames.
        noise: whether the sequence is noise; see ``NOISE_SEQUENCES``.

    Raises:
        ValueError: predictions are no integers of that shape.
    """
    classes = np.asarray(predictions)
    if classes.ndim != 2 or classes.dtype.kind not in "iu" or len(classes) == 0 or classes.shape[1] < 2:
        raise ValueError(f"expected integer classes (n, T >= 2) with n >= 1, got {classes.dtype} of shape {classes.shape}")
    before = classes[:, :1] if noise else classes[:, :-1]
    return float((classes[:, 1:] != before).mean())


def _gaussian_noise(images: Tensor, generator: torch.Generator) -> list[Tensor]:
    return [images, *(images + _NOISE * normal(images.shape, images, generator) for _ in range(_FRAMES - 1))]


def _shot_noise(images: Tensor, generator: torch.Generator) -> list[Tensor]:
    return [images, *(photons(images, _PHOTONS, generator) for _ in range(_FRAMES - 1))]


def _motion_blur(images: Tensor, _: torch.Generator) -> list[Tensor]:
    angles = (images.new_full((len(images),), (frame - 20) * 9.0) for frame in range(21))
    return [directional_blur(images, 6, 1.8, angle) for angle in angles]


def _zoom_blur(images: Tensor, _: torch.Generator) -> list[Tensor]:
    total, frames = images.clone(), [images]
    for frame in range(1, _FRAMES):
        total = total + _about_centre(images, scale=1 + 0.004 * frame)
        frames.append(total / (frame + 1))
    return frames


def _brightness(images: Tensor, _: torch.Generator) -> list[Tensor]:
    return [brighten(images, (frame - 15) * 0.015) for frame in range(_FRAMES)]


def _translate(images: Tensor, _: torch.Generator) -> list[Tensor]:
    frames = []
    for right in range(-7, 9):
        moved = torch.zeros_like(images)
        moved[..., max(right, 0) : images.shape[3] + min(right, 0)] = images[
            ..., max(-right, 0) : images.shape[3] - max(right, 0)
        ]
        frames.append(moved)
    return frames


def _rotate(images: Tensor, _: torch.Generator) -> list[Tensor]:
    return [_about_centre(images, degrees=frame - 15.0) for frame in range(_FRAMES)]


def _scale(images: Tensor, _: torch.Generator) -> list[Tensor]:
    return [_about_centre(images, scale=(2 * frame + 70) / 100) for frame in range(_FRAMES)]


def _about_centre(images: Tensor, *, degrees: float = 0.0, scale: float = 1.0) -> Tensor:
    """Turn clockwise and enlarge about the middle; what comes from outside the image is black."""
    height, width = images.shape[2:]
    cosine, sine = (ratio(math.radians(degrees)) / scale for ratio in (math.cos, math.sin))
    back = images.new_tensor([[cosine, sine], [-sine, cosine]])
    middle = images.new_tensor([(width - 1) / 2, (height - 1) / 2])
    places = (pixel_places(height, width, images) - middle) @ back.T + middle
    # Pixels are squares: what lies within half a pixel of the outermost centres is still image.
    limits = images.new_tensor([width, height]) - 0.5
    inside = ((places >= -0.5) & (places < limits)).all(dim=-1)
    return read_at(images, places.expand(len(images), -1, -1, -1), border="clamp") * inside


def _tilt(images: Tensor, _: torch.Generator) -> list[Tensor]:
    height, width = images.shape[2:]
    frames = []
    for frame in range(_FRAMES):
        back = torch.linalg.inv(_tilted(math.radians(0.75 * (frame - 15)), height, width)).to(images)
        places = affine_places(back[None], height, width).expand(len(images), -1, -1, -1)
        frames.append(read_at(images, places, border="zeros"))
    return frames


def _tilted(angle: float, height: int, width: int) -> Tensor:
    """(3, 3) projection of the image, turned by an angle about its horizontal and its vertical axis.

    It is seen from as far away as its diagonal is long.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    distance = math.hypot(height, width)
    about_x = torch.tensor([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]], dtype=torch.float64)
    about_y = torch.tensor([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]], dtype=torch.float64)
    # The image lies in the plane z = 1, as the authors' matrices have it: (x - w/2, y - h/2, 1).
    place = torch.tensor([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]], dtype=torch.float64)
    away = torch.tensor([[0, 0, 0], [0, 0, 0], [0, 0, distance]], dtype=torch.float64)
    camera = torch.tensor([[distance, 0, width / 2], [0, distance, height / 2], [0, 0, 1]], dtype=torch.float64)
    return camera @ (about_x @ about_y @ place + away)


SEQUENCES: Mapping[str, Frames] = MappingProxyType(
    {
        "gaussian_noise": _gaussian_noise,
        "shot_noise": _shot_noise,
        "motion_blur": _motion_blur,
        "zoom_blur": _zoom_blur,
        "brightness": _brightness,
        "translate": _translate,
        "rotate": _rotate,
        "tilt": _tilt,
        "scale": _scale,
    }
)
"""Every sequence there is, by name."""

NOISE_SEQUENCES = frozenset({"gaussian_noise", "shot_noise"})
"""Sequences whose frames are compared with the first one."""
