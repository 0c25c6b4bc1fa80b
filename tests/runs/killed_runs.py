"""Trains runs that kill themselves with SIGKILL at random moments, and resumes them: a script, so that it can fork.

Python's profiler counts every call and return of a run; at a number drawn beforehand the process kills itself. So the moments are
anywhere, between two lines of the writer too, and the same in every test run. Prints one JSON document.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors.torch
import torch

from fairart.engine.checkpoints import folder as checkpoint_folder
from fairart.engine.checkpoints.folder import CheckpointFolder
from fairart.runs import build
from fairart.runs.config import RunConfig
from fairart.runs.run import train_run

SHORT = {
    "per_class": 12, "epochs": 3, "batch_size": 40, "max_iter": 1, "eps": 0.1, "eps_step": 0.05, "lr": 0.05, "hold_out": 0.2,
    "device": "cpu", "options": {"model": {"width": 4}},
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "fair-tat": {"averaging": "fawa", "options": {"averaging": {"start_epoch": 0, "threshold": 0.0}, "model": {"width": 4}}},
    "wat": {"checkpoint_every_minutes": 0},
    "frl": {"options": {"trainer": {"warm_up": 1}, "model": {"width": 4}}},
    "dafa": {"checkpoint_every_minutes": 0, "options": {"trainer": {"warm_up": 1}, "model": {"width": 4}}},
}
WRITER = CheckpointFolder.save.__code__


class Clock:
    """Counts the profiler's events, all of them and those while a checkpoint is written, and kills at one."""

    def __init__(self, *, kill_at: int | None = None, writing_only: bool = False) -> None:
        self.all = self.writing = 0
        self.kill_at, self.writing_only, self.inside = kill_at, writing_only, False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code is WRITER and event in ("call", "return"):
            self.inside = event == "call"
        self.all += 1
        self.writing += self.inside
        if self.kill_at == (self.writing if self.writing_only else self.all):
            os.kill(os.getpid(), signal.SIGKILL)


def save_in_pieces(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """As ``save_file``, but with moments in the middle of the file."""
    data = safetensors.torch.save(tensors, metadata)
    with Path(path).open("wb", buffering=0) as file:
        for first in range(0, len(data), len(data) // 20 + 1):
            file.write(data[first : first + len(data) // 20 + 1])


def in_child(work: Callable[[], None]) -> int:
    """Run in a fork; its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def config(method: str) -> RunConfig:
    return RunConfig(trainer=method, **{**SHORT, **METHODS[method]})


def train(method: str, folder: Path, clock: Clock | None) -> None:
    sys.setprofile(clock)
    try:
        train_run(config(method), folder, resume=True, verbose=False)
    finally:
        sys.setprofile(None)


def whole_run(method: str, folder: Path) -> tuple[int, int]:
    """Train without interruption, and count."""

    def work() -> None:
        clock = Clock()
        train(method, folder, clock)
        (folder / "events.json").write_text(json.dumps([clock.all, clock.writing]))

    assert in_child(work) == 0
    every, writing = json.loads((folder / "events.json").read_text())
    return every, writing


def main(root: Path, kills: int, seed: int = 0) -> None:
    torch.set_num_threads(1)
    checkpoint_folder.save_file = save_in_pieces
    data = build.build_dataset(config("wat"))
    build.build_dataset = lambda *_, **__: data
    # Lazy imports happen here, once, and not in every fork.
    train("wat", root / "warm-up", None)
    draw, done = random.Random(seed), {}
    for method in METHODS:
        every, writing = whole_run(method, root / f"{method}-whole")
        killed: list[str] = []
        runs = 0
        while len(killed) < kills:
            # A run that got through before all its kills is complete: another one takes the rest.
            folder, runs = root / f"{method}-{runs}", runs + 1
            code = -signal.SIGKILL
            while code != 0:
                writing_only = len(killed) % 2 == 1
                moment = draw.randrange(1, (writing if writing_only else every) // 2) if len(killed) < kills else None
                code = in_child(lambda: train(method, folder, Clock(kill_at=moment, writing_only=writing_only)))  # noqa: B023
                if code == -signal.SIGKILL:
                    killed.append("writing" if writing_only else "anywhere")
                elif code != 0:
                    raise SystemExit(f"{method}: a resumed run ended with {code}")
        done[method] = {"killed": killed, "runs": runs}
    print(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
