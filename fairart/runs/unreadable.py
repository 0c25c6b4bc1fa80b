"""The list of image files that a run passed over."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from fairart.datasets import Dataset
from fairart.engine.processes import Processes
from fairart.files import write_text

__all__ = ["unreadable_of_all", "write_unreadable"]


def unreadable_of_all(data: Dataset, processes: Processes) -> dict[str, str]:
    """File -> what was wrong with it, of all processes that share a run.

    Args:
        data: the data set, after training.
        processes: who shares the run; each of them calls this.
    """
    return {file: why for found in processes.gathered(dict(data.unreadable)) for file, why in found.items()}


def write_unreadable(found: Mapping[str, str], path: Path, *, verbose: bool) -> None:
    """Write the list, one file a line, and say how many there are; nothing where there are none.

    A resumed run adds to the list of its beginning.

    Args:
        found: file -> what was wrong with it.
        path: of the list.
        verbose: whether to say it.
    """
    before = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    lines = sorted({*before, *(" ".join(why.split()) for why in found.values())})
    if not lines:
        return
    write_text(path, "\n".join(lines) + "\n")
    if verbose:
        files = "image file" if len(lines) == 1 else "image files"
        print(f"fairart: passed over {len(lines)} {files} that could not be read, listed in {path}", file=sys.stderr)
