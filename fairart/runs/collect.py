"""Reading runs for a report: finished or not, evaluated or not, and evaluations that stand alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairart import packed
from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult
from fairart.reporting.run_results import Run
from fairart.runs.config import RunConfig
from fairart.runs.folders import CONFIG, EVALUATION, HISTORY, WEIGHTS, RunError
from fairart.runs.label_noise import read_label_noise, summary

__all__ = ["collect"]


def collect(paths: Sequence[str | Path]) -> list[Run]:
    """Read each run, finished or not.

    Args:
        paths: folders that ``fairart train`` left, folders that have an ``evaluation.json`` only, or JSON files that an
            evaluation was saved to.

    Returns:
        One :class:`Run` each, in the order given; its notices name what is missing.

    Raises:
        RunError: a path is neither, is given twice, or a file in it is damaged.
        DamagedFileError: a file that is damaged or is not an evaluation.
    """
    files = [Path(path).expanduser() for path in paths]
    seen: set[Path] = set()
    for path in files:
        # A folder and the evaluation in it are the same run.
        place = path.resolve() / EVALUATION if path.is_dir() else path.resolve()
        if place in seen:
            raise RunError(f"{path} is given twice")
        seen.add(place)
    return _apart([_from_folder(path) if path.is_dir() else _from_file(path) for path in files])


def _apart(runs: list[Run]) -> list[Run]:
    """Evaluations alone are models of their own. Two whose files have one name are told apart by their paths."""
    alone = [not run.config and run.result is not None and not _trainer(run.result) for run in runs]
    counts = Counter(run.trainer for run in runs)
    return [
        replace(run, trainer=run.name) if single and counts[run.trainer] > 1 else run
        for run, single in zip(runs, alone, strict=True)
    ]


def _trainer(result: EvaluationResult) -> str | None:
    trainer = result.config.get("trainer")
    return trainer if isinstance(trainer, str) and trainer else None


def _from_file(path: Path) -> Run:
    if not packed.is_file(path):
        raise RunError(f"there is no run and no file {str(path)!r}")
    result = EvaluationResult.load(path)
    if path.name == EVALUATION and (path.parent / CONFIG).is_file():
        return _run(path.parent, str(path), result)
    # Folders such as eval/NAME/evaluation.json are called after the model; the file's own name says nothing.
    name = path.resolve().parent.name if path.name == EVALUATION else path.stem
    return Run(name=str(path), trainer=_trainer(result) or name or path.stem, result=result)


def _from_folder(folder: Path) -> Run:
    evaluation = folder / EVALUATION
    result = EvaluationResult.load(evaluation) if packed.is_file(evaluation) else None
    if (folder / CONFIG).is_file():
        return _run(folder, str(folder), result)
    if result is None:
        raise RunError(f"{str(folder)!r} is not a run of fairart: it has no {CONFIG}")
    return _from_file(evaluation)


def _run(folder: Path, name: str, result: EvaluationResult | None) -> Run:
    try:
        config = RunConfig.load(folder / CONFIG)
    except OptionError as error:
        raise RunError(f"the {CONFIG} of {name} is damaged or foreign: {error}") from error
    history, notices = _history(folder / HISTORY)
    # A run that was evaluated has finished, also where its weights are kept elsewhere.
    if result is None and not (folder / WEIGHTS).is_file():
        notices.append(f"training has not finished: {len(history)} of {config.epochs} epochs, no {WEIGHTS}")
    elif result is None:
        notices.append(f"not evaluated yet: 'fairart evaluate {folder}' writes its {EVALUATION}")
    return Run(
        name=name,
        trainer=config.trainer,
        config=config.to_dict(),
        history=history,
        result=result,
        notices=tuple(notices),
        label_noise=summary(read_label_noise(folder)),
    )


def _history(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    if not packed.is_file(path):
        return [], [f"{HISTORY} is missing: nothing is known about its epochs"]
    try:
        lines = packed.read_bytes(path).decode("utf-8").splitlines()
    except ValueError as error:
        raise RunError(f"{path} is damaged: it is not text") from error
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):  # being written right now, or cut off by a crash
                return records, [f"the last line of {HISTORY} is incomplete and was skipped"]
            raise RunError(f"{path} is damaged in line {number}: {error}") from error
        if not isinstance(record, dict) or "epoch" not in record:
            raise RunError(f"{path} is not a history of fairart: line {number} is not an epoch")
        records.append(record)
    return records, []
