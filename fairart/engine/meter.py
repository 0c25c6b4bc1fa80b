"""Running sums of one epoch, kept on the device and read once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fairart.attacks.common import distances
from fairart.engine.processes import ONE_PROCESS, Processes
from fairart.policies.class_weightings.base import LossTerms
from fairart.statistics import ConfusionMatrix
from fairart.statistics.confusion_matrix import FloatArray

__all__ = ["EpochMeter", "count"]


def count(counts: Tensor, labels: Tensor, logits: Tensor) -> None:
    """Add a batch to a flat (K * K,) tensor of counts, without reading anything back.

    Raises:
        ValueError: the logits are not those of K classes.
    """
    size = math.isqrt(len(counts))
    if logits.ndim != 2 or logits.shape[1] != size:
        raise ValueError(f"the model must return logits (n, {size}) for nb_classes={size}, got {tuple(logits.shape)}")
    cells = labels * size + logits.detach().argmax(dim=1)
    counts.index_add_(0, cells, torch.ones_like(cells))


class EpochMeter:
    """Confusion counts, losses and the largest perturbation of each class in one epoch.

    Args:
        nb_classes: K.
        device: where to keep the sums.
        needs: what else to measure: ``"clean"``, ``"mean_probabilities"``.
    """

    def __init__(self, nb_classes: int, device: torch.device, needs: frozenset[str]) -> None:
        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.nb_classes = nb_classes
        self._robust = zeros(nb_classes * nb_classes)
        self._clean = zeros(nb_classes * nb_classes) if "clean" in needs else None
        self._probabilities = zeros(nb_classes, nb_classes, dtype=torch.float64) if "mean_probabilities" in needs else None
        self._losses: list[Tensor] = []
        self._changes = zeros(nb_classes, dtype=torch.float32)
        self._bad_targets = zeros(dtype=torch.bool)

    def add(self, terms: LossTerms, labels: Tensor, loss: Tensor) -> None:
        """Add one batch, or this process's part of one."""
        count(self._robust, labels, terms.adversarial_logits)
        if self._clean is not None and terms.clean_logits is not None:
            count(self._clean, labels, terms.clean_logits)
        if self._probabilities is not None:
            probabilities = torch.softmax(terms.adversarial_logits.detach().double(), dim=1)
            self._probabilities.index_add_(0, labels, probabilities)
        self._losses.append(loss.detach())

    def reduce_(self, processes: Processes) -> None:
        """Sum everything over the processes; the losses, summands of the whole batch's, as well."""
        for sums in (self._robust, self._clean, self._probabilities):
            if sums is not None:
                processes.reduce_(sums)
        processes.reduce_(self._changes, "max")
        self._losses = list(self._stacked(processes))

    def _stacked(self, processes: Processes) -> Tensor:
        return processes.reduce_(torch.stack(self._losses))

    @property
    def batches(self) -> int:
        """Number of batches so far."""
        return len(self._losses)

    def add_change(self, change: Tensor, labels: Tensor, norm: float = math.inf) -> None:
        """Note the largest change that an attack made to a sample of each class.

        Args:
            change: (n, ...) adversarial less clean inputs.
            labels: (n,) classes.
            norm: that the change is measured in, inf or 2.
        """
        largest = distances(change.detach(), norm).float()
        self._changes.scatter_reduce_(0, labels, largest, "amax")

    def add_bad_targets(self, found: Tensor) -> None:
        """Note whether a batch had targets outside the classes."""
        self._bad_targets |= found

    def had_bad_targets(self) -> bool:
        """Whether any batch had targets outside the classes. Reads from the device."""
        return bool(self._bad_targets)

    def first_bad_batch(self, processes: Processes = ONE_PROCESS) -> int | None:
        """The first batch whose loss is NaN or infinite in any process, or None. Reads from the device."""
        bad = torch.nonzero(~torch.isfinite(self._stacked(processes)))
        return int(bad[0]) if len(bad) else None

    def largest_changes(self) -> FloatArray:
        """(K,) largest change that the epoch's attacks made to each class, in the norm of the budget. Reads from the device."""
        changes: FloatArray = self._changes.cpu().numpy()
        return changes

    @property
    def samples(self) -> int:
        """Number of samples. Reads from the device."""
        return int(self._robust.sum())

    def mean_loss(self) -> float:
        """Mean loss over the batches. Reads from the device."""
        return float(torch.stack(self._losses).mean())

    def robust(self) -> ConfusionMatrix:
        """Predictions on the adversarial batches. Reads from the device."""
        return self._matrix(self._robust)

    def clean(self) -> ConfusionMatrix | None:
        """Predictions on the clean batches, where measured. Reads from the device."""
        return None if self._clean is None else self._matrix(self._clean)

    def mean_probabilities(self) -> FloatArray | None:
        """(K, K) mean softmax output over class i's samples, zero rows for absent classes. Reads from the device."""
        if self._probabilities is None:
            return None
        support = self._robust.view(self.nb_classes, -1).sum(dim=1, keepdim=True).clamp_min(1)
        means: FloatArray = (self._probabilities / support).cpu().numpy()
        return means

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, for a checkpoint within an epoch."""
        return {
            "robust": self._robust,
            "clean": self._clean,
            "probabilities": self._probabilities,
            "losses": torch.stack(self._losses) if self._losses else None,
            "changes": self._changes,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the sums back, on the meter's own device."""
        for name, sums in (("robust", self._robust), ("clean", self._clean), ("probabilities", self._probabilities)):
            if sums is not None:
                sums.copy_(state[name])
        self._changes.copy_(state["changes"])
        losses = state["losses"]
        self._losses = [] if losses is None else list(losses.to(self._changes.device).unbind())

    def _matrix(self, counts: Tensor) -> ConfusionMatrix:
        return ConfusionMatrix(counts.view(self.nb_classes, -1).cpu().numpy())
