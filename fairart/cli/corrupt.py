"""``fairart corrupt DATASET``: corrupted test images, in a folder laid out as CIFAR-10-C is."""

from __future__ import annotations

import argparse
from typing import Any

from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags, at_least
from fairart.runs.config import parse_setting

__all__ = ["parser", "run"]


def parser() -> Parser:
    """The flags of ``fairart corrupt``."""
    made = Parser(
        prog="fairart corrupt",
        usage="fairart corrupt DATASET --output FOLDER [--corruptions NAMES] [flags]",
        description="Corrupt the test images of a data set at all five severities. The folder gets one <corruption>.npy each, "
        "labels.npy, and made.json, which names the source and the seed. After an interruption the same "
        "command resumes.",
        epilog="Data sets are listed by 'fairart plugins --kind dataset', corruptions by 'fairart plugins --kind corruption'. "
        "frost needs pictures: the package imagecorruptions, or a folder of your own.",
    )
    made.add_argument(
        "dataset", metavar="DATASET", nargs="?", help="a data set, npz:FILE, npy:FOLDER, folder:FOLDER or wds:FOLDER"
    )
    made.add_argument("--output", metavar="FOLDER", help="folder for the files")
    made.add_argument(
        "--corruptions",
        metavar="NAMES",
        default="all",
        help="common15, extra4, paper18, all, or names, with commas; all,-frost leaves one out (default: all)",
    )
    made.add_argument("--textures", metavar="FOLDER", help="pictures of frost (.png, .jpg), the same as --set frost.textures=")
    made.add_argument(
        "--set",
        dest="settings",
        metavar="NAME.OPTION=VALUE",
        action="append",
        default=[],
        help="an option of a corruption or of the dataset, such as dataset.split_seed=1; may be given again",
    )
    made.add_argument("--data-root", metavar="FOLDER", help="folder of the data files (default: FAIRART_DATA, ~/.cache/fairart)")
    made.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the corruptions (default: 0)")
    made.add_argument("--limit", type=at_least(1), metavar="N", help="use N test images, drawn at random; by default all")
    made.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="device: auto, cpu or cuda (default: auto)"
    )
    made.add_argument("--overwrite", action="store_true", help="delete the files that fairart wrote to the folder earlier")
    made.add_argument("--plugins-dir", metavar="FOLDER", help="folder of plugins (*.py) to load")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Write the folder.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no data set, no output, or no pictures of frost.
    """
    if arguments.dataset is None:
        raise UsageError("no data set given: write 'fairart corrupt DATASET --output FOLDER'")
    if arguments.output is None:
        raise UsageError("no output given: add --output FOLDER")
    options = _options(arguments)
    _check_before_imports(arguments)

    from fairart.corruptions import MissingTexturesError
    from fairart.runs.corrupt import corrupt_dataset

    try:
        with stdout_kept_clean(arguments.json):
            detail = corrupt_dataset(
                arguments.dataset,
                arguments.output,
                corruptions=arguments.corruptions,
                options=options,
                data_root=arguments.data_root,
                seed=arguments.seed,
                limit=arguments.limit,
                device=arguments.device,
                overwrite=arguments.overwrite,
                verbose=not arguments.quiet,
            )
    except MissingTexturesError as error:
        raise UsageError(f"{error} (--textures FOLDER, --corruptions {arguments.corruptions},-frost)") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command resumes in {arguments.output}") from None
    if arguments.json:
        print_json(detail)
    elif not arguments.quiet:
        print(
            f"{len(detail['corruptions'])} corruptions of {detail['nb_images']} images, 5 severities each, "
            f"are in {detail['folder']}"
        )
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for text in arguments.settings:
        name, option, value = parse_setting(text, owner="NAME")
        options.setdefault(name, {})[option] = value
    if arguments.textures is not None:
        options.setdefault("frost", {})["textures"] = arguments.textures
    return options


def _check_before_imports(arguments: argparse.Namespace) -> None:
    from fairart.plugins import get_plugin_manager

    manager = get_plugin_manager()
    if arguments.plugins_dir is not None:
        manager.load_folder(arguments.plugins_dir)
    manager.find("dataset", arguments.dataset)
