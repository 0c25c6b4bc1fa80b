"""The check of augmentations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fairart.draws import Part, PartGenerator
from fairart.engine.data.augmentation import Augmentation, Mixing
from fairart.errors import OptionError
from fairart.objectives.answers import checked_images
from fairart.testing.rules import expect, global_random_state, require, same_rules

__all__ = ["check_augmentation"]

SHAPES = ((1, 8, 8), (3, 12, 10), (3, 32, 32))
BATCH = 7
PARTS = (Part(0, 3, BATCH), Part(3, BATCH, BATCH))


def check_augmentation(augmentation: Augmentation) -> None:
    """Check that an augmentation keeps the rules, on grey and colour images, in single and double precision, and a batch of one.

    Args:
        augmentation: the augmentation.

    Raises:
        AssertionError: images of another shape or type, outside [0, 1], or changed in place; draws that do not come from the
            generator, or that are not one row a sample, so that two processes would draw others than one; for a
            :class:`~fairart.engine.data.augmentation.Mixing` rows outside the batch or shares outside [0, 1].
    """
    expect(augmentation, Augmentation)
    name = type(augmentation).__name__
    tried = 0
    for shape in SHAPES:
        try:
            augmentation.check(shape)
        except OptionError:
            continue
        tried += 1
        for number, dtype in ((BATCH, torch.float32), (1, torch.float32), (BATCH, torch.float64)):
            x = torch.rand(number, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
            if isinstance(augmentation, Mixing):
                _check_mixing(name, augmentation, x)
            else:
                _check_draws(name, augmentation, lambda generator, x=x: (augmentation.images(x, generator),), x)  # type: ignore[misc]
                if number == BATCH:
                    _check_parts(name, augmentation, x)
    require(tried > 0, f"{name}: check() refuses images of every shape that was tried: {', '.join(map(str, SHAPES))}")


def _check_draws(
    name: str, augmentation: Augmentation, made: Callable[[torch.Generator], tuple[Tensor, ...]], x: Tensor
) -> tuple[Tensor, ...]:
    """Images as they should be, and the same again from the same state of the generator, whatever the global one is."""
    before, untouched = x.clone(), global_random_state()
    first = made(torch.Generator().manual_seed(2))
    with same_rules():
        images = checked_images(made, first[0], x)
    require(images.dtype == x.dtype, f"{name}: expected images of type {x.dtype}, got {images.dtype}")
    require(bool(torch.isfinite(images).all()), f"{name}: images must be finite")
    inside = bool((images >= 0).all() and (images <= 1).all()) or getattr(augmentation, "leaves_range", False)
    require(inside, f"{name}: images with values in [0, 1] must stay there, or leaves_range be True")
    require(torch.equal(x, before), f"{name}: the given images must not be changed in place")
    require(untouched(), f"{name}: torch's and numpy's global random states must stay as they are: draw from the generator")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(77)
        again = made(torch.Generator().manual_seed(2))
    same = all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    require(same, f"{name}: the same state of the generator must give the same images")
    return first


def _check_parts(name: str, augmentation: Augmentation, x: Tensor) -> None:
    whole = PartGenerator()
    whole.manual_seed(3)
    expected = augmentation.images(x, whole)
    for part in PARTS:
        generator = PartGenerator()
        generator.manual_seed(3)
        generator.part = part
        mine = augmentation.images(x[part.first : part.stop], generator)
        alike = torch.allclose(mine, expected[part.first : part.stop], rtol=0, atol=1e-5)
        alike = alike and torch.equal(generator.get_state(), whole.get_state())
        require(
            alike,
            f"{name}: a part of a batch must get the draws of its rows in the whole: draw by fairart.draws, one row a sample",
        )


def _check_mixing(name: str, mixing: Mixing, x: Tensor) -> None:
    _, partner, share = _check_draws(name, mixing, lambda generator: mixing.mixed(x, generator), x)
    number = (len(x),)
    rows = partner.shape == number and partner.dtype == torch.int64 and bool(((partner >= 0) & (partner < len(x))).all())
    require(rows, f"{name}: mixed() must give the row of each one's partner, (n,) int64 in [0, n)")
    shares = share.shape == number and share.is_floating_point() and bool(((share >= 0) & (share <= 1)).all())
    require(shares, f"{name}: mixed() must give shares of the own label, (n,) floating-point in [0, 1]")
