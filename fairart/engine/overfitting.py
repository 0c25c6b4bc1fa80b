"""Watches single-step training for catastrophic overfitting: all robustness lost while its own accuracy rises."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairart.attacks.steps import step_of
from fairart.engine.data.sources import DeviceData
from fairart.engine.history import EpochRecord
from fairart.engine.network import Network, restored_modes
from fairart.engine.processes import ONE_PROCESS, Processes
from fairart.engine.validation import ValidationAttack
from fairart.execution import OnOverfitting
from fairart.statistics import EpochStatistics

__all__ = ["CatastrophicOverfittingError", "OverfittingWatch", "WatchedEpoch", "watched_epoch"]

IMAGES = 512
STEPS = 10
FALL = 0.5
"""Share of the best PGD accuracy below which there is catastrophic overfitting."""
LEARNT = 2.0
"""PGD accuracy, in units of guessing, from which there is robustness to lose."""


class CatastrophicOverfittingError(RuntimeError):
    """Single-step training lost its robustness within an epoch."""


class OverfittingWatch:
    """Measures PGD-10 accuracy on a few hundred training samples after every epoch (Wong et al., 2020; Rice et al., 2020).

    Catastrophic overfitting: the PGD accuracy falls below half of the best so far, and of the accuracy on the single-step
    examples, which is higher than it was at the best.

    Args:
        network: the classifier as it predicts.
        eps: budget of the attack, in the classifier's input space.
        norm: of that budget, inf or 2.
        action: what follows.
        history: the epochs so far; the trainer's own list, which grows.
        seed: of the choice of samples and of the attack's starts.
        processes: who shares the run; the first one's measure counts.
    """

    def __init__(
        self,
        network: Network,
        *,
        eps: float,
        norm: float = math.inf,
        action: OnOverfitting,
        history: Sequence[EpochRecord],
        seed: int,
        processes: Processes = ONE_PROCESS,
    ) -> None:
        self.network, self.action, self.history = network, action, history
        self.attack = ValidationAttack(eps=eps, eps_step=step_of(eps, None, STEPS), max_iter=STEPS, norm=norm)
        self.seed, self.processes = seed, processes
        self._samples: tuple[Tensor, Tensor] | None = None

    def look_at(self, data: DeviceData) -> None:
        """Choose the samples, from the first data that comes by; later calls change nothing."""
        if self._samples is None:
            order = torch.randperm(len(data), generator=torch.Generator().manual_seed(self.seed))
            self._samples = data.take(order[:IMAGES].to(self.network.device))

    def measure(self) -> float:
        """Accuracy under PGD-10 of the samples looked at, in eval mode, the same for all processes.

        Raises:
            RuntimeError: before :meth:`look_at`.
        """
        if self._samples is None:
            raise RuntimeError("the watch has no samples yet")
        x, y = self._samples
        generator = torch.Generator(x.device).manual_seed(self.seed)
        with restored_modes(self.network, training=False):
            x_adv = self.attack.examples(self.network, x, y, generator=generator)
            with torch.no_grad():
                accuracy = float((self.network(x_adv).argmax(dim=1) == y).double().mean())
        return float(self.processes.same(accuracy))

    def best(self) -> EpochRecord | None:
        """The epoch with the best PGD accuracy so far; None before there is one."""
        seen = [one for one in self.history if one.pgd_accuracy is not None and not one.overfitted]
        return max(seen, key=lambda one: one.pgd_accuracy or 0.0, default=None)

    def explained(self, epoch: int, *, accuracy: float, robust: float) -> str | None:
        """What happened in an epoch, in one sentence with its numbers; None where it is no catastrophic overfitting.

        Args:
            epoch: its number, from 0.
            accuracy: of the samples under PGD after it.
            robust: accuracy on the single-step examples in it.
        """
        best = self.best()
        highest = 0.0 if best is None else best.pgd_accuracy or 0.0
        if best is None or highest < LEARNT / best.robust.nb_classes or robust <= best.robust.accuracy:
            return None
        if accuracy >= FALL * min(highest, robust):
            return None
        return (
            f"catastrophic overfitting in epoch {epoch} (from 0): accuracy under PGD-{STEPS} on training images fell from "
            f"{highest:.1%} to {accuracy:.1%}, while accuracy on the single-step examples rose from "
            f"{best.robust.accuracy:.1%} to {robust:.1%}"
        )


@dataclass(frozen=True)
class WatchedEpoch:
    """What the watch saw of an epoch.

    Args:
        accuracy: under PGD; None where nothing is watched.
        overfitted: whether it is catastrophic overfitting.
        thrown_away: whether the epoch is not to count.
    """

    accuracy: float | None = None
    overfitted: bool = False
    thrown_away: bool = False


def watched_epoch(watch: OverfittingWatch | None, statistics: EpochStatistics) -> WatchedEpoch:
    """Look at an epoch that ended.

    Args:
        watch: the watch, or None.
        statistics: of the epoch.

    Raises:
        CatastrophicOverfittingError: that is what it shows, and the watch is to stop.
    """
    if watch is None:
        return WatchedEpoch()
    accuracy = watch.measure()
    detail = watch.explained(statistics.epoch, accuracy=accuracy, robust=statistics.robust.accuracy)
    if detail is None:
        return WatchedEpoch(accuracy)
    if watch.action == "stop":
        raise CatastrophicOverfittingError(
            f"{detail}. Take a smaller eps, n-fgsm or more steps; on_overfitting='return' keeps the last good epoch"
        )
    follows = "training ends with the weights of the epoch before" if watch.action == "return" else "training goes on"
    warnings.warn(f"{detail}; {follows}", UserWarning, stacklevel=2)
    return WatchedEpoch(accuracy, overfitted=True, thrown_away=watch.action == "return")
