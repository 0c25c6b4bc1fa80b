"""``fairart tune FILE``: search for settings on held-out training images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fairart.cli.benchmark import add_worker_flags
from fairart.cli.output import print_json, print_table, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.cli.ray_flags import ray_options

__all__ = ["parser", "run"]

FAILED = 1
SHOWN = 10


def parser() -> Parser:
    """The flags of ``fairart tune``."""
    made = Parser(
        prog="fairart tune",
        usage="fairart tune FILE [flags]",
        description="Search over parts and settings at an equal budget. Trials are judged on held-out training images; the test "
        "images are not used until the choice is made. Called again, it goes on where it stopped, also from several processes or "
        "machines that share the folder. The folder gets chosen.yaml (for 'fairart train --config'), trials.md, trials.csv, "
        "trials.json, report.html, and a run for each trial.",
        epilog="Exit code: 0 the budget is spent and settings are chosen; 1 nothing could be chosen; 2 the search cannot run.",
    )
    made.add_argument(
        "file", metavar="FILE", nargs="?", help="YAML file with base, space and search; docs/tuning.md describes it"
    )
    made.add_argument("--output", metavar="FOLDER", help="default: the file's own output, else runs/ and the file's name")
    made.add_argument("--trials", metavar="N", help="in place of the file's own; a finished search goes on with more")
    made.add_argument("--no-leak-check", action="store_true", help="do not evaluate the chosen trial on test images at the end")
    add_worker_flags(made, what="trial")
    add_common_flags(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Search, and print the best trials.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no file.
    """
    if arguments.file is None:
        raise UsageError("which search? Write 'fairart tune FILE', FILE being a YAML file such as examples/tune.yaml")
    from fairart.runs.yaml_file import read_yaml
    from fairart.tuning import tuning_from_mapping
    from fairart.tuning.running import run_tuning

    document = read_yaml(arguments.file)
    if arguments.trials is not None:
        search = document.get("search") or {}
        document["search"] = {**search, "trials": arguments.trials} if isinstance(search, dict) else search
    tuning = tuning_from_mapping(document, where=str(arguments.file))
    folder = Path(arguments.output or tuning.output or f"runs/{Path(arguments.file).stem}").expanduser()

    ray = ray_options(arguments)
    try:
        with stdout_kept_clean(arguments.json):
            result = run_tuning(
                tuning,
                folder,
                workers=arguments.workers,
                ray=ray,
                check_leak=not arguments.no_leak_check,
                verbose=not arguments.quiet,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"finished trials are kept in {folder}; the same command goes on") from None
    if arguments.json:
        print_json(result.to_dict())
    elif not arguments.quiet:
        _show(result)
    return 0 if result.chosen else FAILED


def _show(result: Any) -> None:
    from fairart.tuning.tables import leak_lines, setting_names, shown

    names = setting_names(result)
    best = sorted((row for row in result.rows if row.figures), key=lambda row: (-row.figures["worst_class"], row.number))[:SHOWN]
    rows = [
        [
            f"{row.number}{' *' if row.number in result.chosen else ''}",
            row.state,
            f"{100 * row.figures['worst_class']:.1f}",
            f"{100 * row.figures['average']:.1f}",
            f"{100 * row.figures['clean_average']:.1f}",
            *(shown(row.settings.get(name, "")) for name in names),
        ]
        for row in best
    ]
    title = "best trials on held-out images, accuracy in per cent under PGD-10 (*: chosen)"
    print_table(["trial", "state", "worst class", "average", "clean", *names], rows, title=title)
    if result.leak is not None:
        print("\n" + "\n".join(leak_lines(result.leak)))
    if not result.finished:
        print("\nThe search is not finished: trials are under way in other processes.")
    print(f"\nwritten to {result.folder}: {', '.join(path.name for path in result.files)}")
