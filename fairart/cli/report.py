"""``fairart report RUN...``: one self-contained HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.escapes import terminal

__all__ = ["parser", "run"]

PAGE = "report.html"
SEVERAL = "fairart-report.html"


def parser() -> Parser:
    """The flags of ``fairart report``."""
    made = Parser(
        prog="fairart report",
        usage="fairart report RUN [RUN ...] [flags]",
        description="Make one HTML page of runs: tables, plots, classes side by side. The page is one file and works offline, "
        "in light and dark. Runs that differ only in the seed are one method.",
        epilog="Runs that are not evaluated yet, or still being trained, are shown without test accuracies.",
    )
    made.add_argument("runs", metavar="RUN", nargs="*", help="folder of a run, or a JSON file of an evaluation")
    made.add_argument(
        "--output", metavar="FILE", help=f"the page (default: {PAGE} in the run, {SEVERAL} here for several); it is replaced"
    )
    made.add_argument("--title", metavar="TEXT", help="of the page; by default data sets and methods")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Make the page.

    Args:
        arguments: from :func:`parser`.

    Raises:
        UsageError: no run is given.
        FileNotFoundError: the folder of the output does not exist.
    """
    if not arguments.runs:
        raise UsageError("no run given: write 'fairart report RUN', where RUN is a folder written by 'fairart train'")
    output = _output(arguments)

    with stdout_kept_clean(arguments.json):
        from fairart.reporting.page import write_page
        from fairart.runs.collect import collect

        runs = collect(arguments.runs)
        write_page(runs, output, title=arguments.title)
    if arguments.json:
        print_json({"output": str(output), "runs": [{"run": found.name, "notices": found.notices} for found in runs]})
    elif not arguments.quiet:
        for found in runs:
            for notice in found.notices:
                print(terminal(f"{found.name}: {notice}"))
        print(f"written to {output} ({output.stat().st_size / 1024:.0f} kB); open it in any browser")
    return 0


def _output(arguments: argparse.Namespace) -> Path:
    if arguments.output is not None:
        output = Path(arguments.output).expanduser()
    elif len(arguments.runs) == 1:
        given = Path(arguments.runs[0]).expanduser()
        output = given / PAGE if given.is_dir() else given.with_suffix(".html")
    else:
        output = Path(SEVERAL)
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder: name the file, such as {output / PAGE}")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(output.parent)!r} to write {output.name} to")
    return output
