"""Self-training: labels that the network confidently contradicts are replaced by its own predictions."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairart.engine.data.batches import Samples
from fairart.engine.history import EpochRecord
from fairart.engine.loop import Engine
from fairart.engine.meter import EpochMeter

__all__ = ["SelfTrainingEngine", "replaced_labels"]

EPOCHS_TO_TELL = 5
"""Epochs of self-training without a replaced label after which that is worth a warning: the first ones are seldom sure."""


def replaced_labels(logits: Tensor, labels: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """The predicted class where its probability reaches the threshold, else the label.

    Args:
        logits: (n, K).
        labels: (n,).
        threshold: in (0, 1].

    Returns:
        (n,) labels, and the largest probability of a prediction that contradicts its label, a scalar; 0 where none does.
    """
    confidences, classes = logits.softmax(dim=1).max(dim=1)
    contradicting = torch.where(classes != labels, confidences, torch.zeros_like(confidences))
    return torch.where(confidences >= threshold, classes, labels), contradicting.max()


class SelfTrainingEngine(Engine):
    """Trains on replaced labels after a warm-up; takes the arguments of :class:`fairart.engine.loop.Engine` as well.

    The predictions are those of the network as it is, in eval mode, on the clean images of the batch. Attack, budgets, weights
    and statistics go by the label that is trained on. Given labels stay in the data: what is replaced in one epoch need not be in
    the next.

    Args:
        *arguments: of the engine.
        threshold: confidence from which a label is replaced.
        warm_up: epochs with the labels as given; None for half of the run.
        **options: of the engine.
    """

    def __init__(self, *arguments: Any, threshold: float, warm_up: int | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.threshold, self.warm_up = threshold, warm_up
        self._first = 0
        # Seen and replaced, by given class.
        self._counts = torch.zeros((2, self.nb_classes), dtype=torch.int64, device=self.network.device)
        # The largest confidence of a prediction that contradicts its label, in the whole run.
        self._surest = torch.zeros((), device=self.network.device)

    def run(self, *arguments: Any, nb_epochs: int, **options: Any) -> None:
        """Train, see :meth:`fairart.engine.loop.Engine.run`.

        Args:
            *arguments: of that method.
            nb_epochs: where to stop.
            **options: of that method.
        """
        self._first = math.ceil(nb_epochs / 2) if self.warm_up is None else self.warm_up
        super().run(*arguments, nb_epochs=nb_epochs, **options)
        surest, long_enough = float(self._surest), nb_epochs - self._first >= EPOCHS_TO_TELL
        if long_enough and 0 < surest < self.threshold:
            warnings.warn(
                f"self-training replaced no label: no prediction that contradicts a label was surer than {surest:.2f}, and the "
                f"threshold is {self.threshold:g}. A network that is trained on wrong labels is seldom surer than the share of "
                "right ones: take a threshold near that share",
                UserWarning,
                stacklevel=2,
            )

    def further_state(self) -> dict[str, Any]:
        """The counts of the epoch under way, and the largest confidence so far."""
        return {"counts": self._counts, "surest": self._surest}

    def load_further_state(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._counts.copy_(state["counts"])
        self._surest.copy_(state["surest"])

    def _epoch(self, *arguments: Any) -> EpochRecord:
        record = super()._epoch(*arguments)
        counts = self._counts.clone()
        self.processes.reduce_(counts)
        self._counts.zero_()
        if record.epoch < self._first:
            return record
        seen, replaced = counts.cpu().double().numpy()
        return dataclasses.replace(record, relabelled=replaced / seen.clip(min=1))

    def _step(self, samples: Samples, epoch: int, meter: EpochMeter) -> None:
        if epoch >= self._first:
            labels, surest = replaced_labels(self._clean_logits(samples.x), samples.y, self.threshold)
            torch.maximum(self._surest, surest.to(self._surest), out=self._surest)
            for row, there in enumerate((torch.ones_like(samples.y), (labels != samples.y).long())):
                self._counts[row].scatter_add_(0, samples.y, there)
            samples = samples._replace(y=labels)
        super()._step(samples, epoch, meter)
