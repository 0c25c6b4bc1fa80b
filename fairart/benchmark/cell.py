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

from fairart.benchmark.state import KEPT, LOG, TRACEBACK, Record, State, Task, checksums_of
from fairart.engine import CheckpointError
from fairart.files import sha256_of, write_text
from fairart.packed import packed_path
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import CHECKPOINTS, EVALUATION, WEIGHTS, RunError, clear
from fairart.runs.lock import locked
from fairart.runs.run import train_run

__all__ = ["run_cell"]

PATIENCE = 20.0
"""Seconds that a worker of a killed runner has to leave its cell."""


def run_cell(task: Task) -> State:
    """Train and evaluate a cell, as far as that is not done yet.

    Errors are recorded, not raised: the other cells continue. Output of the cell goes to ``log.txt``.

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
            detail = {"type": type(error).__name__, "message": " ".join(str(error).split()), "plan": dict(task.plan)}
            write_text(folder / TRACEBACK, traceback.format_exc())
            record.error = detail
            record.save(folder)
            return "failed"
    return "done"


def _begin(folder: Path, task: Task) -> Record:
    """The record to resume from; it is marked as running before any work begins."""
    found = Record.load(folder)
    stands = found is not None and found.is_of(task.config) and found.weights_stand(folder)
    if found is not None and not stands:
        _clear_what_is_made_anew(folder, found)
    record = Record(config=dict(task.config), training=found.training if found is not None and stands else {})
    (folder / TRACEBACK).unlink(missing_ok=True)
    record.save(folder)
    return record


def _clear_what_is_made_anew(folder: Path, found: Record) -> None:
    """Remove packed files of an archive, and what is left of a training whose weights and checkpoints are gone."""
    for name in (*KEPT, EVALUATION):
        packed_path(folder / name).unlink(missing_ok=True)
    if found.weights_are_gone(folder) and not any((folder / CHECKPOINTS).glob("checkpoint-*.safetensors")):
        clear(folder)


def _train(folder: Path, task: Task, record: Record) -> None:
    begin = time.perf_counter()
    config = RunConfig.from_mapping(task.full)
    try:
        # A killed cell resumes from its last checkpoint.
        train_run(config, folder, resume=True, verbose=False)
    except (RunError, CheckpointError):
        train_run(config, folder, overwrite=True, verbose=False)
    seconds = round(time.perf_counter() - begin, 3)
    record.training = {"weights": sha256_of(folder / WEIGHTS), "files": checksums_of(folder), "seconds": seconds}
    record.save(folder)


def _evaluate(folder: Path, task: Task, record: Record) -> None:
    begin = time.perf_counter()
    plan = dict(task.plan)
    # As many processes as trained it; the result does not depend on their number.
    devices = RunConfig.from_mapping(task.full).devices
    evaluate_run(folder, plan.pop("attacks"), devices=devices, verbose=False, **plan)
    seconds = round(time.perf_counter() - begin, 3)
    plain = json.loads(json.dumps(task.plan, default=str))
    record.evaluation = {"plan": plain, "file": sha256_of(folder / EVALUATION), "seconds": seconds}
    record.save(folder)


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Redirect output and warnings to a file: lines of several cells at once would be mixed."""
    with path.open("a", encoding="utf-8", buffering=1) as log, contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        stack.enter_context(warnings.catch_warnings())
        warnings.showwarning = lambda message, category, *_, **__: print(f"{category.__name__}: {message}", file=sys.stderr)
        yield
