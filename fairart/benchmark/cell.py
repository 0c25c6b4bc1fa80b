"""One cell: trained and evaluated in its folder, or recorded as failed."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from fairart.benchmark.lock import locked
from fairart.benchmark.state import LOG, TRACEBACK, Record, State, Task
from fairart.engine import CheckpointError
from fairart.files import sha256_of, write_text
from fairart.runs.config import RunConfig
from fairart.runs.folders import EVALUATION, WEIGHTS, RunError
from fairart.runs.run import evaluate_run, train_run

__all__ = ["run_cell"]

PATIENCE = 20.0
"""Seconds that the workers of a killed runner have for leaving a cell."""


def run_cell(task: Task) -> State:
    """Do what is left to do for a cell.

    What goes wrong is recorded and not raised: the other cells go on. Whatever is printed meanwhile goes to ``log.txt``.

    Args:
        task: the cell.

    Returns:
        ``"done"`` or ``"failed"``.
    """
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, patience=PATIENCE), _logged(folder / LOG):
        record = _begin(folder, task)
        try:
            if not record.training:
                _train(folder, task, record)
            _evaluate(folder, task, record)
        except Exception as error:
            told = {"type": type(error).__name__, "message": " ".join(str(error).split()), "plan": dict(task.plan)}
            write_text(folder / TRACEBACK, traceback.format_exc())
            record.error = told
            record.save(folder)
            return "failed"
    return "done"


def _begin(folder: Path, task: Task) -> Record:
    """The record to go on from; it says that the cell is at work before anything else is done."""
    found = Record.load(folder)
    stands = found is not None and found.is_of(task.config) and found.weights_stand(folder)
    record = Record(config=dict(task.config), training=found.training if found is not None and stands else {})
    (folder / TRACEBACK).unlink(missing_ok=True)
    record.save(folder)
    return record


def _train(folder: Path, task: Task, record: Record) -> None:
    begin = time.perf_counter()
    config = RunConfig.from_mapping(task.full)
    try:
        # A cell that was killed goes on where its last checkpoint stands.
        train_run(config, folder, resume=True, verbose=False)
    except (RunError, CheckpointError):
        train_run(config, folder, overwrite=True, verbose=False)
    record.training = {"weights": sha256_of(folder / WEIGHTS), "seconds": round(time.perf_counter() - begin, 3)}
    record.save(folder)


def _evaluate(folder: Path, task: Task, record: Record) -> None:
    begin = time.perf_counter()
    plan = dict(task.plan)
    evaluate_run(folder, plan.pop("attacks"), verbose=False, **plan)
    seconds = round(time.perf_counter() - begin, 3)
    plain = json.loads(json.dumps(task.plan, default=str))
    record.evaluation = {"plan": plain, "file": sha256_of(folder / EVALUATION), "seconds": seconds}
    record.save(folder)


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what is printed, warnings among it, to a file: lines of several cells at once could not be told apart."""
    with path.open("a", encoding="utf-8", buffering=1) as log, contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        stack.enter_context(warnings.catch_warnings())
        warnings.showwarning = lambda message, category, *_, **__: print(f"{category.__name__}: {message}", file=sys.stderr)
        yield
