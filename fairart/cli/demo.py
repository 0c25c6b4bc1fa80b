"""``fairart demo``: three methods trained, attacked and compared on real images that need no download."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, add_common_flags, at_least

__all__ = ["parser", "run"]


def parser() -> Parser:
    """The flags of ``fairart demo``."""
    made = Parser(
        prog="fairart demo",
        description="Train adversarially with and without class fairness on handwritten digits, attack the models, and compare "
        "them class by class. Takes about a minute and a half on two cores and needs no download.",
    )
    made.add_argument("--output", default="fairart-demo", metavar="FOLDER", help="default: fairart-demo")
    made.add_argument("--seeds", type=at_least(1), default=3, metavar="N", help="runs of each method (default: 3)")
    made.add_argument("--overwrite", action="store_true", help="replace an earlier demo in the folder; other files stay")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Run the demo.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        FileExistsError: the folder has files and ``--overwrite`` is not given.
    """
    from fairart.runs.demo import run_demo

    folder = Path(arguments.output).expanduser()
    try:
        with stdout_kept_clean(arguments.json):
            result = run_demo(folder, seeds=arguments.seeds, verbose=not arguments.quiet, overwrite=arguments.overwrite)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the runs that were finished are in {folder}") from None
    if arguments.json:
        print_json(result.to_dict())
    return 0
