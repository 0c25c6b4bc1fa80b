"""What every corruption promises, checked for all of them alike."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairart import create, registered
from fairart.corruptions import CORRUPTION_SETS, SEVERITIES, CorruptionWarning, MissingTexturesError
from fairart.corruptions import textures as textures_module

NAMES = CORRUPTION_SETS["all"]
Make = Callable[[str], Any]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quietly(corrupt: Any, x: Tensor, severity: int, seed: int = 0) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorruptionWarning)
        return corrupt(x, severity, generator=seeded(seed))  # type: ignore[no-any-return]


def test_all_nineteen_are_registered() -> None:
    assert len(NAMES) == 19
    assert set(NAMES) <= set(registered("corruption"))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 3), st.sampled_from((1, 3)), st.integers(8, 40), st.integers(8, 40)),
    severity=st.sampled_from(SEVERITIES),
    dtype=st.sampled_from((torch.float32, torch.float64, torch.bfloat16)),
    seed=st.integers(0, 2**32),
)
def test_any_image_gives_an_image_of_its_shape_type_and_range(
    name: str, corruption: Make, shape: tuple[int, ...], severity: int, dtype: torch.dtype, seed: int
) -> None:
    x = torch.rand(shape, generator=seeded(seed)).to(dtype)
    before = x.clone()
    corrupted = quietly(corruption(name), x, severity, seed)
    assert corrupted.shape == x.shape
    assert corrupted.dtype == dtype
    assert bool((corrupted >= 0).all() and (corrupted <= 1).all())
    assert torch.equal(x, before), "the images were changed in place"


@pytest.mark.parametrize("name", NAMES)
def test_black_and_white_images_give_no_nan(name: str, corruption: Make) -> None:
    for plain in (torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)):
        for severity in SEVERITIES:
            assert quietly(corruption(name), plain, severity).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name: str, corruption: Make, images: Tensor) -> None:
    state = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    first = quietly(corruption(name), images[:4], 3, seed=5)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]  # noqa: NPY002
    assert random.getstate() == state[2]
    torch.manual_seed(1)
    assert torch.equal(first, quietly(corruption(name), images[:4], 3, seed=5))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"gaussian_blur", "defocus_blur", "zoom_blur", "contrast", "brightness"}))
def test_randomness_comes_from_the_generator_and_differs_between_images(name: str, corruption: Make, images: Tensor) -> None:
    if name in ("saturate", "pixelate", "jpeg_compression"):
        pytest.skip("nothing is drawn")
    same = images[3:4].repeat(6, 1, 1, 1)
    one, other = (quietly(corruption(name), same, 3, seed) for seed in (1, 2))
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"saturate"}))
def test_grey_images_change_as_colour_images_of_three_equal_channels_do(name: str, corruption: Make, images: Tensor) -> None:
    grey = images.mean(dim=1, keepdim=True)[:20]
    changed = (quietly(corruption(name), grey, 3) - grey).abs().mean().item()
    three = grey.expand(-1, 3, -1, -1).contiguous()
    colour = (quietly(corruption(name), three, 3) - three).abs().mean().item()
    assert changed == pytest.approx(colour, rel=0.15)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"saturate"}))
def test_images_of_eight_pixels_are_changed(name: str, corruption: Make, images: Tensor) -> None:
    small = images[:, :, 8:16, 8:16]
    for severity in SEVERITIES:
        assert quietly(corruption(name), small, severity).sub(small).abs().max() > 2e-3, severity


def test_saturate_leaves_grey_images_and_says_so(images: Tensor) -> None:
    grey = images[:2, :1]
    with pytest.warns(CorruptionWarning, match="no saturation"):
        corrupted = create("corruption", "saturate")(grey, 5, generator=seeded())
    assert torch.equal(corrupted, grey)


@pytest.mark.parametrize(
    ("x", "severity", "error", "message"),
    [
        (torch.zeros(1, 3, 8, 8), 0, ValueError, "1 to 5, got 0"),
        (torch.zeros(1, 3, 8, 8), True, ValueError, "1 to 5, got True"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 1, TypeError, "torch.uint8"),
        (np.zeros((1, 3, 8, 8)), 1, TypeError, "floating point tensor"),
        (torch.zeros(1, 2, 8, 8), 1, ValueError, "1 or 3"),
        (torch.zeros(0, 3, 8, 8), 1, ValueError, "n >= 1"),
        (torch.zeros(3, 8, 8), 1, ValueError, "got shape"),
        (torch.zeros(1, 3, 7, 9), 1, ValueError, "8 x 8 pixels, got 7 x 9"),
        (torch.full((1, 3, 8, 8), 1.5), 1, ValueError, "1.5"),
        (torch.full((1, 3, 8, 8), float("nan")), 1, ValueError, "nan"),
    ],
)
@pytest.mark.parametrize("name", ["gaussian_noise", "frost", "jpeg_compression"])
def test_bad_input_is_refused(name: str, corruption: Make, x: Any, severity: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        corruption(name)(x, severity, generator=seeded())


def test_frost_without_pictures_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, images: Tensor) -> None:
    monkeypatch.setattr(textures_module, "_PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(MissingTexturesError, match=r"a_package_that_nobody_has.*textures"):
        create("corruption", "frost")(images, 1, generator=seeded())
    for folder, message in ((tmp_path / "nowhere", "no folder"), (tmp_path, "no pictures")):
        with pytest.raises(MissingTexturesError, match=message):
            create("corruption", "frost", textures=str(folder))(images, 1, generator=seeded())
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(MissingTexturesError, match=r"broken\.png cannot be read"):
        create("corruption", "frost", textures=str(tmp_path))(images, 1, generator=seeded())


def test_frost_enlarges_pictures_that_are_too_small_and_says_so(textures: str) -> None:
    large = torch.zeros(1, 3, 200, 200)
    with pytest.warns(CorruptionWarning, match="smaller than 5 times 200 x 200"):
        corrupted = create("corruption", "frost", textures=textures)(large, 5, generator=seeded())
    assert corrupted.std() > 0.01
