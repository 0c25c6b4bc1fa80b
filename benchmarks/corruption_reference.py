"""Makes tests/data/corruption_reference.json: what other libraries' corruptions do to images that everybody has.

Every corruption is put together from OpenCV, scikit-image, scipy, Pillow and the helpers of imagecorruptions, one image at a
time, at the parameters of CIFAR-10-C, on tiles of the two photographs that scikit-learn ships. Written down are the mean
absolute change and the standard deviation of the absolute change, over all values, images and repetitions.

    pip install imagecorruptions scikit-image opencv-python-headless
    python benchmarks/corruption_reference.py tests/data/corruption_reference.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import types
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.color
import skimage.filters
import skimage.util
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_images

REPETITIONS = 20
FIXED = {"gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "saturate", "pixelate", "jpeg_compression"}
Array = np.ndarray[Any, Any]


def imagecorruptions() -> Any:
    """The package, which asks for names that numpy, scipy and setuptools have dropped."""
    vars(np)["float_"] = np.float64
    if "pkg_resources" not in sys.modules:
        stand_in = types.ModuleType("pkg_resources")
        stand_in.resource_filename = lambda name, path: str(Path(sys.modules[name].__file__).parent / path)  # type: ignore
        sys.modules["pkg_resources"] = stand_in
    if not hasattr(ndimage, "interpolation"):
        sys.modules["scipy.ndimage.interpolation"] = ndimage
    import imagecorruptions.corruptions as module

    # What scikit-image calls the axis of the colours has changed.
    module.gaussian = lambda image, sigma, multichannel=None, **rest: skimage.filters.gaussian(
        image, sigma=sigma, channel_axis=-1 if multichannel else None, **rest
    )
    return module


def tiles() -> Array:
    """(30, 32, 32, 3) uint8: two photographs at a quarter of their size, cut up."""
    found = []
    for photograph in load_sample_images().images:
        rows, columns = (side // 4 // 32 for side in photograph.shape[:2])
        used = photograph[: rows * 128, : columns * 128].reshape(rows * 32, 4, columns * 32, 4, 3).mean(axis=(1, 3))
        found.append(used.reshape(rows, 32, columns, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3))
    return np.concatenate(found).round().astype(np.uint8)


def texture() -> Array:
    """A picture in place of frost that everybody has: the first photograph, as (h, w, 3) uint8."""
    return np.asarray(load_sample_images().images[0])


def zoomed(image: Array, factor: float) -> Array:
    side = image.shape[0]
    crop = int(np.ceil(side / factor))
    first = (side - crop) // 2
    large = ndimage.zoom(image[first : first + crop, first : first + crop], (factor, factor, 1), order=1)
    trim = (large.shape[0] - side) // 2
    return large[trim : trim + side, trim : trim + side]


def glass(image: Array, random: np.random.Generator, sigma: float, reach: int, rounds: int) -> Array:
    blur = partial(skimage.filters.gaussian, sigma=sigma, channel_axis=-1)
    moved = (blur(image) * 255 + 1e-9).astype(np.uint8)
    for _ in range(rounds):
        for row in range(32 - reach, reach, -1):
            for column in range(32 - reach, reach, -1):
                right, down = random.integers(-reach, reach, 2)
                # With numpy's views the program's exchange is this copy.
                moved[row, column] = moved[row + down, column + right]
    return blur(moved / 255)


def hsv(image: Array, channel: int, factor: float, added: float) -> Array:
    space = skimage.color.rgb2hsv(image)
    space[..., channel] = np.clip(space[..., channel] * factor + added, 0, 1)
    return skimage.color.hsv2rgb(space)


def defocus(image: Array, kernel: Array) -> Array:
    return np.dstack([cv2.filter2D(np.ascontiguousarray(image[..., c]), -1, kernel) for c in range(3)])


def snowy(image: Array, random: np.random.Generator, module: Any, *options: float) -> Array:
    mean, spread, zoom, threshold, radius, sigma, kept = options
    flakes = zoomed(random.normal(mean, spread, (32, 32, 1)), zoom)
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)[..., 0]
    flakes = module._motion_blur(flakes, radius=int(radius), sigma=sigma, angle=random.uniform(-135, -45))[..., None]
    pale = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)[..., None] * 1.5 + 0.5
    return kept * image + (1 - kept) * np.maximum(image, pale) + flakes + np.rot90(flakes, 2)


def foggy(image: Array, random: np.random.Generator, module: Any, amount: float, decay: float) -> Array:
    np.random.seed(random.integers(2**31))  # noqa: NPY002  # the package draws from the global state
    clouds = module.plasma_fractal(mapsize=32, wibbledecay=decay)[..., None]
    return (image + amount * clouds) * image.max() / (image.max() + amount)


def frosty(image: Array, random: np.random.Generator, kept: float, added: float) -> Array:
    small = cv2.resize(texture(), (0, 0), fx=0.2, fy=0.2)
    top, left = (random.integers(side - 32) for side in small.shape[:2])
    return kept * image + added * small[top : top + 32, left : left + 32] / 255


def spattered(image: Array, random: np.random.Generator, *options: float) -> Array:
    mean, spread, blur, threshold, strength, mud = options
    liquid = skimage.filters.gaussian(random.normal(mean, spread, (32, 32)), sigma=blur)
    liquid[liquid < threshold] = 0
    if mud:
        drops = skimage.filters.gaussian((liquid > threshold).astype(np.float32), sigma=strength)[..., None]
        drops[drops < 0.8] = 0
        return image * (1 - drops) + drops * np.array([63, 42, 20]) / 255
    grey = (liquid * 255).astype(np.uint8)
    far = cv2.distanceTransform(255 - cv2.Canny(grey, 50, 150), cv2.DIST_L2, 5)
    far = cv2.blur(np.minimum(far, 20), (3, 3)).astype(np.uint8)
    relief = cv2.filter2D(cv2.equalizeHist(far), cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    shine = grey * cv2.blur(relief, (3, 3)).astype(np.float32)
    shine = shine / max(shine.max(), 1e-12) * strength
    return image + shine[..., None] * np.array([175, 238, 238]) / 255


def elastic(image: Array, random: np.random.Generator, length: float, smoothing: float, shift: float) -> Array:
    corners = np.float32([[26, 26], [26, 6], [6, 6]])
    moved = corners + random.uniform(-32 * shift, 32 * shift, (3, 2)).astype(np.float32)
    matrix = cv2.getAffineTransform(corners, moved)
    image = cv2.warpAffine(image.astype(np.float32), matrix, (32, 32), borderMode=cv2.BORDER_REFLECT_101)
    rows, columns = np.mgrid[:32, :32].astype(np.float64)
    if length:
        smooth = partial(skimage.filters.gaussian, sigma=32 * smoothing, mode="reflect", truncate=3)
        rows += 32 * length * smooth(random.uniform(-1, 1, (32, 32)))
        columns += 32 * length * smooth(random.uniform(-1, 1, (32, 32)))
    channels = [ndimage.map_coordinates(image[..., c], (rows, columns), order=1, mode="reflect") for c in range(3)]
    return np.dstack(channels)


def pixelated(image: Array, scale: float) -> Array:
    side = int(32 * scale)
    small = Image.fromarray(np.uint8(image * 255 + 0.5)).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.resize((32, 32), Image.Resampling.BOX)) / 255


def through_jpeg(image: Array, quality: int) -> Array:
    file = BytesIO()
    Image.fromarray(np.uint8(image * 255 + 0.5)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255


def makers(random: np.random.Generator) -> dict[str, list[Callable[[Array], Array]]]:
    """name -> five functions of one image (32, 32, 3) in [0, 1]."""
    module = imagecorruptions()
    kernels = [module.disk(r, s) for r, s in ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))]
    zooms = [[1 + step / 100 for step in range(last + 1)] for last in (5, 10, 15, 20, 25)]
    motions = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))
    snows = (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    )
    drops = (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    )
    fogs = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))
    frosts = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
    sheets = ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
    panes = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
    colours = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))
    return {
        "gaussian_noise": [lambda x, s=s: x + random.normal(0, s, x.shape) for s in (0.04, 0.06, 0.08, 0.09, 0.1)],
        "shot_noise": [lambda x, r=r: random.poisson(x * r) / r for r in (500, 250, 100, 75, 50)],
        "impulse_noise": [
            lambda x, p=p: skimage.util.random_noise(x, mode="s&p", amount=p, rng=random) for p in (0.01, 0.02, 0.03, 0.05, 0.07)
        ],
        "speckle_noise": [lambda x, s=s: x + x * random.normal(0, s, x.shape) for s in (0.06, 0.1, 0.12, 0.16, 0.2)],
        "gaussian_blur": [partial(skimage.filters.gaussian, sigma=s, channel_axis=-1) for s in (0.4, 0.6, 0.7, 0.8, 1)],
        "glass_blur": [lambda x, o=o: glass(x, random, *o) for o in panes],
        "defocus_blur": [partial(defocus, kernel=kernel) for kernel in kernels],
        "motion_blur": [
            lambda x, r=r, s=s: module._motion_blur(x, radius=r, sigma=s, angle=random.uniform(-45, 45)) for r, s in motions
        ],
        "zoom_blur": [lambda x, zs=zs: (x + sum(zoomed(x, z) for z in zs)) / (len(zs) + 1) for zs in zooms],
        "snow": [lambda x, o=o: snowy(x, random, module, *o) for o in snows],
        "fog": [lambda x, o=o: foggy(x, random, module, *o) for o in fogs],
        "frost": [lambda x, o=o: frosty(x, random, *o) for o in frosts],
        "spatter": [lambda x, o=o: spattered(x, random, *o) for o in drops],
        "brightness": [partial(hsv, channel=2, factor=1, added=c) for c in (0.05, 0.1, 0.15, 0.2, 0.3)],
        "saturate": [partial(hsv, channel=1, factor=f, added=a) for f, a in colours],
        "contrast": [lambda x, c=c: (x - x.mean(axis=(0, 1))) * c + x.mean(axis=(0, 1)) for c in (0.75, 0.5, 0.4, 0.3, 0.15)],
        "elastic_transform": [lambda x, o=o: elastic(x, random, *o) for o in sheets],
        "pixelate": [partial(pixelated, scale=s) for s in (0.95, 0.9, 0.85, 0.75, 0.65)],
        "jpeg_compression": [partial(through_jpeg, quality=q) for q in (80, 65, 58, 50, 40)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    images = tiles().astype(np.float64) / 255
    table = {}
    for name, functions in makers(np.random.default_rng(0)).items():
        rows = []
        for corrupt in functions:
            repeated = range(1 if name in FIXED else REPETITIONS)
            changes = np.stack([np.abs(np.clip(corrupt(image.copy()), 0, 1) - image) for _ in repeated for image in images])
            rows.append([round(float(changes.mean()), 6), round(float(changes.std()), 6)])
        table[name] = rows
        print(f"{name:18}", *(f"{mean:.4f} +- {spread:.4f}" for mean, spread in rows))
    packages = ("imagecorruptions", "scikit-image", "opencv-python-headless", "scipy", "numpy", "Pillow")
    versions = {package: importlib.metadata.version(package) for package in packages}
    columns = ["mean absolute change", "standard deviation of the absolute change"]
    output.write_text(json.dumps({"versions": versions, "columns": columns, "severities": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
