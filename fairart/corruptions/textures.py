"""Pictures of frost: where they come from, and random pieces of them."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairart.corruptions.common import CorruptionWarning

__all__ = ["MissingTexturesError", "load_textures", "random_crops"]

_PACKAGE = "imagecorruptions"
# The authors ship six pictures and draw from the first five.
_PUBLISHED = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
_ENDINGS = frozenset({".png", ".jpg", ".jpeg"})
_SHRINK = 5


class MissingTexturesError(FileNotFoundError):
    """There are no pictures to make frost of."""


def load_textures(folder: str | None) -> tuple[Tensor, ...]:
    """Read the pictures once.

    Args:
        folder: of .png and .jpg files, or None for those of the package imagecorruptions.

    Returns:
        Tensors (3, h, w) uint8 on the CPU, at full size, in the order of the file names.

    Raises:
        MissingTexturesError: no package, no folder, no pictures in it, or one that cannot be read.
    """
    files = _files_of_package() if folder is None else _files_of_folder(Path(folder).expanduser())
    return _read(files)


def _files_of_package() -> tuple[Path, ...]:
    # Found, not imported: its module asks for OpenCV, of which the pictures have no need.
    spec = importlib.util.find_spec(_PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    for place in places:
        files = tuple(Path(place) / "frost" / name for name in _PUBLISHED)
        if all(file.is_file() for file in files):
            return files
    raise MissingTexturesError(
        f"frost needs pictures of frost: install the package {_PACKAGE} (pip install 'fairart[frost]'), or set the option "
        "textures to a folder of .png or .jpg files, or leave frost out"
    )


def _files_of_folder(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise MissingTexturesError(f"frost: there is no folder {folder}")
    files = tuple(sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS and file.name[0] != "."))
    if not files:
        raise MissingTexturesError(f"frost: folder {folder} has no pictures ({', '.join(sorted(_ENDINGS))})")
    return files


@functools.lru_cache(maxsize=4)
def _read(files: tuple[Path, ...]) -> tuple[Tensor, ...]:
    from PIL import Image

    textures = []
    for file in files:
        try:
            with Image.open(file) as opened:
                pixels = np.array(opened.convert("RGB"))
        except (OSError, SyntaxError) as error:  # the latter is what Pillow raises for a damaged PNG
            raise MissingTexturesError(f"frost: {file} cannot be read as a picture: {error}") from error
        textures.append(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
    return tuple(textures)


def random_crops(textures: tuple[Tensor, ...], number: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Random pieces of random pictures.

    Pictures are first shrunk to a fifth by taking every fifth pixel, which is what bilinear resizing without antialiasing
    comes to; where that would be smaller than the images, they are resized to one pixel more than these.

    Args:
        textures: (3, h, w) uint8 each.
        number: n.
        height: H in pixels.
        width: W in pixels.
        generator: which picture, and where.

    Returns:
        (n, 3, H, W) float32 in [0, 1] on the CPU.
    """
    shrunk = [_shrink(texture, height, width) for texture in textures]
    if any(enlarged for _, enlarged in shrunk):
        warnings.warn(
            f"frost: some pictures are smaller than {_SHRINK} times {height} x {width} pixels and are taken larger than a fifth",
            CorruptionWarning,
            stacklevel=3,
        )
    drawn = torch.rand(3, number, generator=generator, device=generator.device, dtype=torch.float64).cpu()
    which = (drawn[0] * len(shrunk)).long()
    pieces = torch.empty(number, 3, height, width)
    for index, (texture, _) in enumerate(shrunk):
        chosen = (which == index).nonzero()[:, 0]
        tops = (drawn[1, chosen] * (texture.shape[1] - height)).long()[:, None] + torch.arange(height)
        lefts = (drawn[2, chosen] * (texture.shape[2] - width)).long()[:, None] + torch.arange(width)
        pieces[chosen] = texture[:, tops[:, :, None], lefts[:, None, :]].permute(1, 0, 2, 3)
    return pieces


def _shrink(texture: Tensor, height: int, width: int) -> tuple[Tensor, bool]:
    small = texture[:, _SHRINK // 2 :: _SHRINK, _SHRINK // 2 :: _SHRINK].float() / 255
    if small.shape[1] > height and small.shape[2] > width:
        return small, False
    factor = max((height + 1) / texture.shape[1], (width + 1) / texture.shape[2])
    size = [max(height + 1, round(texture.shape[1] * factor)), max(width + 1, round(texture.shape[2] * factor))]
    resized = torch.nn.functional.interpolate(texture[None].float() / 255, size, mode="bilinear", antialias=True)
    return resized[0].clamp(0, 1), True
