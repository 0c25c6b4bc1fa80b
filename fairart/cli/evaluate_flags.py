"""The groups of flags of ``fairart evaluate``."""

from __future__ import annotations

import argparse

from fairart.cli.parser import Parser, at_least
from fairart.cli.ray_flags import add_ray_flags

__all__ = ["add_corruption_flags", "add_device_flags", "add_model_flags", "add_ood_flags", "add_test_flags"]


def add_model_flags(made: Parser) -> None:
    """The flags of a model that is no run.

    Args:
        made: gets them.
    """
    group = made.add_argument_group("a model instead of a run")
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="a registered name, module:callable, ./file.py:callable, or robustbench:NAME, timm:NAME, torchvision:NAME, "
        "hf:OWNER/NAME",
    )
    group.add_argument("--weights", metavar="FILE", help="weight file (.pt, .pth, .tar, .ckpt, .bin, .safetensors)")
    group.add_argument(
        "--dataset", metavar="NAME", help="data set: a registered name, npz:PATH, npy:FOLDER, folder:FOLDER or wds:FOLDER"
    )
    group.add_argument("--data-root", metavar="FOLDER", help="folder of the data files (default: FAIRART_DATA, ~/.cache/fairart)")
    group.add_argument("--output", metavar="FOLDER", help="folder for evaluation.json")
    group.add_argument(
        "--normalization",
        metavar="HOW",
        help="of the input: none, dataset, MEAN:STD, the name of published constants, or auto: what model or file say, else "
        "what a trial on a few hundred images shows clearly (default: auto)",
    )
    group.add_argument("--weights-key", metavar="KEY", help="where the weights are in the file, if several fit")
    group.add_argument("--weights-index", type=at_least(0), metavar="N", help="position in a list of state dicts")
    group.add_argument("--no-strict", action="store_true", help="load what fits, even if tensors are missing or left over")


def add_corruption_flags(made: Parser) -> None:
    """The flags of corrupted images.

    Args:
        made: gets them.
    """
    made.add_argument(
        "--corruptions",
        metavar="NAMES",
        help="common15, extra4, paper18, all, or names with commas: made of the test images, unless a folder is given",
    )
    made.add_argument(
        "--corruptions-dir",
        metavar="FOLDER",
        help="folder in the layout of CIFAR-10-C to read them from; without --corruptions all of them",
    )
    made.add_argument("--severities", type=_severities, metavar="1,3,5", help="severities of the corruptions (default: 1 to 5)")
    made.add_argument(
        "--reference", metavar="FILE", help="an evaluation.json with these corruptions, to take the mean corruption error against"
    )


def add_device_flags(made: Parser) -> None:
    """The flags of where an evaluation runs.

    Args:
        made: gets them.
    """
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), help="device: auto, cpu or cuda; by default as in training")
    made.add_argument(
        "--devices",
        type=at_least(1),
        default=1,
        metavar="N",
        help="processes that share the images, one a device; needs Lightning Fabric (default: 1)",
    )
    made.add_argument(
        "--ray", action="store_true", help="run these processes on a Ray cluster; runs and output must be seen from there"
    )
    add_ray_flags(made, what="process")


def add_ood_flags(made: Parser) -> None:
    """The flags of outliers.

    Args:
        made: gets them.
    """
    made.add_argument(
        "--ood",
        metavar="NAME=DATASET",
        action="append",
        help="outliers that the scores should tell from the test images: a data set of the same image size, or noise, "
        "gaussian-noise, blurred, permuted, digits, fooling, unseen (also without NAME=); may be given again",
    )
    made.add_argument(
        "--ood-scores",
        metavar="NAMES",
        help="with commas: energy, msp, max-logit, entropy (default: these), mahalanobis, knn (extra ood)",
    )
    made.add_argument(
        "--ood-attack", metavar="SCORES", help="attack these scores by PGD, both ways; options by --set ood.eps=... and the like"
    )


def add_test_flags(made: Parser) -> None:
    """The flags of what else is measured: groups, shifts, affine changes, calibration, input defences.

    Args:
        made: gets them.
    """
    made.add_argument(
        "--groups",
        metavar="COLUMN|FILE",
        action="append",
        default=[],
        help="tables by group as well: a column of the data set (site for the array site_test of an npz file), or a .npy or .csv "
        "file of one value a test image; may be given again",
    )
    made.add_argument(
        "--shift",
        metavar="NAME=DATASET",
        action="append",
        default=[],
        help="a shifted test set, such as camera-2=npz:camera2.npz or =folder:PATH: accuracy and calibration of each class on "
        "it, and what is lost; may be given again",
    )
    made.add_argument(
        "--affine",
        metavar="NAME[=DEGREES]",
        action="append",
        default=[],
        help="accuracy of each class against the degree of rotation, scale or shear, such as rotation=-30,0,30, or all; may be "
        "given again",
    )
    made.add_argument(
        "--temperature",
        action="store_true",
        help="calibration before and after temperature scaling, one for all and one a class: each half of the test images is "
        "scaled by temperatures of the other half",
    )
    made.add_argument(
        "--defence",
        metavar="NAME",
        action="append",
        default=[],
        help="an input defence, such as jpeg, under every attack twice: by one that does not know of it, and by one that does; "
        "may be given again",
    )


def _severities(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word in ("1", "2", "3", "4", "5") for word in words):
        raise argparse.ArgumentTypeError(f"expects whole numbers from 1 to 5 with commas, got {text!r}")
    return tuple(sorted({int(word) for word in words}))
