"""Optimizer and learning-rate schedule of a run, all torch's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from fairart.runs.config import RunConfig

__all__ = ["Schedule", "build_optimizer"]


def build_optimizer(config: RunConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """SGD or AdamW with the config's learning rate and weight decay; the momentum is SGD's.

    Args:
        config: the run.
        parameters: what is trained.
    """
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(parameters, lr=config.lr, momentum=config.momentum or 0.0, weight_decay=config.weight_decay)


class Schedule:
    """Makes the learning-rate scheduler of a run once the number of batches is known; ``fit(scheduler=...)`` takes it.

    multistep divides by 10 after each of ``lr_milestones``; cosine falls to 0 along half a cosine; onecycle rises linearly from 0
    for half of the run and falls linearly to 0 (Wong et al., ICLR 2020); constant stays. A warm-up rises linearly before: cosine
    spans what is left.

    Args:
        config: the run.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    @property
    def by_batch(self) -> bool:
        """Whether the learning rate moves with every batch; else it moves between epochs."""
        return self.config.schedule in ("cosine", "onecycle") or self.config.warmup_epochs > 0

    def __call__(self, optimizer: torch.optim.Optimizer, *, nb_epochs: int, nb_batches: int) -> Any:
        """The scheduler.

        Args:
            optimizer: of the classifier.
            nb_epochs: epochs of the fit.
            nb_batches: batches an epoch.
        """
        if not self.by_batch:
            # Rounded up, and with room for 0.1 * 30 > 3 in floats: a share never falls on the very first epoch.
            milestones = [math.ceil(share * nb_epochs - 1e-9) for share in self._milestones()]
            return torch.optim.lr_scheduler.MultiStepLR(optimizer, sorted(milestones), gamma=0.1)
        warm_up = round(self.config.warmup_epochs * nb_batches)
        return torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self._factor(step, warm_up, nb_epochs * nb_batches, nb_epochs)
        )

    def _milestones(self) -> tuple[float, ...]:
        return self.config.lr_milestones if self.config.schedule == "multistep" else ()

    def _factor(self, step: int, warm_up: int, steps: int, nb_epochs: int) -> float:
        if self.config.schedule == "onecycle":
            # Read in the middle of each batch, so that none is lost at a rate of 0.
            return max(0.0, 1 - abs(2 * (step + 0.5) / steps - 1))
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        if self.config.schedule == "cosine":
            done = (step - warm_up) / max(1, steps - warm_up)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        batches = steps // nb_epochs
        milestones = [math.ceil(share * nb_epochs - 1e-9) * batches for share in self._milestones()]
        factor: float = 0.1 ** sum(step >= milestone for milestone in milestones)
        return factor
