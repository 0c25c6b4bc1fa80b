"""From an image file to pixels of one size: as it is evaluated, and with a random crop as it is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fairart.datasets.base import DatasetError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Crop", "ImageSource", "ImageView", "UnreadableImageError", "random_box"]

Crop = Literal["none", "centre", "random"]
Pixels = npt.NDArray[np.uint8]

MARGIN = 0.875
"""Side of the centre crop over the shorter side of the resized image, 224 / 256 as usual for ImageNet."""
AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
TRIES = 10
"""The random crop of Szegedy et al. (CVPR 2015), with the figures of torchvision's ``RandomResizedCrop``."""


class Openable(Protocol):
    """An image within a larger file; as a text it says where it is."""

    def open(self) -> IO[bytes]:
        """Its bytes."""
        ...


ImageSource = Path | Openable


class UnreadableImageError(DatasetError):
    """A file is no image, or is damaged; the message names it."""


@dataclass(frozen=True)
class ImageView:
    """How image files are looked at.

    Args:
        size: side in pixels; None takes images as they are.
        crop: ``"none"`` resizes the whole image, ``"centre"`` cuts a square from its middle, ``"random"`` trains on random crops
            and evaluates the centre.
        grey: one channel instead of three.
        shape: (H, W) that every image must have where ``size`` is None; None for any.
    """

    size: int | None = None
    crop: Crop = "none"
    grey: bool = False
    shape: tuple[int, int] | None = None

    @property
    def varies(self) -> bool:
        """Whether an image is cropped anew each time it is trained on."""
        return self.crop == "random"

    def pixels(self, file: ImageSource) -> Pixels:
        """One image as it is evaluated.

        Args:
            file: of the image.

        Returns:
            (C, H, W).

        Raises:
            DatasetError: no image, one that is cut short, of more than 8 bits, or of another shape; the message names it.
        """
        from torchvision.transforms.v2 import functional

        image = self._opened(file)
        if self.size is not None and self.crop == "none":
            image = functional.resize(image, [self.size, self.size]) if image.size != (self.size, self.size) else image
        elif self.size is not None:
            image = functional.resize(image, [round(self.size / MARGIN)])
            image = functional.center_crop(image, [self.size, self.size])
        return self._as_array(image, file)

    def drawn_pixels(self, file: ImageSource, generator: np.random.Generator) -> Pixels:
        """One image as it is trained on; see :meth:`pixels`.

        Args:
            file: of the image.
            generator: of the crop.
        """
        if not self.varies or self.size is None:
            return self.pixels(file)
        from torchvision.transforms.v2 import functional

        image = self._opened(file)
        top, left, height, width = random_box(image.height, image.width, generator)
        image = functional.resized_crop(image, top, left, height, width, [self.size, self.size])
        return self._as_array(image, file)

    def _opened(self, file: ImageSource) -> Image.Image:
        from PIL import Image

        try:
            with Image.open(file if isinstance(file, Path) else file.open()) as opened:
                if opened.mode.startswith(("I", "F")):
                    raise DatasetError(f"{file} has pixels of more than 8 bits (mode {opened.mode}); save it with 8 bits")
                image: Image.Image = opened.convert("L" if self.grey else "RGB")
                return image
        # SyntaxError is what Pillow raises for a damaged PNG.
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise UnreadableImageError(f"{file} cannot be read as an image: {error}") from error

    def _as_array(self, image: Image.Image, file: ImageSource) -> Pixels:
        shape = image.height, image.width
        if self.shape is not None and shape != self.shape:
            raise DatasetError(
                f"{file} has {shape[0]}x{shape[1]} pixels (height x width), the images before it have "
                f"{self.shape[0]}x{self.shape[1]}; set size to resize all"
            )
        pixels = np.asarray(image, dtype=np.uint8)
        return pixels[None] if self.grey else pixels.transpose(2, 0, 1)


def random_box(height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part of an image, drawn as torchvision's ``RandomResizedCrop`` draws it.

    From a generator of its own: torchvision draws from the global random state, which threads and processes cannot share.

    Args:
        height: of the image, in pixels.
        width: of the image.
        generator: random state.
    """
    for _ in range(TRIES):
        area = height * width * generator.uniform(*AREA)
        aspect = math.exp(generator.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            return int(generator.integers(height - high + 1)), int(generator.integers(width - wide + 1)), high, wide
    wide, high = width, height
    if width / height < ASPECT[0]:
        high = round(width / ASPECT[0])
    elif width / height > ASPECT[1]:
        wide = round(height * ASPECT[1])
    return (height - high) // 2, (width - wide) // 2, high, wide
