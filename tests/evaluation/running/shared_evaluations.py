"""Evaluations that several processes share, to be imported by those processes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from torch import nn

from fairart.engine.processes import Processes
from fairart.evaluation import evaluate


class Meeting:
    """Sums tensors of several threads, each of which stands for a process."""

    def __init__(self, size: int) -> None:
        self.size, self.given, self.barrier = size, {}, threading.Barrier(size)

    def sum(self, rank: int, tensor: torch.Tensor) -> torch.Tensor:
        self.given[rank] = tensor.clone()
        self.barrier.wait(timeout=60)
        total = torch.stack([self.given[other] for other in range(self.size)]).sum(0, dtype=tensor.dtype)
        self.barrier.wait(timeout=60)
        return total

    def first(self, rank: int, value):
        if rank == 0:
            self.given["first"] = value
        self.barrier.wait(timeout=60)
        answer = self.given["first"]
        self.barrier.wait(timeout=60)
        return answer


class ThreadProcesses(Processes):
    """One of the threads of a meeting."""

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self.meeting, self.rank, self.size = meeting, rank, meeting.size

    def reduce_(self, tensor, op="sum"):
        assert op == "sum"
        return tensor.copy_(self.meeting.sum(self.rank, tensor))

    def same(self, value):
        return self.meeting.first(self.rank, value)


def classifier_and_digits():
    """An untrained network with dropout and batch-norm: what matters here is that all processes find the same."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.from_numpy(x[200:])), torch.from_numpy(y[200:])).backward()
        optimizer.step()
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu"), x, y


def everything(fabric=None, checkpoint=None):
    """All parts of an evaluation, in batches of 30: three whole ones and a smaller one."""
    torch.set_num_threads(1)
    classifier, x, y = classifier_and_digits()
    result = evaluate(
        classifier,
        x[:110],
        y[:110],
        attacks=[("pgd", {"eps": 0.1, "max_iter": 3}), ("square", {"eps": 0.1, "max_iter": 20})],
        corruptions=["gaussian_noise", "fog"],
        severities=[2],
        certificates=[("smoothing", {"n0": 20, "n": 60})],
        ood={"noise": "noise"},
        shifts={"others": (x[120:165], y[120:165])},
        affine={"rotation": (-20, 20)},
        temperature=True,
        defences=["jpeg"],
        sanity_samples=20,
        batch_size=30,
        fabric=fabric,
        checkpoint=checkpoint,
        verbose=True,
    )
    return json.loads(json.dumps(result.to_dict(), default=str))


class Leaving:
    """Evaluates in a process and leaves the result in a file of its rank."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, fabric) -> None:
        found = everything(fabric, Path(self.folder) / "partial")
        (Path(self.folder) / f"{fabric.global_rank}.json").write_text(json.dumps(found))
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
