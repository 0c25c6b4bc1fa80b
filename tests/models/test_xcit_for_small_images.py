from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from fairart.errors import OptionError
from fairart.models.xcit import xcit_s12


def tokens(model: nn.Module, side: int) -> tuple[int, int]:
    with torch.no_grad():
        _, grid = model.patch_embed.eval()(torch.rand(1, 3, side, side))  # type: ignore[operator, union-attr]
    return tuple(grid)


@pytest.mark.parametrize(("patch_size", "side", "grid"), [(4, 32, 8), (4, 28, 7), (2, 8, 4), (8, 64, 8), (1, 8, 8)])
def test_a_token_covers_patch_size_pixels(patch_size: int, side: int, grid: int):
    pytest.importorskip("timm")
    model = xcit_s12(input_shape=(3, side, side), nb_classes=10, patch_size=patch_size)
    assert tokens(model, side) == (grid, grid)
    assert model.patch_embed.num_patches == grid**2
    assert model.patch_embed.patch_size == patch_size


def test_it_is_timms_small_network_of_12_layers():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        ours = xcit_s12(input_shape=(3, 32, 32), nb_classes=10)
        theirs = timm.create_model("xcit_small_12_p8_224", pretrained=False, num_classes=10)
    shapes = {name: parameter.shape for name, parameter in ours.named_parameters()}
    assert shapes == {name: parameter.shape for name, parameter in theirs.named_parameters()}
    assert sum(parameter.numel() for parameter in ours.parameters()) == pytest.approx(26e6, rel=0.02)


def test_stochastic_depth_is_handed_on():
    pytest.importorskip("timm")
    from timm.layers import DropPath

    with torch.device("meta"):
        model = xcit_s12(input_shape=(3, 32, 32), nb_classes=10, drop_path=0.3)
    assert {module.drop_prob for module in model.modules() if isinstance(module, DropPath)} == {0.3}


@pytest.mark.parametrize(("shape", "patch_size"), [((3, 30, 32), 4), ((3, 32, 31), 4), ((3, 28, 28), 8)])
def test_patches_must_tile_the_image(shape: tuple[int, int, int], patch_size: int):
    with pytest.raises(OptionError, match=f"patch_size {patch_size} does not divide the image of {shape[1]}x{shape[2]}"):
        xcit_s12(input_shape=shape, nb_classes=10, patch_size=patch_size)


def test_other_patch_sizes_are_refused():
    with pytest.raises(OptionError, match="model 'xcit-s12': patch_size expects one of"):
        xcit_s12(input_shape=(3, 32, 32), nb_classes=10, patch_size=3)


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python itself does to forbid an import
    with pytest.raises(ImportError, match=r'needs timm: pip install "fairart\[xcit\]"'):
        xcit_s12(input_shape=(3, 32, 32), nb_classes=10)
