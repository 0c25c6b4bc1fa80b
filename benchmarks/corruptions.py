"""Images a second of all 19 corruptions at all 5 severities, beside imagecorruptions in the same run.

Both are run in turns, corruption by corruption and severity by severity, so that a busy machine slows both. The package takes
images of 32 pixels and more, one at a time and at ImageNet's parameters; it is timed on the same CIFAR-sized images, and on the
digits enlarged to 32 pixels. Times of fewer images (--reference-images) are scaled up. Functions of the package that newer
numpy and scikit-image broke are mended as benchmarks/corruption_reference.py does.

    pip install imagecorruptions scikit-image opencv-python-headless
    python benchmarks/corruptions.py --output corruptions.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corruption_reference import imagecorruptions
from sklearn.datasets import load_digits, load_sample_images

from fairart import create
from fairart.evaluation.corruptions import CORRUPTION_SETS, SEVERITIES

NUMBER = 1000
clock = time.perf_counter


def cifar_sized() -> np.ndarray[Any, Any]:
    """(1000, 32, 32, 3) uint8: pieces of photographs that everybody has."""
    random = np.random.default_rng(0)
    photographs = load_sample_images().images
    places = [(random.integers(2), random.integers(427 - 32), random.integers(640 - 32)) for _ in range(NUMBER)]
    return np.stack([photographs[i][top : top + 32, left : left + 32] for i, top, left in places])


def digits_sized() -> np.ndarray[Any, Any]:
    """(1000, 8, 8, 1) uint8: handwritten digits."""
    return (load_digits().images[:NUMBER, :, :, None] / 16 * 255).round().astype(np.uint8)


def seconds(function: Callable[[], object]) -> float:
    started = clock()
    function()
    return clock() - started


def measure(images: np.ndarray[Any, Any], reference_images: int) -> dict[str, dict[str, float]]:
    """corruption -> seconds for all severities of all images, here and in the package."""
    module = imagecorruptions()
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
    large = images if images.shape[1] >= 32 else images.repeat(4, 1).repeat(4, 2).repeat(3, 3)
    singles = list(large[:reference_images])
    table = {}
    for name in CORRUPTION_SETS["all"]:
        corrupt, package = create("corruption", name), getattr(module, name)
        generator = torch.Generator().manual_seed(0)
        # Pictures of frost are read once by us and every time by the package; that is part of both.
        corrupt(batch[:8], 1, generator=generator)
        package_input = _pillow if name in ("jpeg_compression", "pixelate", "spatter") else np.asarray
        package(package_input(singles[0]), 1)
        ours = theirs = 0.0
        for severity in SEVERITIES:
            ours += seconds(lambda: corrupt(batch, severity, generator=generator))  # noqa: B023
            theirs += seconds(lambda: [package(package_input(image), severity) for image in singles])  # noqa: B023
        table[name] = {"fairart": ours, "imagecorruptions": theirs * len(images) / len(singles)}
        print(
            f"  {name:18} {ours:8.3f} s {table[name]['imagecorruptions']:9.2f} s {table[name]['imagecorruptions'] / ours:8.1f} x"
        )
    return table


def _pillow(image: np.ndarray[Any, Any]) -> Any:
    from PIL import Image

    return Image.fromarray(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--reference-images", type=int, default=100, help="images that the package is timed on")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch")
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds instead of wall seconds, for a busy machine")
    arguments = parser.parse_args()
    if arguments.cpu_time:
        global clock
        clock = time.process_time
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    result: dict[str, Any] = {
        "clock": "processor" if arguments.cpu_time else "wall",
        "threads": arguments.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    for label, images in (("digits-sized", digits_sized()), ("CIFAR-sized", cifar_sized())):
        print(f"{NUMBER} {label} images, 5 severities: fairart, imagecorruptions, ratio")
        table = measure(images, arguments.reference_images)
        ours, theirs = (sum(row[who] for row in table.values()) for who in ("fairart", "imagecorruptions"))
        without = [row for name, row in table.items() if name != "frost"]
        result[label] = {
            "seconds": table,
            "images_per_second": len(table) * 5 * NUMBER / ours,
            "ratio": theirs / ours,
            "ratio_without_frost": sum(row["imagecorruptions"] for row in without) / sum(row["fairart"] for row in without),
        }
        print(
            f"  {'sum':18} {ours:8.3f} s {theirs:9.2f} s {theirs / ours:8.1f} x "
            f"({result[label]['ratio_without_frost']:.1f} x without frost), {result[label]['images_per_second']:.0f} images/s"
        )
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
