"""Workers that run cells: this process, or other processes of this machine, where a crash ends one cell only."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from fairart.benchmark.state import Task
from fairart.runs.worker_process import die_with_parent, threads_per_worker

__all__ = ["Finished", "in_processes", "in_this_process"]


@dataclass(frozen=True)
class Finished:
    """A cell that has ended.

    Args:
        task: the cell; its record has the outcome.
        died: why its worker died; empty if it did not.
        machine_lost: whether it died with its whole machine.
    """

    task: Task
    died: str | None = None
    machine_lost: bool = False


def in_this_process(tasks: Sequence[Task]) -> Generator[Finished]:
    """Run cells one after the other in this process: for tests and debuggers."""
    from fairart.benchmark.cell import run_cell

    for task in tasks:
        run_cell(task)
        yield Finished(task)


class _Worker:
    """A process, and the cell that it works on."""

    def __init__(self, environment: dict[str, str], threads: int) -> None:
        # Spawned, not forked: CUDA and the threads of a parent do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.task: Task | None = None
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, environment, threads), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, task: Task) -> None:
        self.task = task
        # A worker that died in between is noticed by its sentinel.
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(task)

    def stop(self) -> None:
        if self.task is not None:
            self.process.terminate()
        self.connection.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def death(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"the worker ended with exit code {code}"
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        memory = ": most likely the system ran out of memory, take fewer workers" if name == "SIGKILL" else ""
        return f"the worker was killed by {name}{memory}"


def in_processes(tasks: Sequence[Task], *, workers: int, devices: Sequence[str] = ()) -> Generator[Finished]:
    """Run several cells at a time, in processes that take one cell after the other.

    Args:
        tasks: the cells.
        workers: processes, >= 1.
        devices: CUDA devices that the processes take turns with; each process sees one.
    """
    waiting, number = deque(tasks), min(workers, len(tasks))
    environments = [{"CUDA_VISIBLE_DEVICES": devices[index % len(devices)]} if devices else {} for index in range(number)]
    threads = threads_per_worker(number) if number else 1
    crew: list[_Worker] = []
    try:
        for environment in environments:
            crew.append(_Worker(environment, threads))
            crew[-1].give(waiting.popleft())
        while any(worker.task for worker in crew):
            ready = set(wait([thing for worker in crew if worker.task for thing in (worker.connection, worker.process.sentinel)]))
            for index, worker in enumerate(crew):
                task = worker.task
                if task is None or not ready & {worker.connection, worker.process.sentinel}:
                    continue
                finished = _heard(worker, task)
                if finished.died and waiting:
                    worker.connection.close()
                    worker = crew[index] = _Worker(environments[index], threads)
                if waiting:
                    worker.give(waiting.popleft())
                yield finished
    finally:
        for worker in crew:
            worker.stop()


def _heard(worker: _Worker, task: Task) -> Finished:
    worker.task = None
    try:
        worker.connection.recv()
    except (EOFError, OSError):
        return Finished(task, worker.death())
    return Finished(task)


def _work(connection: Connection, environment: dict[str, str], threads: int) -> None:
    # Before torch is loaded: it reads these when it is.
    os.environ.update(environment, OMP_NUM_THREADS=str(threads))
    # Ctrl-C reaches the whole group; the runner stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()
    import torch

    from fairart.benchmark.cell import run_cell

    torch.set_num_threads(threads)
    while True:
        try:
            task: Any = connection.recv()
        except EOFError:
            return
        run_cell(task)
        connection.send(True)
