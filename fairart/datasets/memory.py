"""How much memory and how many cores there are, and amounts of memory as text."""

from __future__ import annotations

import contextlib
import math
import os
import re
from pathlib import Path
from typing import Annotated

from fairart.errors import OptionError
from fairart.plugins.options import Option

__all__ = ["DataMemory", "available_memory", "cores", "memory_text", "parse_memory", "stays_on_disk"]

DataMemory = Annotated[
    str | None,
    Option("most memory for the images, such as 4GiB; more are read from disk batch by batch; by default half of what is free"),
]

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_NO_LIMIT = 1 << 60
"""Control groups of the first version write a huge number where there is no limit."""


def parse_memory(text: str, *, where: str) -> int:
    """Bytes of an amount such as ``4GiB``, ``500 MB`` or ``0``.

    Args:
        text: a number and a unit; bytes where there is none.
        where: what an error calls it.

    Raises:
        OptionError: something else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = None if found is None else _UNITS.get(found[2].upper())
    if found is None or unit is None:
        raise OptionError(f"{where} expects an amount of memory such as 4GiB, 500MB or 0, got {text!r}")
    return int(float(found[1]) * unit)


def memory_text(nbytes: float) -> str:
    """An amount for people: ``"4.0 GiB"``."""
    if nbytes < 1024:
        return f"{nbytes:.0f} bytes"
    power = min(4, int(math.log(nbytes, 1024)))
    return f"{nbytes / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def stays_on_disk(nbytes: int, data_memory: str | None, *, where: str) -> tuple[bool, str]:
    """Whether images are read batch by batch, and the sentence that says so; empty where they are not.

    Args:
        nbytes: of all images as arrays.
        data_memory: most memory for them; None for half of what is free.
        where: what an error calls the data set.

    Raises:
        OptionError: no amount of memory.
    """
    limit = available_memory() // 2 if data_memory is None else parse_memory(data_memory, where=f"{where}: data_memory")
    if nbytes <= limit:
        return False, ""
    what = "half of the free memory" if data_memory is None else "data_memory"
    return True, f"images are read from disk batch by batch: {memory_text(nbytes)} are more than {what}, {memory_text(limit)}"


def available_memory() -> int:
    """Bytes that this process could still use: what the machine has free, and what its control group and own limits leave."""
    return min([_of_machine(), *_of_control_group(), *_of_own_limits()])


def _of_own_limits() -> list[int]:
    """What ``ulimit -v`` and ``ulimit -d`` leave, where they are set."""
    left = []
    with contextlib.suppress(ImportError, OSError, ValueError, KeyError):
        # Not on every system.
        import resource

        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        taken = dict(line.split(":", 1) for line in lines)
        for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
            most = resource.getrlimit(kind)[0]
            if most != resource.RLIM_INFINITY:
                left.append(max(0, most - int(taken[name].split()[0]) * 1024))
    return left


def _of_machine() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        # Where the system does not say what is free, half of what there is.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def _of_control_group() -> list[int]:
    """What each limit of a control group leaves; page cache counts as free, since the system gives it up."""
    left = []
    for limit, usage, statistics in _control_group_files():
        with contextlib.suppress(OSError, ValueError):
            most = int(limit.read_text(encoding="ascii"))
            if most < _NO_LIMIT:
                used = int(usage.read_text(encoding="ascii"))
                cached = dict(line.split() for line in statistics.read_text(encoding="ascii").splitlines())
                left.append(max(0, most - used + int(cached.get("inactive_file", 0))))
    return left


def _control_group_files() -> list[tuple[Path, Path, Path]]:
    folders: list[tuple[Path, str, str]] = []
    old = Path("/sys/fs/cgroup/memory")
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            number, names, path = line.split(":", 2)
            root = Path("/sys/fs/cgroup") if number == "0" else old
            if number == "0" or "memory" in names.split(","):
                limit, usage = (
                    ("memory.max", "memory.current") if number == "0" else ("memory.limit_in_bytes", "memory.usage_in_bytes")
                )
                own = root / path.lstrip("/")
                # A limit of a group holds for those in it.
                inside = [own, *(parent for parent in own.parents if parent == root or root in parent.parents)]
                folders += [(folder, limit, usage) for folder in inside]
    return [(folder / limit, folder / usage, folder / "memory.stat") for folder, limit, usage in folders]


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
