"""Run by test_checkpoint.py in a process of its own: evaluations that kill themselves at random lines until one ends.

python kill_often.py FOLDER SEED KILLS: prints how many children were killed; leaves FOLDER/whole.json and FOLDER/resumed-*.json.
"""

import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.evaluation import OodSettings, evaluate
from fairart.evaluation.running import partial

FILES = (
    "partial.py",
    "units.py",
    "runner.py",
    "certifying.py",
    "defending.py",
    "shifted.py",
    "running.py",
    "files.py",
    "storage.py",
    "evaluate.py",
    "scores.py",
    "fingerprint.py",
)


def evaluated(folder, name):
    random_state = np.random.default_rng(0)
    x, y = random_state.random((40, 1, 8, 8), dtype=np.float32), random_state.integers(0, 4, 40)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    classifier = PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 4, clip_values=(0, 1), device_type="cpu")
    attacks = [("fgsm", {"eps": 0.05}), ("pgd", {"eps": 0.05, "eps_step": 0.025, "max_iter": 2})]
    result = evaluate(
        classifier,
        x,
        y,
        attacks=attacks,
        corruptions=["gaussian_noise", "brightness"],
        severities=[1, 4],
        certificates=[("smoothing", {"n": 20, "n0": 7, "sigma": 0.1}), ("ibp", {"eps": 0.02, "halvings": 2})],
        ood={"noise": "noise"},
        ood_settings=OodSettings(scores="energy", attack="energy", eps=0.05, max_iter=1),
        shifts={"moved": (np.roll(x[:20], 1, axis=3), y[:20])},
        groups={"site": np.array(["north", "south"])[np.arange(40) % 2]},
        defences=[("jpeg", {"quality": 20}), ("total-variation", {"draws": 1, "max_iter": 2})],
        batch_size=7,
        checkpoint=folder / "partial",
        verbose=False,
    )
    result.save(folder / name)


def in_a_child(work, last_line):
    """Fork, work, and die without warning at a line of ours; (exit status, lines seen)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            said = pipe.read()
        return os.waitpid(child, 0)[1], int(said or 0)
    count = 0

    def trace(frame, event, _):
        nonlocal count
        file = frame.f_code.co_filename
        if "evaluation" not in file or not file.endswith(FILES):
            return None
        count += 1
        if last_line is not None and count >= last_line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    try:
        work()
        sys.settrace(None)
        os.write(writer, str(count).encode())
    finally:
        os._exit(0)


def main(folder, seed, wanted):
    torch.set_num_threads(1)
    draw = random.Random(seed)
    status, lines = in_a_child(lambda: evaluated(folder, "whole.json"), None)
    assert status == 0
    assert lines > 500, lines
    partial.remove_partial(folder / "partial")
    killed = ended = 0
    while killed < wanted:
        partial.SAVE_EVERY = draw.choice([0.0, 0.0, 60.0])
        # Few lines at times: a run may never come further than the one before it, and must not lose what that one had.
        last = draw.randint(1, draw.choice([lines // 10, lines // 2, 2 * lines]))
        status, _ = in_a_child(lambda: evaluated(folder, f"resumed-{ended}.json"), last)  # noqa: B023  # called at once
        if status:
            assert os.WTERMSIG(status) == signal.SIGKILL
            killed += 1
        else:
            ended += 1
            partial.remove_partial(folder / "partial")
    in_a_child(lambda: evaluated(folder, f"resumed-{ended}.json"), None)
    print(killed, ended + 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
