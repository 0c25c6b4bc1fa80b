from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from fairart import create
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


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"embed_dim": 128, "num_heads": 4}, "xcit_nano_12_p8_224"),
        ({"embed_dim": 192, "num_heads": 4}, "xcit_tiny_12_p8_224"),
        ({"embed_dim": 192, "num_heads": 4, "depth": 24}, "xcit_tiny_24_p8_224"),
    ],
)
def test_other_sizes_are_those_of_timm(options: dict[str, int], name: str):
    timm = pytest.importorskip("timm")
    ours = xcit_s12(input_shape=(3, 32, 32), nb_classes=10, **options)
    theirs = timm.create_model(name, pretrained=False, num_classes=10)
    shapes = {key: value.shape for key, value in ours.state_dict().items()}
    assert shapes == {key: value.shape for key, value in theirs.state_dict().items()}
    assert [block.attn.num_heads for block in ours.blocks] == [block.attn.num_heads for block in theirs.blocks]  # type: ignore[union-attr]
    # LayerScale starts at 1 with 12 layers and at 1e-5 with 24.
    for block, other in zip(ours.blocks, theirs.blocks, strict=True):  # type: ignore[arg-type]
        assert torch.equal(block.gamma1, other.gamma1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embed_dim": 100}, "embed_dim must be a multiple of num_heads, got 100 and 8"),
        ({"num_heads": 5}, "embed_dim must be a multiple of num_heads, got 384 and 5"),
        ({"embed_dim": 0}, "embed_dim must be >= 4, got 0"),
        ({"depth": 0}, "depth must be >= 1, got 0"),
        ({"num_heads": 0}, "num_heads must be >= 1, got 0"),
        ({"depth": 2.5}, r"depth expects int, got 2\.5"),
    ],
)
def test_a_size_that_does_not_exist_is_refused(options: dict[str, float], message: str):
    # Before timm is looked for: this test needs no extra.
    with pytest.raises(OptionError, match=f"model 'xcit-s12': {message}"):
        create("model", "xcit-s12", input_shape=(3, 32, 32), nb_classes=10, **options)


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
