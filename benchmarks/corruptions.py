"""Images a second of all 19 corruptions at all 5 severities, made and evaluated, beside imagecorruptions in the same run.

Both are run in turns, corruption by corruption and severity by severity, so that a busy machine slows both; wall and processor
time are taken of the same work, and the table holds the median over the repeats. Here images are made as an evaluation makes
them (MadeCorruptions, blocks of 256), and a small convolutional network predicts them. The package takes images of 32 pixels and
more, one at a time and at ImageNet's parameters; it is timed on the same CIFAR-sized images, and on the digits enlarged to 32
pixels. Times of fewer images (--reference-images) are scaled up. Functions of the package that newer numpy and scikit-image
broke are mended as benchmarks/corruption_reference.py does.

    pip install imagecorruptions scikit-image opencv-python-headless
    python benchmarks/corruptions.py --output benchmarks/results/corruptions.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corruption_reference import imagecorruptions
from sklearn.datasets import load_digits, load_sample_images

import fairart
from fairart import create
from fairart.corruptions import CORRUPTION_SETS, SEVERITIES, MadeCorruptions

NUMBER = 1000
WHO = ("making", "predicting", "imagecorruptions")
APART = ("glass_blur", "frost")
"""Where the package loops over pixels in Python, and where it reads its pictures anew for each image."""

Array = np.ndarray[Any, Any]
Clocks = tuple[float, float]


def cifar_sized() -> Array:
    """(1000, 32, 32, 3) uint8: pieces of photographs that everybody has."""
    random = np.random.default_rng(0)
    photographs = load_sample_images().images
    places = [(random.integers(2), random.integers(427 - 32), random.integers(640 - 32)) for _ in range(NUMBER)]
    return np.stack([photographs[i][top : top + 32, left : left + 32] for i, top, left in places])


def digits_sized() -> Array:
    """(1000, 8, 8, 1) uint8: handwritten digits."""
    return (load_digits().images[:NUMBER, :, :, None] / 16 * 255).round().astype(np.uint8)


def timed(function: Callable[[], Any]) -> tuple[Any, Clocks]:
    """What it gives, and its wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    result = function()
    return result, (time.perf_counter() - wall, time.process_time() - processor)


def measured(images: Array, repeats: int, reference_images: int) -> dict[str, dict[str, list[Clocks]]]:
    """corruption -> who -> wall and processor seconds of each repeat, for all severities of all images."""
    module = imagecorruptions()
    made = MadeCorruptions(images.transpose(0, 3, 1, 2).copy(), np.zeros(len(images), dtype=np.int64))
    network = create("model", "small-cnn", input_shape=made.image_shape, nb_classes=10).eval()
    large = images if images.shape[1] >= 32 else images.repeat(4, 1).repeat(4, 2).repeat(3, 3)
    singles = large[:reference_images]
    scale = len(images) / len(singles)
    table: dict[str, dict[str, list[Clocks]]] = {name: {who: [] for who in WHO} for name in made.names}
    with torch.no_grad():
        for repeat in range(repeats + 1):  # the first one warms up
            for name in made.names:
                totals = {who: np.zeros(2) for who in WHO}
                for severity in SEVERITIES:
                    batches, spent = timed(lambda: list(made.batches(name, severity)))  # noqa: B023
                    totals["making"] += spent
                    totals["predicting"] += timed(lambda: [network(x).argmax(dim=1) for x, _ in batches])[1]  # noqa: B023
                    package = getattr(module, name)
                    totals["imagecorruptions"] += scale * np.array(
                        timed(lambda: [package(_input(name, image), severity) for image in singles])[1]  # noqa: B023
                    )
                if repeat:
                    for who in WHO:
                        table[name][who].append((float(totals[who][0]), float(totals[who][1])))
    return table


def _input(name: str, image: Array) -> Any:
    from PIL import Image

    return Image.fromarray(image) if name in ("jpeg_compression", "pixelate", "spatter") else image


def summary(table: dict[str, dict[str, list[Clocks]]], clock: int) -> dict[str, Any]:
    """Medians over repeats of the seconds, their sums, and ratios of the sums, by wall (0) or processor (1) time."""
    medians = {name: {who: statistics.median(spent[clock] for spent in row[who]) for who in WHO} for name, row in table.items()}

    def total(who: Sequence[str], without: Sequence[str] = ()) -> float:
        return sum(row[one] for name, row in medians.items() if name not in without for one in who)

    ours, both, theirs = ("making",), ("making", "predicting"), ("imagecorruptions",)
    work = len(table) * len(SEVERITIES) * NUMBER
    repeats = range(len(next(iter(table.values()))["making"]))
    ratios = [
        sum(row["imagecorruptions"][i][clock] for row in table.values()) / sum(row["making"][i][clock] for row in table.values())
        for i in repeats
    ]
    return {
        "seconds": medians,
        "images_per_second_made": work / total(ours),
        "images_per_second_made_and_evaluated": work / total(both),
        "ratio": total(theirs) / total(ours),
        "ratio_of_each_repeat": [round(ratio, 2) for ratio in ratios],
        "ratio_with_predicting_in_both": (total(theirs) + total(("predicting",))) / total(both),
        f"ratio_without_{'_and_'.join(APART)}": total(theirs, APART) / total(ours, APART),
    }


def show(label: str, found: dict[str, Any], clock: str) -> None:
    print(f"\n{NUMBER} {label} images, 5 severities, {clock} seconds: made, predicted, imagecorruptions, ratio")
    for name, row in found["seconds"].items():
        made, predicted, package = (row[who] for who in WHO)
        print(f"  {name:18} {made:8.3f} {predicted:8.3f} {package:9.2f} {package / made:8.1f} x")
    for key, value in found.items():
        if isinstance(value, float):
            print(f"  {key.replace('_', ' ')}: {value:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--repeats", type=int, default=5, help="measured repeats, after one that warms up")
    parser.add_argument("--reference-images", type=int, default=20, help="images that the package is timed on")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch and of OpenCV")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    import cv2

    cv2.setNumThreads(arguments.threads)
    warnings.simplefilter("ignore")
    packages = ("torch", "numpy", "scipy", "scikit-image", "opencv-python-headless", "imagecorruptions")
    result: dict[str, Any] = {
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "reference_images": arguments.reference_images,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
        "versions": {"fairart": fairart.__version__, **{name: importlib.metadata.version(name) for name in packages}},
    }
    for label, images in (("digits-sized", digits_sized()), ("CIFAR-sized", cifar_sized())):
        table = measured(images, arguments.repeats, arguments.reference_images)
        assert set(table) == set(CORRUPTION_SETS["all"])
        result[label] = {clock: summary(table, index) for index, clock in enumerate(("wall", "processor"))}
        for clock, found in result[label].items():
            show(label, found, clock)
    result["load_average_after"] = os.getloadavg()[0]
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
