"""``fairart leaderboard FOLDER...``: finished benchmarks as one self-contained page."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags

__all__ = ["parser", "run"]

PAGE = "leaderboard.html"


def parser() -> Parser:
    """The flags of ``fairart leaderboard``."""
    made = Parser(
        prog="fairart leaderboard",
        usage="fairart leaderboard FOLDER [FOLDER ...] [flags]",
        description="Make one HTML page of the finished cells of benchmarks: a sortable table for each data set and model. For "
        "every method the average and the worst class, clean, under each attack and on corruptions, with intervals over seeds; "
        "then the planned comparisons and the configurations. The page is one file and works offline.",
        epilog="A cell that stands in several folders, as with a second set of attacks, is one row.",
    )
    made.add_argument("folders", metavar="FOLDER", nargs="*", help="folder of a benchmark, or an archive of one")
    made.add_argument("--output", metavar="FILE", default=PAGE, help=f"the page (default: {PAGE} here); it is replaced")
    made.add_argument("--title", metavar="TEXT", default="Leaderboard", help="of the page")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Make the page.

    Args:
        arguments: from :func:`parser`.

    Raises:
        UsageError: no folder is given, or the output is one.
        FileNotFoundError: the folder of the output does not exist.
    """
    if not arguments.folders:
        raise UsageError("no benchmark given: write 'fairart leaderboard FOLDER' with a folder of 'fairart benchmark'")
    output = Path(arguments.output).expanduser()
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder: name the file, such as {output / PAGE}")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(output.parent)!r} to write {output.name} to")
    with stdout_kept_clean(arguments.json):
        from fairart.benchmark.leaderboard import write_leaderboard

        write_leaderboard(arguments.folders, output, title=arguments.title)
    if arguments.json:
        print_json({"output": str(output)})
    elif not arguments.quiet:
        print(f"written to {output} ({output.stat().st_size / 1024:.0f} kB); open it in any browser")
    return 0
