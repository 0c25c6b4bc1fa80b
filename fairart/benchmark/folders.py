"""The folder of a run: which files it has, and what is said about them. Imports nothing heavy."""

from __future__ import annotations

import shutil
from pathlib import Path

from fairart.config import RunConfig
from fairart.errors import OptionError

__all__ = [
    "CONFIG",
    "EVALUATION",
    "HISTORY",
    "PARTIAL",
    "RUN_FILES",
    "WEIGHTS",
    "RunError",
    "check_output",
    "clear",
    "describe",
    "read_config",
]

CONFIG = "config.yaml"
HISTORY = "history.jsonl"
WEIGHTS = "model.safetensors"
EVALUATION = "evaluation.json"
PARTIAL = "evaluation.partial"
"""Folder of what an evaluation has done so far; gone when it is done."""

RUN_FILES = (CONFIG, HISTORY, WEIGHTS, EVALUATION, "report.html")
"""What a run leaves behind."""


class RunError(ValueError):
    """A folder is no run, or a file of it is damaged; the message names the file."""


def check_output(output: str | Path, *, overwrite: bool = False) -> Path:
    """Refuse a folder that a run cannot be written to, before any work is done.

    Args:
        output: folder; it need not exist yet.
        overwrite: whether the run that is there may be replaced.

    Returns:
        The folder as a path; nothing is created.

    Raises:
        FileExistsError: the folder has a run already, or is a file.
    """
    folder = Path(output).expanduser()
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise FileExistsError(f"{str(part)!r} is a file: expected a folder for the run")
    found = [name for name in RUN_FILES if (folder / name).exists()]
    if found and not overwrite:
        raise FileExistsError(
            f"{str(output)!r} has a run already ({', '.join(found)}): choose another output, or overwrite it (--overwrite)"
        )
    return folder


def clear(folder: Path) -> None:
    """Take the files of an earlier run away; whatever else is in the folder stays."""
    for name in RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def describe(folder: Path) -> str:
    """One line about what a folder has of a run, for a message after an interruption."""
    if not (folder / CONFIG).exists():
        return "nothing was written"
    try:
        epochs = (folder / HISTORY).read_text(encoding="utf-8").count("\n")
    except OSError:
        epochs = 0
    weights = "the weights" if (folder / WEIGHTS).exists() else "no weights"
    return f"{folder} has {CONFIG}, {epochs} epoch{'s' * (epochs != 1)} in {HISTORY}, and {weights}"


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
