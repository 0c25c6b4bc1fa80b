"""The folder of a run: the files in it and their names. Imports nothing heavy."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from fairart.errors import OptionError
from fairart.runs.config import RunConfig

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "EVALUATION",
    "HISTORY",
    "METRICS",
    "PARTIAL",
    "RUN_FILES",
    "WEIGHTS",
    "RunError",
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
METRICS = "metrics.csv"
PARTIAL = "evaluation.partial"
"""Folder of what an evaluation has done so far; gone when it is done."""

RUN_FILES = (CONFIG, HISTORY, WEIGHTS, METRICS, EVALUATION, "report.html")
"""What a run leaves behind, besides its checkpoints."""

CHECKPOINTS = "checkpoint"
"""Folder of the checkpoints inside that of the run."""

LEFT_BY_LOGGERS = ("tensorboard/events.out.tfevents.*", "wandb/fairart-run-id")
MAY_CHANGE = ("devices", "logger", "checkpoint_every_minutes", "device", "data_root", "plugins_dir")
"""Fields that a resumed run may set anew: where things are and what is told. The checkpoints themselves know their data."""


class RunError(ValueError):
    """A folder is no run, or a file of it is damaged; the message names the file."""


def check_output(output: str | Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """Refuse a folder that a run cannot be written to, before any work is done.

    Args:
        output: folder; it need not exist yet.
        overwrite: whether the run that is there may be replaced.
        resume: whether the run that is there is gone on with.

    Returns:
        The folder as a path; nothing is created.

    Raises:
        OptionError: both.
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
            f"{str(output)!r} has a run already ({', '.join(found)}): choose another output, go on with it (--resume), or "
            "overwrite it (--overwrite)"
        )
    return folder


def check_unchanged(folder: Path, config: RunConfig) -> None:
    """Refuse to resume a run with other settings than it was begun with.

    Args:
        folder: of the run.
        config: the complete configuration of the run that is asked for now.

    Raises:
        RunError: the fields that differ are named, with both values.
    """
    try:
        saved = RunConfig.load(folder / CONFIG).to_dict()
    except OptionError as error:
        raise RunError(f"the {CONFIG} of the run is damaged or foreign: {error}") from error
    now = config.to_dict()
    kept = [name for name in now if name not in MAY_CHANGE]
    differing = [f"{name} was {saved[name]!r}, is {now[name]!r}" for name in kept if saved[name] != now[name]]
    if differing:
        raise RunError(
            f"{str(folder)!r} was begun with other settings: {'; '.join(differing)}. A run is resumed as it was begun: leave "
            "them out, or choose another output"
        )


def clear(folder: Path, *, keep_config: bool = False) -> None:
    """Take the files of an earlier run away; whatever else is in the folder stays.

    Args:
        folder: of the run.
        keep_config: leave the config, which is about to be replaced: a process killed in between leaves a run that can be begun
            again, and not some files of one.
    """
    # The config last of all, for the same reason.
    for name in (*(name for name in RUN_FILES if name != CONFIG), *(() if keep_config else (CONFIG,))):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    for pattern in (f"{CHECKPOINTS}/checkpoint-*", *LEFT_BY_LOGGERS):
        for file in folder.glob(pattern):
            file.unlink()


def resume_hint(folder: Path) -> str:
    """How to go on with an interrupted run, as the end of a message; empty where there is nothing to go on from."""
    if not (folder / CONFIG).exists() or not any((folder / CHECKPOINTS).glob("checkpoint-*.safetensors")):
        return ""
    return f"; go on with: fairart train --resume --output {shlex.quote(str(folder))}"


def describe(folder: Path) -> str:
    """One line about what a folder has of a run, for a message after an interruption."""
    if not (folder / CONFIG).exists():
        return "nothing was written"
    try:
        epochs = (folder / HISTORY).read_text(encoding="utf-8").count("\n")
    except OSError:
        epochs = 0
    weights = "the weights" if (folder / WEIGHTS).exists() else "no weights"
    told = f"{folder} has {CONFIG}, {epochs} epoch{'s' * (epochs != 1)} in {HISTORY}, and {weights}"
    return told + resume_hint(folder)


def read_config(folder: Path) -> RunConfig:
    """The config of a finished run.

    Args:
        folder: of the run.

    Raises:
        RunError: no run, one whose training was not finished, or a damaged config.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {str(folder)!r}")
    if not (folder / CONFIG).is_file():
        raise RunError(f"{str(folder)!r} is no run of fairart: it has no {CONFIG}")
    try:
        config = RunConfig.load(folder / CONFIG)
    except OptionError as error:
        raise RunError(f"the {CONFIG} of the run is damaged or foreign: {error}") from error
    if not (folder / WEIGHTS).is_file():
        raise RunError(f"{str(folder)!r} has no {WEIGHTS}: its training was not finished")
    return config
