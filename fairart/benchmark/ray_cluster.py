"""Cells on a Ray cluster."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fairart
from fairart.benchmark.state import RECORD, Task
from fairart.benchmark.workers import Finished
from fairart.files import write_bytes
from fairart.runs.lock import LOCK
from fairart.runs.ray_connection import RayOptions, cluster

__all__ = ["RayOptions", "on_ray"]

MACHINES = 3
"""Machines that a cell may lose before it counts as failed."""

Files = dict[str, bytes]
"""Path below the folder of a cell -> contents."""


def on_ray(tasks: Sequence[Task], options: RayOptions) -> Generator[Finished]:
    """Run as many cells at a time as the cluster has room for.

    Where a machine of the cluster sees the folder of the cell, it works there. Elsewhere it works in a temporary folder, and
    its files come back when the cell is finished.

    Args:
        tasks: the cells.
        options: the cluster.

    Raises:
        RuntimeError: Ray is not installed, the cluster cannot be reached, or has no room for a cell.
    """
    if not tasks:
        return
    try:
        import ray
    except ImportError:
        raise RuntimeError("workers 'ray' need Ray: pip install 'fairart[ray]'") from None
    with cluster(ray, options) as ours:
        _check_room(ray, options, ours)
        # A cell whose worker died is recorded as failed, not tried again: it may have used all memory.
        remote = ray.remote(num_cpus=options.num_cpus, num_gpus=options.num_gpus, max_retries=0)(_run_there)
        running: dict[Any, Task] = {}
        lost: Counter[str] = Counter()
        token = f".seen-{uuid.uuid4().hex}"

        def submit(task: Task) -> None:
            _leave(Path(task.folder), token)
            running[remote.remote(asdict(task), token, options.num_cpus, fairart.__version__)] = task

        try:
            for task in tasks:
                submit(task)
            while running:
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                task = running.pop(done)
                finished = _collected(ray, done, task)
                if finished.machine_lost and _may_go_on(task, lost):
                    submit(task)
                    continue
                (Path(task.folder) / token).unlink(missing_ok=True)
                yield finished
        finally:
            for left, task in running.items():
                ray.cancel(left, force=True)
                (Path(task.folder) / token).unlink(missing_ok=True)


def _check_room(ray: Any, options: RayOptions, ours: bool) -> None:
    """Check that the cluster can ever run a cell: a task that fits nowhere would wait for ever."""
    has = ray.cluster_resources()
    for name, asked in (("CPU", options.num_cpus), ("GPU", options.num_gpus)):
        if asked > has.get(name, 0):
            detail = f"a cell asks for {asked:g} {name}, the Ray cluster has {has.get(name, 0):g}"
            if ours:
                raise RuntimeError(detail)
            warnings.warn(f"{detail}: the benchmark waits until more are free", UserWarning, stacklevel=4)


def _may_go_on(task: Task, lost: Counter[str]) -> bool:
    """Whether a cell goes on after its machine was lost, which is no fault of the cell; counts it."""
    lost[task.folder] += 1
    if lost[task.folder] > MACHINES:
        return False
    warnings.warn(f"a machine of the Ray cluster was lost; {Path(task.folder).name} goes on on another one", stacklevel=4)
    return True


def _leave(folder: Path, token: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / token).touch()


def _run_there(plain: dict[str, Any], token: str, threads: int, version: str) -> Files | None:
    """Run a cell on a machine of the cluster; returns its files if that machine does not see the folder."""
    if fairart.__version__ != version:
        raise RuntimeError(f"this machine of the cluster has fairart {fairart.__version__}, the runner has {version}")
    import torch

    from fairart.benchmark.cell import run_cell

    torch.set_num_threads(threads)
    task = Task(**plain)
    if (Path(task.folder) / token).is_file():
        run_cell(task)
        return None
    with tempfile.TemporaryDirectory(prefix="fairart-cell-") as temporary:
        run_cell(replace(task, folder=temporary))
        paths = [path for path in Path(temporary).rglob("*") if path.is_file() and path.name != LOCK]
        return {path.relative_to(temporary).as_posix(): path.read_bytes() for path in paths}


def _collected(ray: Any, done: Any, task: Task) -> Finished:
    try:
        files: Files | None = ray.get(done)
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        died = f"Ray: {type(error).__name__}: {lines[-1] if lines else 'no reason given'}"[:500]
        return Finished(task, died, machine_lost=type(error).__name__ == "NodeDiedError")
    # The record last: if it is there, the other files are whole.
    for name in sorted(files or {}, key=lambda name: name == RECORD):
        path = Path(task.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (files or {})[name])
    return Finished(task)
