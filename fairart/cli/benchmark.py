"""``fairart benchmark GRID``: methods x data sets x models x seeds, in one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Literal

from fairart.cli.output import print_json, print_table, stdout_kept_clean
from fairart.cli.parser import Parser, UsageError, add_common_flags
from fairart.cli.ray_flags import add_ray_flags, ray_options

__all__ = ["add_worker_flags", "parser", "run"]

FAILED = 1


def parser() -> Parser:
    """The flags of ``fairart benchmark``."""
    made = Parser(
        prog="fairart benchmark",
        usage="fairart benchmark GRID [flags]",
        description="Train and evaluate every cell of a grid file, and write one table. Called again, it continues where it "
        "stopped: finished cells are kept. The folder gets results.md, results.tex, results.csv, comparisons.csv, "
        "report.html, and a run for each cell.",
        epilog="Exit code: 0 every cell is done; 1 some failed, or differ from --check; 2 the grid cannot run.",
    )
    made.add_argument("grid", metavar="GRID", nargs="?", help="YAML file; docs/benchmark.md describes it")
    made.add_argument("--output", metavar="FOLDER", help="default: the file's own output, else runs/ and the file's name")
    made.add_argument("--retry-failed", action="store_true", help="run cells again that failed earlier")
    made.add_argument("--dry-run", action="store_true", help="check the grid, list its cells and selections, run nothing")
    made.add_argument(
        "--only",
        metavar="ROW",
        action="append",
        default=[],
        help="a method or row alone, METHOD or METHOD/SEED; may be given several times",
    )
    made.add_argument(
        "--archive",
        metavar="DIR",
        help="run nothing; copy finished cells and selections to DIR without weights, logs and paths, for a repository",
    )
    made.add_argument(
        "--check",
        metavar="FOLDER",
        help="take the settings that an earlier benchmark or archive chose, and afterwards compare every number with it",
    )
    add_worker_flags(made, what="cell")
    add_common_flags(made)
    return made


def add_worker_flags(parser: Parser, *, what: str) -> None:
    """Flags that say where the pieces of a large piece of work run.

    Args:
        parser: to add them to.
        what: a piece is called.
    """
    parser.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help=f"{what}s at a time, each in a process of its own with its share of the cores; 0 for this process alone; ray for a "
        "Ray cluster (default: 1)",
    )
    add_ray_flags(parser, what=what)


def _workers(text: str) -> int | Literal["ray"]:
    if text == "ray":
        return "ray"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expects a whole number >= 0 or ray, got {text!r}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Run the grid, and print its tables.

    Args:
        arguments: what :func:`parser` read.

    Raises:
        UsageError: no grid.
    """
    if arguments.grid is None:
        raise UsageError("which grid? Write 'fairart benchmark GRID', GRID being a YAML file such as examples/grid.yaml")
    from fairart.benchmark import dry_run, read_grid

    _check_flags(arguments)
    grid = read_grid(arguments.grid).narrowed(arguments.only)
    folder = Path(arguments.output or grid.output or f"runs/{Path(arguments.grid).stem}").expanduser()
    if arguments.archive is not None:
        return _archive(grid, folder, arguments)
    if arguments.dry_run:
        with stdout_kept_clean(arguments.json):
            found = dry_run(grid, folder, workers=arguments.workers)
        return _list(folder, found, as_json=arguments.json)
    return _run(grid, folder, arguments)


def _check_flags(arguments: argparse.Namespace) -> None:
    given = [flag for flag in ("dry_run", "only", "check", "retry_failed") if getattr(arguments, flag)]
    if arguments.archive is not None and given:
        raise UsageError(f"--archive copies what is finished and runs nothing: leave out --{given[0].replace('_', '-')}")
    if arguments.check is not None and not Path(arguments.check).expanduser().is_dir():
        raise UsageError(f"--check: there is no folder {arguments.check!r}; expected an earlier benchmark or an archive")


def _archive(grid: Any, folder: Path, arguments: argparse.Namespace) -> int:
    from fairart.benchmark.archive import write_archive

    with stdout_kept_clean(arguments.json):
        found = write_archive(grid, folder, arguments.archive)
    if arguments.json:
        print_json(found.to_dict())
    elif not arguments.quiet:
        states = list(found.states.values())
        made = f", {sum(found.selections.values())} of {len(found.selections)} selections" if found.selections else ""
        failed = f", {states.count('failed')} failed" if "failed" in states else ""
        size = f"{found.size / 1e6:.1f} MB"
        print(f"{arguments.archive}: {states.count('done')} of {len(states)} cells{failed}{made}, {size}")
        for note in found.notes:
            print(f"note: {note}", file=sys.stderr)
    return 0


def _run(grid: Any, folder: Path, arguments: argparse.Namespace) -> int:
    from fairart.benchmark import run_grid
    from fairart.benchmark.reproduced import compare_with

    ray = ray_options(arguments)
    try:
        with stdout_kept_clean(arguments.json):
            result = run_grid(
                grid,
                folder,
                workers=arguments.workers,
                retry_failed=arguments.retry_failed,
                ray=ray,
                selections_from=arguments.check,
                verbose=not arguments.quiet,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"finished cells are kept in {folder}; the same command continues") from None
    repeated = [] if arguments.check is None else compare_with(arguments.check, result.grid, result.folder)
    if arguments.json:
        print_json(result.to_dict() | ({"check": [one.to_dict() for one in repeated]} if repeated else {}))
    elif not arguments.quiet:
        _show(result)
        if repeated:
            said = {True: "same", False: "differs", None: "not compared"}
            rows = [[one.cell.row_name, str(one.cell.config.seed), said[one.same], one.detail] for one in repeated]
            print_table(["method", "seed", "numbers", "detail"], rows, title=f"compared with {arguments.check}")
    return FAILED if result.failed or not all(one.same for one in repeated) else 0


def _list(folder: Path, found: Any, *, as_json: bool) -> int:
    from fairart.benchmark.comparisons import power_warnings

    grid = found.grid
    notes = power_warnings(grid.comparisons, grid.cells)
    if as_json:
        cells = [
            {
                "name": cell.name,
                "row": cell.row_name,
                "table": cell.table_name,
                "state": found[cell.name],
                "config": cell.config.to_dict(),
            }
            for cell in grid.cells
        ]
        comparisons = [[pair.method, pair.baseline] for pair in grid.comparisons]
        parts = {"evaluation": grid.plan.to_dict(), "comparisons": comparisons, "notes": notes}
        print_json({"output": str(folder), "cells": cells, **found.to_dict(), **parts})
        return 0
    if found.selections:
        done = [[one.name, one.state, f"{one.ended} of {one.trials}"] for one in found.selections]
        print_table(["selection", "state", "trials"], done, title=f"selections in {folder / 'selection'}: {len(done)}")
        print()
    said = {"no weights": "no weights: to be trained anew"}
    rows = [
        [cell.row_name, cell.table_name, str(cell.config.seed), said.get(found[cell.name], found[cell.name]), cell.name]
        for cell in grid.cells
    ]
    left = found.left
    trials = f" ({left['trials']} of them trials of selections)" if found.selections else ""
    todo = f"{left['trainings']} trainings{trials}, {left['evaluations']} evaluations"
    title = f"cells in {folder / 'cells'}: {len(rows)}; left: {todo}"
    print_table(["method", "of", "seed", "state", "folder"], rows, title=title)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _show(result: Any) -> None:
    for table in (*result.tables, *result.comparison_tables):
        rows = [[name, *(f"{cell.text}{' *' if cell.best else ''}" for cell in cells)] for name, cells in table.rows]
        print_table([table.corner, *table.columns], rows, title=table.title)
        print("\n".join([*(note.replace("bold:", "*:") for note in table.notes), ""]))
    count = len(result.failed)
    failed = f"; {count} cell{'s' * (count != 1)} failed" if count else ""
    print(f"written to {result.folder}: {', '.join(path.name for path in result.files)}{failed}")
