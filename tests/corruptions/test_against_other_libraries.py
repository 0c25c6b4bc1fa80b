"""Every corruption in its statistics against OpenCV, scikit-image, scipy, Pillow and imagecorruptions.

Their figures were made by benchmarks/corruption_reference.py at the same parameters on the same images.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fairart.corruptions import CORRUPTION_SETS, SEVERITIES

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "corruption_reference.json").read_text())["severities"]
GROWING = (
    *("gaussian_noise", "shot_noise", "speckle_noise", "impulse_noise"),
    *("gaussian_blur", "defocus_blur", "zoom_blur", "fog", "contrast", "brightness", "pixelate", "jpeg_compression"),
)
NOTHING_DRAWN = {
    "gaussian_blur",
    "defocus_blur",
    "zoom_blur",
    "contrast",
    "brightness",
    "saturate",
    "pixelate",
    "jpeg_compression",
}


def changes(corrupt: Any, images: Tensor, severity: int, repetitions: int) -> Tensor:
    many = images.repeat(repetitions, 1, 1, 1)
    return (corrupt(many, severity, generator=torch.Generator().manual_seed(severity)) - many).abs()


def test_the_reference_covers_every_corruption() -> None:
    assert set(REFERENCE) == set(CORRUPTION_SETS["all"])


@pytest.mark.parametrize("name", CORRUPTION_SETS["all"])
def test_mean_and_spread_of_the_change_are_those_of_other_libraries(
    name: str, corruption: Callable[[str], Any], images: Tensor
) -> None:
    # Without randomness only rounding can differ.
    tolerance, repetitions = (0.01, 1) if name in NOTHING_DRAWN else (0.1, 20)
    for severity, (mean, spread) in zip(SEVERITIES, REFERENCE[name], strict=True):
        change = changes(corruption(name), images, severity, repetitions)
        assert change.mean().item() == pytest.approx(mean, rel=tolerance), severity
        assert change.std().item() == pytest.approx(spread, rel=tolerance), severity


@pytest.mark.parametrize("name", GROWING)
def test_every_severity_changes_images_more(name: str, corruption: Callable[[str], Any], images: Tensor) -> None:
    means = [changes(corruption(name), images, severity, 8).mean().item() for severity in SEVERITIES]
    assert means == sorted(means)
    assert means[0] > 0
    assert len(set(means)) == len(SEVERITIES)


def test_motion_blur_grows_from_no_severity_to_a_lower_change(corruption: Callable[[str], Any], images: Tensor) -> None:
    # Severity 4 lengthens the line of severity 3 to where it weighs nothing: equal in truth, so up to the angles drawn.
    means = [changes(corruption("motion_blur"), images, severity, 20).mean().item() for severity in SEVERITIES]
    assert all(later > 0.95 * earlier for earlier, later in itertools.pairwise(means))
    assert means[4] > 1.1 * means[2] > 1.2 * means[0]
