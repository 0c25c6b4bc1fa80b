"""Stages in parts: each part is written as it ends, one that does not fit the time is skipped, one that fails stops no other."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fairart.files import write_text

__all__ = ["Campaign", "Part", "Stage", "machine_of"]

Result = dict[str, Any]


@dataclass(frozen=True)
class Campaign:
    """What all stages share.

    Args:
        device: ``"cuda"`` or ``"cpu"``.
        smoke: toy sizes, to try the script on a CPU.
        output: folder of the JSON files.
        deadline: ``time.monotonic()`` at which the budget ends.
        data: npz file of CIFAR-10, or None.
    """

    device: str
    smoke: bool
    output: Path
    deadline: float
    data: Path | None = None

    def until(self, seconds: float) -> Campaign:
        """The same campaign, ending so many seconds earlier: what is kept for later stages."""
        return dataclasses.replace(self, deadline=self.deadline - seconds)

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Part:
    """One measurement of a stage.

    Args:
        name: its key in the JSON file.
        seconds: what it needs on an H100, roughly; it is skipped if fewer are left. Ignored in a smoke run.
        run: measures; its ``save`` keeps intermediate figures.
    """

    name: str
    seconds: float
    run: Callable[[Callable[[Result], None]], Result]


@dataclass(frozen=True)
class Stage:
    """A stage.

    Args:
        name: also the name of its file.
        share: share of the budget that is kept for it while earlier stages run.
        parts: makes the parts, most important first.
    """

    name: str
    share: float
    parts: Callable[[Campaign], Sequence[Part]]


def machine_of(device: str) -> dict[str, str]:
    """Card and versions: figures of different machines must not be mixed."""
    card = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return {"device": device, "card": card, "torch": torch.__version__, "python": platform.python_version()}


@dataclass
class Record:
    """The file of a stage."""

    path: Path
    machine: dict[str, str]
    parts: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    error: str | None = None

    @classmethod
    def opened(cls, path: Path, machine: dict[str, str]) -> Record:
        """Read the finished parts of an earlier call.

        Raises:
            ValueError: the file is of another machine.
        """
        record = cls(path, machine)
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["machine"] != machine:
                raise ValueError(f"{path} has figures of {found['machine']}, this is {machine}: choose another --output")
            record.parts = {name: part for name, part in found["parts"].items() if "result" in part}
        return record

    def save(self) -> None:
        """Write the file, through a temporary one."""
        complete = self.error is None and not self.skipped and all("result" in part for part in self.parts.values())
        document = {
            "stage": self.path.stem,
            "machine": self.machine,
            "complete": complete,
            "parts": self.parts,
            "skipped": self.skipped,
            "error": self.error,
        }
        write_text(self.path, json.dumps(document, indent=1) + "\n")


def run_stage(campaign: Campaign, stage: Stage) -> Record:
    """Run what is left of a stage; failures are recorded, not raised."""
    record = Record.opened(campaign.output / f"{stage.name}.json", machine_of(campaign.device))
    try:
        parts = stage.parts(campaign)
    except Exception:  # a stage that cannot begin must not stop the next one
        record.error = traceback.format_exc(limit=4)
        record.save()
        return record
    for part in parts:
        if part.name in record.parts:
            continue
        if campaign.left < (0 if campaign.smoke else part.seconds):
            record.skipped.append(part.name)
        else:
            _measure(record, part)
        record.save()
    record.save()
    return record


def _measure(record: Record, part: Part) -> None:
    began = time.monotonic()

    def save(figures: Result) -> None:
        record.parts[part.name] = {"so_far": figures}
        record.save()

    try:
        result = part.run(save)
        # What ran out of time is kept, and done again by the next call.
        key = "so_far" if result.get("stopped_early") else "result"
        record.parts[part.name] = {"seconds": round(time.monotonic() - began, 2), key: result}
        if key == "so_far":
            record.skipped.append(part.name)
    except Exception:  # a failed measurement must not stop the next one
        failed = {"seconds": round(time.monotonic() - began, 2), "error": traceback.format_exc(limit=6)}
        record.parts[part.name] = {**record.parts.get(part.name, {}), **failed}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
