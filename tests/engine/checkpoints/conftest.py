"""Trainers made the same every time."""

from __future__ import annotations

import pytest
import torch

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
