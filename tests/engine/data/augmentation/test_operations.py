"""Every batched operation against torchvision's kernel, image by image."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from fairart.engine.data.augmentation import automatic
from fairart.engine.data.augmentation.operations import GEOMETRIC, OPERATIONS, Interpolation, apply_operations

NAMES = ("identity", *GEOMETRIC, *OPERATIONS)
# No multiple of a fraction that meets half a pixel: where two pixels are equally near, rounding decides.
MAGNITUDES = {
    "shear-x": (0.27, -0.231),
    "shear-y": (0.11, -0.29),
    "translate-x": (3.7, -2.2),
    "translate-y": (2.0, -5.5),
    "rotate": (29.0, -17.0),
    "posterize": (4.0, 7.0),
    "solarize": (0.3, 1.0),
}


def by_torchvision(image: Tensor, name: str, magnitude: float, interpolation: Interpolation) -> Tensor:
    """One image after one operation, as torchvision's classes call their kernels."""
    mode = InterpolationMode(interpolation)

    def affine(translate: tuple[int, int] = (0, 0), shear: tuple[float, float] = (0.0, 0.0), **options: object) -> Tensor:
        return reference.affine(
            image, angle=0.0, translate=list(translate), scale=1.0, shear=list(shear), interpolation=mode, **options
        )

    degrees = math.degrees(math.atan(magnitude))
    operations: dict[str, Callable[[], Tensor]] = {
        "identity": lambda: image,
        "shear-x": lambda: affine(shear=(degrees, 0.0), center=[0, 0]),
        "shear-y": lambda: affine(shear=(0.0, degrees), center=[0, 0]),
        "translate-x": lambda: affine(translate=(int(magnitude), 0)),
        "translate-y": lambda: affine(translate=(0, int(magnitude))),
        "rotate": lambda: reference.rotate(image, angle=magnitude, interpolation=mode),
        "brightness": lambda: reference.adjust_brightness(image, 1 + magnitude),
        "colour": lambda: reference.adjust_saturation(image, 1 + magnitude),
        "contrast": lambda: reference.adjust_contrast(image, 1 + magnitude),
        "sharpness": lambda: reference.adjust_sharpness(image, 1 + magnitude),
        "posterize": lambda: reference.posterize(image, int(magnitude)),
        "solarize": lambda: reference.solarize(image, magnitude),
        "autocontrast": lambda: reference.autocontrast(image),
        "equalize": lambda: reference.equalize(image),
    }
    return operations[name]()


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 17, 9), (3, 2, 2)], ids=str)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_batch_of_all_operations_is_what_torchvision_makes_of_each_image(
    shape: tuple[int, ...], interpolation: Interpolation
) -> None:
    cases = [(name, magnitude) for name in NAMES for magnitude in MAGNITUDES.get(name, (0.45, -0.9))]
    x = torch.rand(len(cases), *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chosen = torch.tensor([NAMES.index(name) for name, _ in cases])
    magnitudes = torch.tensor([magnitude for _, magnitude in cases], dtype=torch.float64)
    before = x.clone()
    made = apply_operations(x, NAMES, chosen, magnitudes, interpolation=interpolation)
    assert torch.equal(x, before)
    for image, result, (name, magnitude) in zip(x, made, cases, strict=True):
        expected = by_torchvision(image, name, magnitude, interpolation)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-9, msg=f"{name} {magnitude}")


SPACES = [
    (automatic.RAND_AUGMENT, v2.RandAugment._AUGMENTATION_SPACE, 31),
    (automatic.TRIVIAL_AUGMENT, v2.TrivialAugmentWide._AUGMENTATION_SPACE, 31),
    (automatic.AUG_MIX, v2.AugMix._AUGMENTATION_SPACE, 10),
]
THEIRS = {"colour": "Color", "autocontrast": "AutoContrast", "shear-x": "ShearX", "shear-y": "ShearY"}
THEIRS |= {"translate-x": "TranslateX", "translate-y": "TranslateY"}


@pytest.mark.parametrize(("mine", "theirs", "levels"), SPACES, ids=["randaugment", "trivialaugment", "augmix"])
def test_operations_and_their_magnitudes_are_those_of_torchvision(mine, theirs, levels) -> None:  # type: ignore[no-untyped-def]
    named = {THEIRS.get(name, name.capitalize()): (name, scale) for name, scale in mine.items()}
    assert named.keys() == theirs.keys()
    for their_name, (name, scale) in named.items():
        magnitudes, signed = theirs[their_name]
        expected = magnitudes(levels, 40, 48)
        assert signed == (name in automatic.SIGNED)
        if expected is not None:
            torch.testing.assert_close(scale(levels, 40, 48), expected.float())
