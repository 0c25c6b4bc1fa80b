"""Perturbation sequences, flip rate, mean corruption error."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from fairart.corruptions import NOISE_SEQUENCES, SEQUENCES, flip_rate, mean_corruption_error, perturbation_sequence
from fairart.corruptions.sequences import _tilted
from fairart.errors import UnknownNameError

FRAMES = {"motion_blur": 21, "translate": 16}
AS_THEY_ARE = {"brightness": 15, "translate": 7, "rotate": 15, "scale": 15, "zoom_blur": 0, "gaussian_noise": 0}


def frames_of(x: Tensor, name: str, seed: int = 0) -> Tensor:
    return perturbation_sequence(x, name, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 1, 8, 8), (1, 3, 9, 14)])
def test_frames_are_images(name: str, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    frames = frames_of(x, name)
    assert frames.shape == (shape[0], FRAMES.get(name, 31), *shape[1:])
    assert bool((frames >= 0).all() and (frames <= 1).all())
    assert torch.equal(frames, frames_of(x, name))
    assert torch.equal(frames, frames_of(x, name, seed=1)) == (name not in NOISE_SEQUENCES)


@pytest.mark.parametrize(("name", "frame"), AS_THEY_ARE.items())
def test_the_neutral_frame_is_the_image(images: Tensor, name: str, frame: int) -> None:
    torch.testing.assert_close(frames_of(images, name)[:, frame], images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", sorted(set(SEQUENCES) - NOISE_SEQUENCES))
def test_neighbouring_frames_are_closer_than_the_ends(images: Tensor, name: str) -> None:
    frames = frames_of(images, name)
    steps = frames.diff(dim=1).abs().mean(dim=(0, 2, 3, 4))
    assert steps.min() > 1e-4
    assert (frames[:, -1] - frames[:, 0]).abs().mean() > 2 * steps.mean() or name == "motion_blur"


@pytest.mark.parametrize(
    ("name", "frame", "degrees", "scale"), [("rotate", 22, 7, 1), ("rotate", 3, -12, 1), ("scale", 4, 0, 0.78)]
)
def test_turning_and_scaling_are_pillows(images: Tensor, name: str, frame: int, degrees: float, scale: float) -> None:
    cosine, sine = (ratio(math.radians(degrees)) / scale for ratio in (math.cos, math.sin))
    # Pillow takes output places, counted from pixels' edges, to their source; this turns clockwise about (16, 16).
    back = (cosine, sine, 16 - 16 * cosine - 16 * sine, -sine, cosine, 16 + 16 * sine - 16 * cosine)
    got = frames_of(images, name)[:, frame]
    for image, mine in zip(images[:6], got, strict=False):
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        expected = np.asarray(
            Image.fromarray(pixels).transform((32, 32), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
        )
        difference = np.abs(mine.permute(1, 2, 0).numpy() * 255 - expected)
        assert np.quantile(difference, 0.99) < 1.5


def test_translate_moves_columns_and_fills_with_black(images: Tensor) -> None:
    frames = frames_of(images, "translate")
    assert torch.equal(frames[:, 10, :, :, 3:], images[..., :-3])
    assert frames[:, 10, :, :, :3].max() == 0
    assert torch.equal(frames[:, 0, :, :, :-7], images[..., 7:])


def test_tilt_keeps_the_middle_and_narrows_one_side() -> None:
    stripes = torch.ones(1, 1, 64, 64)
    tilted = frames_of(stripes, "tilt")[0, :, 0]
    assert torch.allclose(tilted[:, 30:34, 30:34], torch.ones(()))
    lit = (tilted > 0.5).sum(dim=(1, 2))
    assert lit[15] > 0.9 * 64 * 64
    assert max(lit[0], lit[30]) < lit[15]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (10, 24)])
def test_tilt_projects_the_plane_turned_about_both_axes(height: int, width: int) -> None:
    angle = math.radians(9)
    cosine, sine, distance = math.cos(angle), math.sin(angle), math.hypot(height, width)
    for column, row in ((0, 0), (width - 1, 2), (5, height - 1)):
        x, y, z = column - width / 2, row - height / 2, 1.0
        x, z = cosine * x - sine * z, sine * x + cosine * z
        y, z = cosine * y - sine * z, sine * y + cosine * z
        seen = (distance * x / (z + distance) + width / 2, distance * y / (z + distance) + height / 2)
        mapped = _tilted(angle, height, width) @ torch.tensor([column, row, 1], dtype=torch.float64)
        assert (mapped[:2] / mapped[2]).tolist() == pytest.approx(seen)


def test_flip_rate_compares_with_the_frame_before_or_with_the_first() -> None:
    predictions = [[0, 1, 1, 0], [2, 2, 2, 2]]
    assert flip_rate(predictions, noise=False) == pytest.approx(2 / 6)
    assert flip_rate([[0, 1, 1, 1]], noise=True) == 1
    assert flip_rate([[0, 1, 1, 1]], noise=False) == pytest.approx(1 / 3)


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=6), st.booleans())
def test_flip_rate_is_the_count_of_unequal_pairs(predictions: list[list[int]], noise: bool) -> None:
    flips = sum(row[0 if noise else i - 1] != row[i] for row in predictions for i in range(1, 5))
    assert flip_rate(predictions, noise=noise) == pytest.approx(flips / (4 * len(predictions)))


@pytest.mark.parametrize("predictions", [[], [[1]], [1, 2], [[0.5, 1.0]]])
def test_flip_rate_refuses_what_is_no_sequence(predictions: list[object]) -> None:
    with pytest.raises(ValueError, match="integer classes"):
        flip_rate(predictions, noise=False)


def test_an_unknown_sequence_names_the_nearest(images: Tensor) -> None:
    with pytest.raises(UnknownNameError, match="'rotate'"):
        frames_of(images, "rotation")


def test_mce_is_the_mean_of_ratios_of_sums() -> None:
    errors = {"fog": [0.1, 0.3], "snow": [0.5, 0.5]}
    assert mean_corruption_error(errors, errors) == 1
    assert mean_corruption_error(errors, {"fog": [0.4, 0.4], "snow": [1, 1]}) == pytest.approx(0.5)
    assert mean_corruption_error(errors, {"snow": [0.5, 0.5], "fog": [0.2, 0.6]}) == pytest.approx(0.75)
    assert mean_corruption_error(errors) == pytest.approx(0.35)
    assert math.isnan(mean_corruption_error(errors, {"fog": [0, 0], "snow": [1, 1]}))


@pytest.mark.parametrize(
    ("errors", "reference", "message"),
    [
        ({}, None, "at least one"),
        ({"fog": []}, None, "at least one"),
        ({"fog": [0.1], "snow": [0.1, 0.2]}, None, "same severities"),
        ({"fog": [12.0]}, None, "shares"),
        ({"fog": [0.1]}, {"snow": [0.1]}, "same corruptions"),
        ({"fog": [0.1]}, {"fog": [0.1, 0.2]}, "same corruptions"),
    ],
)
def test_mce_refuses_what_does_not_compare(
    errors: dict[str, list[float]], reference: dict[str, list[float]] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mean_corruption_error(errors, reference)
