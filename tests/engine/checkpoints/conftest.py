"""Trainers made the same every time, and fits that stop at a checkpoint."""

from __future__ import annotations

import pytest
import torch
from resuming import Stopped

from fairart.engine.checkpoints.checkpointing import FitCheckpoints
from fairart.trainers import (
    FairTATTrainer,
)


@pytest.fixture
def make(make_classifier):
    """``make(kind, options, scheduler=..., **what PyTorchClassifier takes) -> trainer, scheduler``, the same every time."""

    def made(kind=FairTATTrainer, options=None, *, scheduler=None, **given):
        classifier = make_classifier(3, **{"lr": 0.05, **given})
        trainer = kind(classifier, **{"eps": 0.1, "eps_step": 0.05, "max_iter": 2, **(options or {})})
        by = scheduler or (lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3], 0.1))
        return trainer, by(classifier.optimizer)

    return made


@pytest.fixture
def stop_after(monkeypatch):
    """``stop_after(n)``: the n-th checkpoint from now on is the last thing that happens; None for never."""
    save, left = FitCheckpoints.save, [0]

    def counted(self, state):
        save(self, state)
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    monkeypatch.setattr(FitCheckpoints, "save", counted)

    def arm(number):
        left[0] = 0 if number is None else number

    return arm
