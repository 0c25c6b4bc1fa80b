"""Run a grid in processes that kill themselves at given file operations, until one comes to its end.

    python killed_anywhere.py GRID FOLDER [PATTERN:NUMBER ...]

Each process counts what it opens for writing, renames, removes or makes below the folder, of paths that have its pattern in them,
and kills its process group with SIGKILL before the operation of that number. The last process is not killed. Prints one line of
JSON: for each process, the path of the operation that was not carried out, or null if the process came to its end. Processes are
forked from this one, which has imported everything and computed nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

CHANGING = {"os.rename", "os.remove", "os.mkdir", "os.truncate"}


def changes(event: str, arguments: tuple[Any, ...], folder: str) -> str:
    """The path that an event of Python's audit hook is about to change below a folder; empty if there is none."""
    if event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else "r" not in (mode or "r")
    else:
        path, writes = (arguments[0] if arguments else ""), event in CHANGING
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    # Locks are the system's; the count must not depend on how often they are tried.
    return text if writes and text.startswith(folder) and not Path(text).name.startswith((".lock", ".journal", ".holder")) else ""


def run(grid_file: str, folder: str, deadly: str | None, report: int) -> None:
    """One process."""
    os.setsid()
    pattern, _, number = (deadly or "").rpartition(":")
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        path = changes(event, arguments, folder)
        if deadly is not None and path and pattern in path:
            count += 1
            if count == int(number):
                os.write(report, json.dumps(path.removeprefix(folder)).encode())
                os.killpg(os.getpgrp(), signal.SIGKILL)

    sys.addaudithook(watch)
    from fairart.benchmark import read_grid, run_grid

    assert not run_grid(read_grid(grid_file), folder, workers=0, verbose=False).failed
    os.write(report, b"null")


def main(grid_file: str, folder: str, *deadly: str) -> None:
    """All processes, one after the other."""
    import torch

    import fairart.benchmark.cell
    import fairart.benchmark.check
    import fairart.benchmark.tables.book
    import fairart.tuning.running
    import fairart.tuning.trial
    import fairart.tuning.writing  # noqa: F401

    torch.set_num_threads(1)
    ends = []
    for moment in [*deadly, None]:
        there, here = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(grid_file, folder, moment, here)
                code = 0
            finally:
                os._exit(code)
        os.close(here)
        _, status = os.waitpid(child, 0)
        with os.fdopen(there, "rb") as pipe:
            said = pipe.read()
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not said or (status != 0 and not killed):
            raise SystemExit(f"a process of the grid ended with status {status}")
        ends.append(json.loads(said))
    print(json.dumps(ends))


if __name__ == "__main__":
    main(*sys.argv[1:])
