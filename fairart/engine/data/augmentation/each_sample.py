"""Any transform of torchvision as an augmentation: applied to every image by itself, with a seed of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fairart import draws
from fairart.engine.data.augmentation.base import Augmentation
from fairart.errors import PolicyError

__all__ = ["EachSample"]

SEEDS = 2**62


class EachSample(Augmentation):
    """A transform of one image, such as those of ``torchvision.transforms.v2``, applied image by image.

    Such transforms draw from torch's global random state. It is seeded anew for every image, by a seed drawn for the whole batch,
    and put back afterwards. Slower than the batched augmentations: one call an image, and one read of the seeds a batch.

    Args:
        transform: (C, H, W) image with values in [0, 1] -> image of the same shape.
    """

    unit_range = True

    def __init__(self, transform: Callable[[Tensor], Tensor]) -> None:
        self.transform = transform

    @property
    def name(self) -> str:
        """What transform it is, with its settings where it shows them."""
        return " ".join(repr(self.transform).split())

    def images(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Each image, transformed."""
        seeds = draws.randint(SEEDS, (len(x),), generator=generator, device=x.device).tolist()
        made: list[Tensor] = []
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            for image, seed in zip(x, seeds, strict=True):
                torch.default_generator.manual_seed(seed)
                if x.is_cuda:
                    torch.cuda.manual_seed(seed)
                made.append(self._checked(self.transform(image.clone()), image))
        return torch.stack(made)

    def _checked(self, result: object, image: Tensor) -> Tensor:
        if not isinstance(result, Tensor) or result.shape != image.shape or result.dtype != image.dtype:
            came = f"{tuple(result.shape)} {result.dtype}" if isinstance(result, Tensor) else f"a {type(result).__name__}"
            raise PolicyError(f"augmentation {self.name}: expected an image {tuple(image.shape)} {image.dtype}, got {came}")
        return torch.Tensor.as_subclass(result, Tensor)
