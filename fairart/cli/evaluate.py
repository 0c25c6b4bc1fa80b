"""``fairart evaluate RUN``: attacks on, and corruptions of, the test images of a run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fairart.cli.output import print_json, print_table, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags, at_least
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.runs.config import parse_setting
from fairart.runs.folders import EVALUATION, PARTIAL, read_config

__all__ = ["parser", "run"]


def parser() -> Parser:
    """The flags of ``fairart evaluate``."""
    made = Parser(
        prog="fairart evaluate",
        usage="fairart evaluate RUN [--attack NAME ...] [--corruptions NAMES] [flags]",
        description="Evaluate a run on its test images, class by class: clean, under attacks, and corrupted. The folder of the "
        "run gets evaluation.json. Interrupted, the same command resumes.",
        epilog="Attacks are listed by 'fairart plugins --kind attack', the options of one by 'fairart plugins attack NAME'; "
        "likewise corruptions. eps and eps_step of an attack are those of the run unless set.",
    )
    made.add_argument("folder", metavar="RUN", nargs="?", help="folder of a run, written by 'fairart train'")
    made.add_argument("--attack", metavar="NAME", action="append", help="may be given again (default: pgd); none for none")
    made.add_argument(
        "--set",
        dest="settings",
        metavar="NAME.OPTION=VALUE",
        action="append",
        default=[],
        help="an option of an attack or a corruption, such as pgd.max_iter=20; may be given again",
    )
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
    made.add_argument("--batch-size", type=at_least(1), default=512, metavar="N", help="batch size (default: 512)")
    made.add_argument(
        "--seed", type=at_least(0), default=0, metavar="N", help="seed of random starts and corruptions (default: 0)"
    )
    made.add_argument("--limit", type=at_least(1), metavar="N", help="use N test images, drawn at random; by default all")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), help="device: auto, cpu or cuda; by default as in training")
    made.add_argument(
        "--sanity-samples",
        type=at_least(0),
        default=256,
        metavar="N",
        help="images that the sanity checks look at, 0 for none (default: 256)",
    )
    made.add_argument("--restart", action="store_true", help="start again instead of resuming an interrupted evaluation")
    made.add_argument("--plugins-dir", metavar="FOLDER", help="folder of plugins (*.py) to load, besides the run's own")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, and print the tables.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no run.
    """
    if arguments.folder is None:
        raise UsageError("no run given: write 'fairart evaluate RUN', where RUN is a folder written by 'fairart train'")
    attacks = [] if arguments.attack == ["none"] else arguments.attack or ["pgd"]
    corrupted = arguments.corruptions is not None or arguments.corruptions_dir is not None
    for flag in ("severities", "reference"):
        if getattr(arguments, flag) is not None and not corrupted:
            raise UsageError(f"--{flag} goes with --corruptions or --corruptions-dir")
    options = _options(arguments.settings, attacks, known=arguments.corruptions is None)
    _check_before_imports(arguments, attacks)

    from fairart.runs.run import evaluate_run

    try:
        with stdout_kept_clean(arguments.json):
            result = evaluate_run(
                arguments.folder,
                attacks,
                corruptions=arguments.corruptions,
                corruptions_dir=arguments.corruptions_dir,
                severities=arguments.severities,
                reference=arguments.reference,
                options=options,
                batch_size=arguments.batch_size,
                seed=arguments.seed,
                limit=arguments.limit,
                device=arguments.device,
                restart=arguments.restart,
                sanity_samples=arguments.sanity_samples,
                verbose=not arguments.quiet,
            )
    except KeyboardInterrupt:
        detail = f"{EVALUATION} in {arguments.folder} is as it was before"
        if (Path(arguments.folder).expanduser() / PARTIAL).is_dir():
            detail += "; the same command resumes"
        raise KeyboardInterrupt(detail) from None
    if arguments.json:
        print_json(result.to_dict())
    elif not arguments.quiet:
        _show(result)
        print(f"\nwritten to {Path(arguments.folder) / EVALUATION}")
    return 0


def _severities(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word in ("1", "2", "3", "4", "5") for word in words):
        raise argparse.ArgumentTypeError(f"expects whole numbers from 1 to 5 with commas, got {text!r}")
    return tuple(sorted({int(word) for word in words}))


def _options(settings: list[str], attacks: list[str], *, known: bool) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for text in settings:
        name, option, value = parse_setting(text, owner="NAME")
        # If corruptions are made, the name may be one of them; those names are checked later.
        if known and name not in attacks:
            raise OptionError(
                f"--set {text}: {name!r} is not among the attacks of this evaluation; {did_you_mean(name, attacks)}"
            )
        options.setdefault(name, {})[option] = value
    return options


def _check_before_imports(arguments: argparse.Namespace, attacks: list[str]) -> None:
    from fairart.plugins import get_plugin_manager

    config = read_config(Path(arguments.folder).expanduser())
    manager = get_plugin_manager()
    if arguments.plugins_dir is not None:
        manager.load_folder(arguments.plugins_dir)
    if config.plugins_dir is not None and Path(config.plugins_dir).is_dir():
        manager.load_folder(config.plugins_dir)
    for name in attacks:
        manager.find("attack", name)


def _show(result: Any) -> None:
    if not sys.stdout.isatty():
        print(result.table())
        return
    from fairart.evaluation.results.table import class_grid, corruption_grid, corruption_notes, notes

    grid = class_grid(result)
    print_table(grid.columns, grid.rows)
    print("\n".join(notes(result)))
    if len(result.corruptions):
        grid = corruption_grid(result.corruptions)
        print_table(grid.columns, grid.rows)
        print("\n".join(corruption_notes(result)))
