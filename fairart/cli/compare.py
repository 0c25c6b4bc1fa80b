"""``fairart compare RUN...``: methods side by side, with paired tests, as text, Markdown or LaTeX."""

from __future__ import annotations

import argparse

from fairart.cli.output import print_json, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.runs.folders import EVALUATION, RunError

__all__ = ["parser", "run"]

STYLES = ("text", "markdown", "latex")


def parser() -> Parser:
    """The flags of ``fairart compare``."""
    made = Parser(
        prog="fairart compare",
        usage="fairart compare RUN [RUN ...] [flags]",
        description="Compare evaluated runs: overall and worst class under every attack, and whether the methods differ from the "
        "first one by more than chance. Runs that differ only in the seed are one method.",
        epilog="Differences are tested in pairs. One run each: over samples, by the exact McNemar test, and by exact "
        "bounds for the worst class. Several runs: over seeds, by the paired t test.",
    )
    made.add_argument("runs", metavar="RUN", nargs="*", help="folder of a run, or a JSON file of an evaluation")
    made.add_argument("--format", choices=STYLES, default="text", help="format of the tables (default: text)")
    made.add_argument("--classes", action="store_true", help="add a table of every class under each attack")
    made.add_argument("--attack", metavar="LABEL", action="append", help="show only this result; may be repeated")
    add_common_flags(made, quiet=False)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Compare, and print.

    Args:
        arguments: from :func:`parser`.

    Raises:
        UsageError: no run is given.
        RunError: a run that was not evaluated.
    """
    if not arguments.runs:
        raise UsageError("no run given: write 'fairart compare RUN RUN', where each RUN is a folder written by 'fairart train'")

    with stdout_kept_clean(arguments.json):
        from fairart.reporting.comparison import compare_runs
        from fairart.reporting.comparison_text import render_comparison
        from fairart.runs.collect import collect

        runs = collect(arguments.runs)
        for found in runs:
            if found.result is None:
                raise RunError(f"{found.name} has no {EVALUATION}: {'; '.join(found.notices)}")
        comparison = compare_runs(runs, attacks=arguments.attack)
    if arguments.json:
        print_json(comparison.to_dict())
    else:
        print(render_comparison(comparison, style=arguments.format, classes=arguments.classes))
    return 0
