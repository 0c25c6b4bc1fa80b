"""XCiT-S12 for small images: timm's network with a finer patch embedding."""

from __future__ import annotations

import math
from typing import Annotated, Any

from torch import nn

from fairart.errors import OptionError
from fairart.models._arguments import InputShape, NbClasses, checked_shape
from fairart.plugins.options import Option

__all__ = ["xcit_s12"]

_TIMM_NAME = "xcit_small_12_p8_224"
_TIMM_PATCH = 8

_SHALLOW = 18  # layers; the published networks have 12 or 24, and the border between their two rules is ours
_ETA_SHALLOW, _ETA_DEEP = 1.0, 1e-5  # start of LayerScale in the published networks of 12 and of 24 layers


def xcit_s12(
    *,
    input_shape: InputShape,
    nb_classes: NbClasses,
    patch_size: Annotated[int, Option("side of a patch in pixels, a divisor of H and W", choices=(1, 2, 4, 8))] = 4,
    embed_dim: Annotated[int, Option("features of a token, a multiple of num_heads", low=4)] = 384,
    depth: Annotated[int, Option("layers of cross-covariance attention, before the two of class attention", low=1)] = 12,
    num_heads: Annotated[int, Option("attention heads of each layer, a divisor of embed_dim", low=1)] = 8,
    drop_path: Annotated[float, Option("probability of dropping a branch (stochastic depth)", low=0, high=0.9)] = 0.0,
) -> nn.Module:
    """XCiT-S12, a transformer of 26 million parameters, or another size; needs timm (``pip install "fairart[xcit]"``).

    timm knows patches of 8 and 16 pixels, which leave 16 tokens or fewer of a CIFAR image. As robust XCiTs for small images
    do, the first strides of the convolutional patch embedding are set to 1; the weights keep their shapes.

    Args:
        input_shape: (C, H, W), H and W multiples of ``patch_size``, from 8 up.
        nb_classes: number of classes K, from 2 up.
        patch_size: 1, 2, 4 or 8 pixels; 4 gives 64 tokens of a 32x32 image.
        embed_dim: features of a token, from 4 up and a multiple of ``num_heads``; 128 in XCiT-N12, 192 in XCiT-T12.
        depth: layers of cross-covariance attention, from 1 up; 24 in XCiT-S24. Two layers of class attention follow.
        num_heads: attention heads of each layer, from 1 up; 4 in XCiT-N12 and XCiT-T12.
        drop_path: probability of stochastic depth, 0..0.9.

    Returns:
        A module from (N, C, H, W) to logits (N, K), from random weights, without normalisation inside.

    Raises:
        OptionError: an argument is of the wrong type or outside its range, the patches do not tile the image, or the heads do not
            divide the features.
        ImportError: timm is missing.

    ``fairart train`` trains it by the recipe of the first source: AdamW, learning rate 0.0005 / 512 for each image of a batch,
    weight decay 0.05, five epochs of warm-up, then a cosine to 0. The second source has a recipe for robust training.

    The factors that scale each branch (LayerScale) start at 1 in networks of up to 18 layers and at 1e-5 in deeper ones. The
    first source gives 1 for 12 layers and 1e-5 for 24; the border between them is ours.

    Source: El-Nouby et al., XCiT, arXiv:2106.09681; finer patches as in Debenedetti et al., A Light Recipe to Train Robust
    Vision Transformers, arXiv:2209.07399.
    """
    channels, height, width = checked_shape(
        xcit_s12,
        "xcit-s12",
        min_side=8,
        input_shape=input_shape,
        nb_classes=nb_classes,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        drop_path=drop_path,
    )
    if embed_dim % num_heads:
        raise OptionError(f"model 'xcit-s12': embed_dim must be a multiple of num_heads, got {embed_dim} and {num_heads}")
    if height % patch_size or width % patch_size:
        raise OptionError(f"model 'xcit-s12': patch_size {patch_size} does not divide the image of {height}x{width} pixels")
    timm = _timm()
    model: nn.Module = timm.create_model(
        _TIMM_NAME,
        pretrained=False,
        in_chans=channels,
        num_classes=nb_classes,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        eta=_ETA_SHALLOW if depth <= _SHALLOW else _ETA_DEEP,
        drop_path_rate=drop_path,
        # timm counts tokens with patches of 8: the same number of tokens, seen by its own measure.
        img_size=(height // patch_size * _TIMM_PATCH, width // patch_size * _TIMM_PATCH),
    )
    _refine_patches(model, patch_size, (height, width))
    return model


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ImportError("model 'xcit-s12' needs timm: pip install \"fairart[xcit]\"") from error
    return timm


def _refine_patches(model: nn.Module, patch_size: int, image_size: tuple[int, int]) -> None:
    """Turn the first strides of the patch embedding from 2 to 1, until a token covers ``patch_size`` pixels."""
    embedding: Any = model.patch_embed
    convolutions = [module for module in embedding.proj.modules() if isinstance(module, nn.Conv2d)]
    for convolution in convolutions[: int(math.log2(_TIMM_PATCH // patch_size))]:
        convolution.stride = (1, 1)
    embedding.patch_size, embedding.img_size = patch_size, image_size
