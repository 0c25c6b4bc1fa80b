"""Running the cells of a grid that are not done, in workers, with one folder and one set of tables. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fairart.benchmark.file import Grid
from fairart.benchmark.overview import DryRun, look
from fairart.benchmark.ray_cluster import RayOptions, on_ray
from fairart.benchmark.state import Task
from fairart.benchmark.workers import Finished, in_processes, in_this_process
from fairart.runs.lock import locked

if TYPE_CHECKING:
    from fairart.benchmark.selecting import Selected
    from fairart.benchmark.tables.book import GridRun

__all__ = ["dry_run", "run_grid"]

Workers = int | Literal["ray"]


def dry_run(grid: Grid, output: str | Path, *, workers: Workers = 1) -> DryRun:
    """Check a grid as :func:`run_grid` does, and run nothing.

    Args:
        grid: the cells.
        output: folder of an earlier benchmark; it need not exist.
        workers: as for :func:`run_grid`.

    Returns:
        Name of each cell -> its state in the folder, with how far the selections are, and what is left to do.

    Raises:
        OptionError: a cell that cannot run.
    """
    from fairart.benchmark.check import check_grid

    check_grid(grid, remote=workers == "ray")
    if grid.selections:
        from fairart.tuning.check import check_tuning

        for selection in grid.selections:
            check_tuning(selection.tuning)
    return look(grid, Path(output).expanduser())


def run_grid(
    grid: Grid,
    output: str | Path,
    *,
    workers: Workers = 1,
    retry_failed: bool = False,
    ray: RayOptions | None = None,
    selections_from: str | Path | None = None,
    verbose: bool = True,
) -> GridRun:
    """Run the cells of a grid that are not done, and write its tables.

    Each cell is a run in ``cells/`` of the folder. Finished ones are kept, those that were interrupted are done again, one
    that fails is recorded and the others go on. The tables are brought up to date with every cell: ``results.md``,
    ``results.tex``, ``results.csv``.

    Args:
        grid: the cells.
        output: folder; an earlier benchmark in it is continued.
        workers: processes on this machine, 0 for this process itself, or ``"ray"``.
        retry_failed: run cells again that failed earlier.
        ray: the cluster, with ``workers="ray"``.
        selections_from: folder of an earlier benchmark, or an archive, whose finished selections are taken over.
        verbose: a line for each cell on standard error.

    Raises:
        OptionError: a cell that cannot run; see :func:`fairart.benchmark.check.check_grid`.
        FolderInUseError: another benchmark works in the folder.
        FileExistsError: the folder is a file.
    """
    if workers != "ray" and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 0):
        raise ValueError(f"workers must be a whole number >= 0 or 'ray', got {workers!r}")
    from fairart.benchmark.check import check_grid
    from fairart.benchmark.tables.book import Book

    folder = Path(output).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(output)!r} is a file: expected a folder for the benchmark")
    checked = check_grid(grid, remote=workers == "ray")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        selected: list[Selected] = []
        if grid.selections:
            from fairart.benchmark.selecting import choices_of, select, take_over

            if selections_from is not None:
                take_over(grid, Path(selections_from).expanduser(), folder)
            selected = select(grid, folder, workers=workers, ray=ray or RayOptions(), verbose=verbose)
            grid = grid.decided(choices_of(selected))
            checked = check_grid(grid, remote=workers == "ray")
        book = Book(folder, grid, checked, retry_failed=retry_failed, verbose=verbose, selected=selected)
        # Closed at once when interrupted: the workers must have ended before the lock is released.
        with contextlib.closing(_run(book.tasks, workers, ray or RayOptions())) as running:
            for finished in running:
                book.enter(finished)
        return book.write()


def _run(tasks: Sequence[Task], workers: Workers, ray: RayOptions) -> Generator[Finished]:
    if workers == "ray":
        return on_ray(tasks, ray)
    if workers == 0:
        return in_this_process(tasks)
    return in_processes(tasks, workers=workers, devices=_devices(workers))


def _devices(workers: int) -> list[str]:
    """The CUDA devices that workers take in turn; empty with one device or none."""
    import torch

    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = [name for name in said.split(",") if name] if said is not None else [str(n) for n in range(torch.cuda.device_count())]
    return found if len(found) > 1 and workers > 1 else []
