"""Trains under a limit of the system on this process's memory: a script, since a limit cannot be raised again.

Prints one JSON document: the memory that was free, and what was said of a batch that is too large.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
import torch

from fairart.datasets.memory import available_memory
from fairart.errors import NotEnoughMemoryError
from fairart.runs.config import RunConfig
from fairart.runs.run import train_run

LEFT = 256 << 20
SIDE, IMAGES = 64, 512


def main(folder: Path) -> None:
    """Write the data, train batches that fit, and then one that does not under the limit."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (IMAGES, 3, SIDE, SIDE), dtype=np.uint8), np.arange(IMAGES) % 4
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    short = {"epochs": 1, "max_iter": 1, "device": "cpu", "dataset": f"npz:{folder / 'data.npz'}", "augmentation": "none"}
    short["options"] = {"model": {"width": 32}}
    # Whatever is loaded late is loaded now, and not counted as the memory of a step.
    train_run(RunConfig(trainer="standard", batch_size=2, **{**short, "per_class": 2}), folder / "small", verbose=False)
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    most = int(lines["VmSize"].split()[0]) * 1024 + LEFT
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    said: dict[str, object] = {"available": available_memory()}
    try:
        train_run(RunConfig(trainer="standard", batch_size=IMAGES, **short), folder / "large", verbose=False)
    except NotEnoughMemoryError as error:
        said["large"] = str(error)
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
