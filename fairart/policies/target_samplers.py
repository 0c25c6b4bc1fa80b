"""Target samplers: which class each adversarial example aims at (FAIR-TAT, WACV 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart import draws
from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.plugins.options import Option
from fairart.policies.base import FloatArray, Policy, ask, checked
from fairart.statistics import EpochStatistics

__all__ = [
    "CFPSSampler",
    "ConfusionSampler",
    "RunnerUpSampler",
    "SoftmaxCFPSSampler",
    "TRIXSampler",
    "TargetSampler",
    "UniformSampler",
]


class TargetSampler(Policy):
    """Draws a target class for every sample; subclasses write :meth:`class_weights`.

    The first epoch draws uniformly among the other classes. After each epoch :meth:`class_weights` is asked again: the true
    class's weight is set to zero (unless the sampler ``mixes``) and the rest renormalised here, a row that is then empty falls
    back to uniform.
    ``needs_logits = True`` has the engine compute clean logits (one forward pass more a batch) and hand them to :meth:`sample`.
    """

    needs_logits: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    """Whether a target may equal its label, which asks for an untargeted example. TRADES then computes the clean prediction that
    its untargeted attack needs, one forward pass more a batch."""

    # On the class: a subclass whose __init__ does not call this one has them too.
    probabilities: FloatArray | None = None
    _table: Tensor | None = None

    def start(self, nb_classes: int) -> None:
        """Begin a run with uniform targets, unless probabilities for that many classes are there already.

        Args:
            nb_classes: K >= 2.

        Raises:
            PolicyError: fewer than two classes.
        """
        if nb_classes < 2:
            raise PolicyError(f"{origin(self)}: targets other than the label need at least 2 classes, got {nb_classes}")
        self.nb_classes = nb_classes
        if self.probabilities is None or len(self.probabilities) != nb_classes:
            self._plan(1.0 - np.eye(nb_classes))

    def class_weights(self, statistics: EpochStatistics) -> Any:
        """How often to aim at each class in the next epoch; with ``mixes``, a weight of the true class asks for no target.

        Args:
            statistics: of the epoch that ended.

        Returns:
            (K,) weights of the target classes, or (K, K) with a row for each true class; >= 0, not all zero.
        """
        return np.ones(statistics.robust.nb_classes)

    def update(self, statistics: EpochStatistics) -> None:
        """Plan the next epoch from the statistics of the last.

        Raises:
            PolicyError: :meth:`class_weights` raised or broke its rules.
        """
        size = statistics.robust.nb_classes
        answer = ask(self, "class_weights", self.class_weights, statistics)
        weights = checked(self, "class_weights", answer, ((size,), (size, size)), positive=True)
        self._plan(np.array(np.broadcast_to(weights, (size, size))))

    def _plan(self, weights: FloatArray) -> None:
        if not self.mixes:
            np.fill_diagonal(weights, 0.0)
        empty = weights.sum(axis=1) <= 0
        weights[empty] = 1.0 - np.eye(len(weights))[empty]
        self.probabilities = weights / weights.sum(axis=1, keepdims=True)
        self._table = None

    def sample(self, labels: Tensor, *, logits: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Draw targets for a batch.

        Args:
            labels: (n,) true classes.
            logits: (n, K) clean logits where ``needs_logits``, else None.
            generator: random state on the device of ``labels``.

        Returns:
            (n,) targets in [0, K); one that equals its label asks for an untargeted example.
        """
        return _race(self._rows(labels), generator)

    def _rows(self, labels: Tensor) -> Tensor:
        """(n, K) probabilities of each sample's targets."""
        if self.probabilities is None:
            raise PolicyError(f"{origin(self)}: sample() before start()")
        if self._table is None or self._table.device != labels.device:
            self._table = torch.as_tensor(self.probabilities, dtype=torch.float32, device=labels.device)
        return self._table[labels]

    def sample_apart(
        self, labels: Tensor, shares: Tensor, *, logits: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw targets for mixed samples: none but an untargeted one is a class that its sample has a share of.

        A target that is one is drawn anew from the probabilities without those classes, uniformly where these are all zero or the
        sampler has none. Together that is a draw from the probabilities without those classes.

        Args:
            labels: (n,) classes with the largest share.
            shares: (n, K) share of each class in each sample.
            logits: see :meth:`sample`; those of the classes in the sample are set to -inf before.
            generator: random state on the device of ``labels``.

        Returns:
            (n,) targets as of :meth:`sample`.
        """
        inside = shares > 0
        apart = None if logits is None else logits.masked_fill(inside, -torch.inf)
        targets = self.sample(labels, logits=apart, generator=generator)
        weights = (~inside).float()
        if self.probabilities is not None and not self.needs_logits:
            # The label itself stays where the sampler asks for untargeted examples.
            table = self._rows(labels) * weights.scatter(1, labels[:, None], 1.0)
            weights = torch.where(table.sum(dim=1, keepdim=True) > 0, table, weights)
        others = _race(weights, generator)
        # Targets outside the classes are left for the engine to find.
        hit = inside.gather(1, targets.clamp(0, shares.shape[1] - 1)[:, None])[:, 0]
        return torch.where(hit & (targets != labels), others, targets)

    def state_dict(self) -> dict[str, Any]:
        """The probabilities in force."""
        return {"probabilities": None if self.probabilities is None else self.probabilities.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the probabilities back."""
        plan = state["probabilities"]
        self.probabilities = None if plan is None else np.array(plan, dtype=np.float64)
        self._table = None


def _race(weights: Tensor, generator: torch.Generator | None) -> Tensor:
    """A draw from the (n, K) weights of each row, (n,)."""
    # The largest p / Exp(1) is a draw from p (exponential race): no read-back from the device, and p = 0 never wins.
    uniform = draws.rand(weights.shape, generator=generator, device=weights.device, dtype=weights.dtype)
    race = -torch.log1p(-uniform)
    return (weights / race.clamp_min(torch.finfo(weights.dtype).tiny)).argmax(dim=1)


class UniformSampler(TargetSampler):
    """Aim at every other class alike (FAIR-TAT, appendix A.2)."""


class CFPSSampler(TargetSampler):
    """Aim at a class as often as errors of the last epoch ended there (FAIR-TAT, Eq. 8 and 9).

    Paper: weight_k = CFPS_k, the true class's set to zero, the rest renormalised; here the same. The authors' program takes
    a softmax instead: ``cfps-softmax``.
    """

    def class_weights(self, statistics: EpochStatistics) -> FloatArray:
        """CFPS of the adversarial training batches, (K,)."""
        return statistics.robust.cfps


class SoftmaxCFPSSampler(TargetSampler):
    """Aim by softmax(scale * CFPS), the form of the FAIR-TAT authors' program.

    Args:
        scale: factor inside the softmax.
    """

    def __init__(
        self,
        *,
        scale: Annotated[float, Option("factor inside the softmax", low=0, source="FAIR-TAT program")] = 2.0,
    ) -> None:
        super().__init__()
        self.scale = scale

    def class_weights(self, statistics: EpochStatistics) -> FloatArray:
        """softmax(scale * CFPS), (K,)."""
        exponent = self.scale * statistics.robust.cfps
        weights: FloatArray = np.exp(exponent - exponent.max())
        weights /= weights.sum()
        return weights


class ConfusionSampler(TargetSampler):
    """Aim from class i at class j as often as i was mistaken for j: P(predicted j, given true i)."""

    def class_weights(self, statistics: EpochStatistics) -> FloatArray:
        """Errors of each true class by predicted class, (K, K); uniform where a class made none."""
        errors = statistics.robust.counts.astype(np.float64)
        np.fill_diagonal(errors, 0.0)
        # A class without errors, or all of them, says nothing: uniform, also when no class made any.
        errors[errors.sum(axis=1) == 0] = 1.0
        return errors


class RunnerUpSampler(TargetSampler):
    """Aim each sample at its own most likely wrong class, read off its clean logits (named as future work by FAIR-TAT)."""

    needs_logits: ClassVar[bool] = True

    def sample(self, labels: Tensor, *, logits: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """The most likely class other than the label, (n,).

        Raises:
            PolicyError: no logits were given.
        """
        if logits is None:
            raise PolicyError(f"{origin(self)}: sample() needs logits (n, K), got None")
        return logits.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)


class TRIXSampler(TargetSampler):
    """Strong classes get targeted examples, targets drawn uniformly; weak classes untargeted ones (TRIX, Medi et al., 2025).

    Class k is strong where its robust accuracy in training reaches the threshold. Untargeted attacks are the stronger ones, so
    weak classes train on harder examples. The first epoch aims every class; so does a class without samples.

    Args:
        threshold: accuracy from which a class is strong: a number in [0, 1], or "mean" or "median" of the classes. The paper's
            could not be read: "mean" is ours.
    """

    mixes: ClassVar[bool] = True

    def __init__(
        self,
        *,
        threshold: Annotated[
            Literal["mean", "median"] | float,
            Option("accuracy from which a class is strong: mean, median, or a number in [0, 1]", low=0, high=1, source="ours"),
        ] = "mean",
    ) -> None:
        super().__init__()
        self.threshold = threshold

    def strong(self, statistics: EpochStatistics) -> npt.NDArray[np.bool_]:
        """(K,) bool, which classes are strong; an absent class is.

        Args:
            statistics: of the epoch that ended.
        """
        accuracy = statistics.robust.class_accuracy
        seen = accuracy[statistics.robust.support > 0]
        if not len(seen):
            return np.ones(len(accuracy), dtype=bool)
        named = {"mean": float(np.mean(seen)), "median": float(np.median(seen))}
        threshold = named[self.threshold] if isinstance(self.threshold, str) else self.threshold
        return np.isnan(accuracy) | (accuracy >= threshold)

    def class_weights(self, statistics: EpochStatistics) -> FloatArray:
        """(K, K): rows of strong classes uniform over the others, rows of weak ones all on the class itself."""
        strong, own = self.strong(statistics), np.eye(statistics.robust.nb_classes)
        return np.where(strong[:, None], 1.0 - own, own)
