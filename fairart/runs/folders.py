"""The folder of a run: the files in it and their names. Imports nothing heavy."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from fairart.errors import OptionError
from fairart.execution import MAY_FOLLOW
from fairart.runs.config import RunConfig

__all__ = [
    "BEST",
    "CHECKPOINTS",
    "CONFIG",
    "EVALUATION",
    "HISTORY",
    "LABEL_NOISE",
    "METRICS",
    "PARTIAL",
    "RUN_FILES",
    "UNREADABLE",
    "WEIGHTS",
    "RunError",
    "belongs_to",
    "check_evaluation_output",
    "check_output",
    "check_unchanged",
    "clear",
    "describe",
    "read_config",
    "resume_hint",
]

CONFIG = "config.yaml"
HISTORY = "history.jsonl"
WEIGHTS = "model.safetensors"
EVALUATION = "evaluation.json"
LABEL_NOISE = "label_noise.json"
"""Which training labels are wrong and, after training, which of them were learnt; only in runs with label noise."""
METRICS = "metrics.csv"
PARTIAL = "evaluation.partial"
"""Folder of the partial results of an evaluation; deleted when the evaluation is complete."""

UNREADABLE = "unreadable.txt"
"""Image files that were passed over in training, each with what was wrong."""

RUN_FILES = (CONFIG, HISTORY, WEIGHTS, METRICS, LABEL_NOISE, EVALUATION, UNREADABLE, "report.html")
"""Files of a run, besides its checkpoints."""

CHECKPOINTS = "checkpoint"
"""Folder of the checkpoints inside that of the run."""

LEFT_BY_LOGGERS = ("tensorboard/events.out.tfevents.*", "wandb/fairart-run-id")
MAY_CHANGE = ("devices", "logger", "checkpoint_every_minutes", "device", "data_root", "data_memory", "plugins_dir")
"""Fields that a resumed run may change: paths, loggers and the like. The checkpoints check the data themselves."""


class RunError(ValueError):
    """A folder is not a run, or one of its files is damaged; the message names the file."""


def check_output(output: str | Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """Check that a run can be written to a folder, before any work is done.

    Args:
        output: folder; it need not exist yet.
        overwrite: whether an existing run may be replaced.
        resume: whether an existing run is continued.

    Returns:
        The folder as a path; nothing is created.

    Raises:
        OptionError: ``overwrite`` and ``resume`` are both given.
        FileExistsError: the folder has a run already, or is a file.
    """
    if overwrite and resume:
        raise OptionError("a run is either resumed or overwritten, not both (--resume, --overwrite)")
    folder = Path(output).expanduser()
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise FileExistsError(f"{str(part)!r} is a file: expected a folder for the run")
    found = [name for name in RUN_FILES if (folder / name).exists()]
    if found and not overwrite and not (resume and CONFIG in found):
        raise FileExistsError(
            f"{str(output)!r} has a run already ({', '.join(found)}): choose another output, continue it (--resume), or "
            "overwrite it (--overwrite)"
        )
    return folder


def check_evaluation_output(output: str | os.PathLike[str]) -> Path:
    """Check that an evaluation that belongs to no run can be written to a folder, before any work is done.

    Args:
        output: folder; it need not exist yet.

    Returns:
        The folder as a path; nothing is created.

    Raises:
        FileExistsError: the folder has a run, or is a file.
    """
    folder = Path(output).expanduser()
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise FileExistsError(f"{str(part)!r} is a file: expected a folder for the evaluation")
    if (folder / CONFIG).exists():
        raise FileExistsError(
            f"{str(folder)!r} has a run of fairart: choose another output for the evaluation of a model or an ensemble"
        )
    return folder


def check_unchanged(folder: Path, config: RunConfig) -> None:
    """Check that a run is resumed with the settings it was started with.

    Args:
        folder: of the run.
        config: the complete configuration of the run that is asked for now.

    Raises:
        RunError: settings differ; the message names them with both values.
    """
    try:
        saved = RunConfig.load(folder / CONFIG).to_dict()
    except OptionError as error:
        raise RunError(f"the {CONFIG} of the run is damaged or foreign: {error}") from error
    now = config.to_dict()
    kept = [name for name in now if name not in MAY_CHANGE and (name not in MAY_FOLLOW or saved[name] != MAY_FOLLOW[name])]
    differing = [f"{name} was {saved[name]!r}, is {now[name]!r}" for name in kept if saved[name] != now[name]]
    if differing:
        raise RunError(
            f"{str(folder)!r} was started with other settings: {'; '.join(differing)}. "
            "A run is resumed with its own settings: leave them out, or choose another output"
        )


BEST = "best"
"""Folder in a run's folder, a run of its own: the weights of the epoch that was best on held-out images."""


def belongs_to(path: str | Path, folder: str | Path) -> bool:
    """Whether a path is the run in a folder, its best epoch, or weights of theirs: what overwriting the run deletes.

    Args:
        path: of a run or a file.
        folder: of the run that may be overwritten.
    """
    place, found = Path(folder).expanduser().resolve(), Path(path).expanduser().resolve()
    runs = (place, place / BEST)
    return found in (*runs, *(run / WEIGHTS for run in runs)) or found.parent in tuple(run / CHECKPOINTS for run in runs)


def clear(folder: Path, *, keep_config: bool = False) -> None:
    """Delete the files of an earlier run; other files in the folder stay.

    Args:
        folder: of the run.
        keep_config: keep the config, which is about to be replaced: a process killed in between then leaves a run that can be
            started again, not a part of one.
    """
    # The config last of all, for the same reason.
    for name in (*(name for name in RUN_FILES if name != CONFIG), *(() if keep_config else (CONFIG,))):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    if (folder / BEST / CONFIG).is_file():
        shutil.rmtree(folder / BEST, ignore_errors=True)
    for pattern in (f"{CHECKPOINTS}/checkpoint-*", *LEFT_BY_LOGGERS):
        for file in folder.glob(pattern):
            file.unlink()


def resume_hint(folder: Path) -> str:
    """End of a message: how to resume an interrupted run. Empty if there is nothing to resume."""
    if not (folder / CONFIG).exists() or not any((folder / CHECKPOINTS).glob("checkpoint-*.safetensors")):
        return ""
    return f"; resume with: fairart train --resume --output {shlex.quote(str(folder))}"


def describe(folder: Path) -> str:
    """One line about which files of a run exist, for a message after an interruption."""
    if not (folder / CONFIG).exists():
        return "nothing was written"
    try:
        epochs = (folder / HISTORY).read_text(encoding="utf-8").count("\n")
    except OSError:
        epochs = 0
    weights = "the weights" if (folder / WEIGHTS).exists() else "no weights"
    detail = f"{folder} has {CONFIG}, {epochs} epoch{'s' * (epochs != 1)} in {HISTORY}, and {weights}"
    return detail + resume_hint(folder)


def read_config(folder: Path) -> RunConfig:
    """The config of a finished run.

    Args:
        folder: of the run.

    Raises:
        RunError: not a run, an unfinished run, or a damaged config.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {str(folder)!r}")
    if not (folder / CONFIG).is_file():
        raise RunError(f"{str(folder)!r} is not a run of fairart: it has no {CONFIG}")
    try:
        config = RunConfig.load(folder / CONFIG)
    except OptionError as error:
        raise RunError(f"the {CONFIG} of the run is damaged or foreign: {error}") from error
    if not (folder / WEIGHTS).is_file():
        raise RunError(f"{str(folder)!r} has no {WEIGHTS}: its training is not finished")
    return config
