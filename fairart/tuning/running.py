"""Running a search: trials one after the other, in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fairart.runs.ray_connection import RayOptions, cluster
from fairart.runs.worker_process import die_with_parent, threads_per_worker
from fairart.tuning.file import Tuning

if TYPE_CHECKING:
    from fairart.tuning.result import TuneResult

__all__ = ["run_tuning"]

Workers = int | Literal["ray"]


def run_tuning(
    tuning: Tuning,
    output: str | Path,
    *,
    workers: Workers = 0,
    ray: RayOptions | None = None,
    check_leak: bool = True,
    verbose: bool = True,
) -> TuneResult:
    """Search, and write the table of trials, the chosen configuration and a page.

    Trials are runs in ``trials/`` of the folder. Any process that is given the same search and folder, on this machine or on one
    that shares the folder, works on the same study; a trial that a killed process left is gone on with.

    Args:
        tuning: the search.
        output: folder.
        workers: processes on this machine, 0 for this process itself, or ``"ray"`` for as many as the cluster has room for; its
            machines must share the folder.
        ray: the cluster, with ``workers="ray"``.
        check_leak: at the end, evaluate the chosen trial's weights once on the test images, beside the held-out ones.
        verbose: a line for each trial on standard error.

    Raises:
        OptionError: a search that cannot run, or a folder with the study of another one.
        RuntimeError: Optuna or Ray is not installed, or a worker died.
        FileExistsError: the folder is a file.
    """
    if workers != "ray" and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 0):
        raise ValueError(f"workers must be a whole number >= 0 or 'ray', got {workers!r}")
    folder = Path(output).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(output)!r} is a file: expected a folder for the search")
    from fairart.tuning.check import check_tuning
    from fairart.tuning.study import open_study
    from fairart.tuning.writing import write_result

    check_tuning(tuning)
    folder.mkdir(parents=True, exist_ok=True)
    # Before any worker: a folder of another search is an error now.
    open_study(tuning, folder)
    if workers == "ray":
        _on_ray(tuning, folder, ray or RayOptions())
    elif workers == 0:
        _work(tuning, folder, verbose=verbose)
    else:
        _in_processes(tuning, folder, workers, verbose=verbose)
    return write_result(open_study(tuning, folder), check_leak=check_leak)


def _work(tuning: Tuning, folder: Path, *, verbose: bool) -> None:
    """Run trials until the budget is spent."""
    from fairart.tuning.result import line_of
    from fairart.tuning.study import open_study
    from fairart.tuning.trial import run_trial

    study = open_study(tuning, folder)
    while True:
        with study.claimed() as claim:
            if claim is None:
                return
            run_trial(study, claim)
        if verbose:
            print(line_of(study, claim.trial.number), file=sys.stderr, flush=True)


def _in_processes(tuning: Tuning, folder: Path, workers: int, *, verbose: bool) -> None:
    # Spawned, not forked: CUDA and the threads of a parent do not survive a fork.
    context, threads = multiprocessing.get_context("spawn"), threads_per_worker(workers)
    crew: dict[Connection, Any] = {}
    for _ in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work_in_process, args=(tuning, folder, threads, verbose, theirs), daemon=True)
        process.start()
        theirs.close()
        crew[ours] = process
    problems: list[str] = []
    try:
        while crew:
            for ready in wait(list(crew)):
                assert isinstance(ready, Connection)
                process = crew.pop(ready)
                problem = _ended(ready, process)
                problems += [problem] if problem else []
    finally:
        for process in crew.values():
            process.terminate()
            process.join(5)
    if problems:
        raise RuntimeError(f"{problems[0]}; finished trials are kept, the same command goes on")


def _ended(connection: Connection, process: Any) -> str:
    """Why a worker ended before the budget was spent; empty where it did not."""
    try:
        problem: str = connection.recv()
    except EOFError:
        process.join()
        return f"a worker of the search was killed (exit code {process.exitcode})"
    process.join()
    return problem


def _work_in_process(tuning: Tuning, folder: Path, threads: int, verbose: bool, connection: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Ctrl-C reaches the whole group; the parent stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    problem = ""
    try:
        _work(tuning, folder, verbose=verbose)
    except Exception as error:
        problem = f"a worker of the search failed: {type(error).__name__}: {' '.join(str(error).split())}"
    connection.send(problem)


def _on_ray(tuning: Tuning, folder: Path, options: RayOptions) -> None:
    try:
        import ray
    except ImportError:
        raise RuntimeError("workers 'ray' need Ray: pip install 'fairart[ray]'") from None
    with cluster(ray, options):
        there = ray.cluster_resources()
        room = int(there.get("CPU", 1) // options.num_cpus)
        if options.num_gpus:
            room = min(room, int(there.get("GPU", 0) // options.num_gpus))
        if room < 1:
            raise RuntimeError(f"the Ray cluster has no room for a trial: {options.num_cpus} CPUs and {options.num_gpus:g} GPUs")
        remote = ray.remote(num_cpus=options.num_cpus, num_gpus=options.num_gpus, max_retries=0)(_work_there)
        ray.get([remote.remote(tuning, str(folder), options.num_cpus) for _ in range(room)])


def _work_there(tuning: Tuning, folder: str, threads: int) -> None:
    """A worker on a machine of the cluster."""
    if not Path(folder).is_dir():
        raise RuntimeError(f"a machine of the cluster does not see {folder!r}: a search needs a folder that all machines share")
    import torch

    torch.set_num_threads(threads)
    _work(tuning, Path(folder), verbose=False)
