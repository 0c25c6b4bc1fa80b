"""Randomised smoothing: what the model predicts most often under Gaussian noise, and an L2 radius that holds for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier
from scipy.special import ndtri
from torch import Tensor

from fairart.evaluation.attacks.target import AttackTarget
from fairart.evaluation.certificates.base import ABSTAINED, Certificate, Memory, Radii, checked_radii
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.results.intervals import clopper_pearson_lower
from fairart.plugins.options import Option

__all__ = ["DRAWS", "SmoothingCertificate", "smoothed_radius"]

FloatArray = npt.NDArray[np.float64]

DRAWS = 100
"""Noisy copies of a sample that are drawn from one random stream, and classified together: a round. The numbers depend on it."""

PASS = 2**15
"""Numbers that noisy copies of several samples may hold to be one pass on a CPU: with more they leave the cache."""

CALL = 2**20
"""The same of all passes that one call of ``round`` makes at least, so that what surrounds a call costs little."""


def smoothed_radius(
    hits: npt.ArrayLike, draws: npt.ArrayLike, *, sigma: float, alpha: float
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """The radius that counts certify (Cohen, Rosenfeld, Kolter, ICML 2019, Theorem 1 and procedure CERTIFY).

    ``sigma * Phi^-1(p)``, where p is the Clopper-Pearson lower bound of the share of hits.

    Args:
        hits: noisy copies that were given the chosen class, any shape (...).
        draws: noisy copies in all, same shape or one number, >= 1.
        sigma: standard deviation of the noise.
        alpha: probability that a radius is too large, in (0, 1).

    Returns:
        (...) radii >= 0, in the units of sigma, and (...) whether it abstains: p below 1/2, radius 0.
    """
    bound = clopper_pearson_lower(hits, draws, error=alpha)
    abstains = bound < 0.5
    return np.where(abstains, 0.0, sigma * ndtri(np.maximum(bound, 0.5))), abstains


class SmoothingCertificate(Certificate):
    """Randomised smoothing: an L2 radius for the class that the model gives most often under Gaussian noise (Cohen et al., 2019).

    It is about the *smoothed* classifier, which answers with that class, and not about the model itself; each radius is too
    large with a probability of at most alpha. ``n0`` noisy copies choose the class, ``n`` others count it. The noise is not
    clipped. Every sample draws from its own random streams on the device: another batch size changes nothing but the rounding
    of floats.

    Args:
        sigma: standard deviation of the noise; the model should have been trained with the same.
        n: noisy copies that count the class.
        n0: noisy copies that choose the class.
        alpha: probability that a radius is too large, for each sample.
        radii: that tables show; by default multiples of sigma.
    """

    order: ClassVar[float] = 2.0
    deterministic: ClassVar[bool] = False
    subject: ClassVar[str] = "the smoothed classifier, not the model itself"
    logits_alone: ClassVar[bool] = True
    columns: ClassVar[dict[str, Any]] = {"chosen": np.int64, "hits": np.int64}

    def __init__(
        self,
        *,
        sigma: Annotated[
            float, Option("standard deviation of the noise, in the classifier's own input units", low=0, low_open=True)
        ] = 0.25,
        n: Annotated[int, Option("noisy copies of a sample that count its class", low=1, source="Cohen 100000")] = 1000,
        n0: Annotated[int, Option("noisy copies of a sample that choose its class", low=1, source="Cohen 100")] = 100,
        alpha: Annotated[
            float,
            Option(
                "largest probability that a radius is too large",
                low=0,
                high=1,
                low_open=True,
                high_open=True,
                source="Cohen 0.001",
            ),
        ] = 0.001,
        radii: Radii = None,
    ) -> None:
        self.sigma, self.n, self.n0, self.alpha = sigma, n, n0, alpha
        steps = [sigma * share for share in (0.0, 0.5, 1.0, 1.5, 2.0)]
        # Radii that no sample can reach say nothing: with few copies the largest is small.
        self._shown = checked_radii("smoothing", radii, [radius for radius in steps if radius <= self._farthest])

    @property
    def _farthest(self) -> float:
        """The radius where all n copies are hits; no larger one can be certified."""
        radius, _ = smoothed_radius(self.n, self.n, sigma=self.sigma, alpha=self.alpha)
        return float(radius)

    @property
    def rounds(self) -> int:
        """One to choose the class, and one for every 100 copies that count it."""
        return 1 + -(-self.n // DRAWS)

    @property
    def copies(self) -> int:
        """Noisy copies of one sample that are classified together."""
        return min(DRAWS, max(self.n, self.n0))

    def at_once(self, x: Tensor, batch_size: int) -> int:
        """On a CPU a multiple of the samples of one pass: passes, and so their rounding, are the same for every batch size."""
        most = super().at_once(x, batch_size)
        if x.device.type != "cpu":
            return most
        together, numbers = self._together(x), self.copies * x[0].numel()
        return -(-max(most, CALL // numbers) // together) * together

    def _together(self, x: Tensor) -> int:
        """Samples whose copies are one pass.

        On a CPU that is one sample, unless images are tiny: activations that stay in the cache are up to three times as fast.
        """
        return max(1, PASS // (self.copies * x[0].numel())) if x.device.type == "cpu" else len(x)

    @property
    def shown(self) -> tuple[float, ...]:
        """The radii that tables show."""
        return self._shown

    def check(self, classifier: PyTorchClassifier) -> dict[str, Any]:
        """Say how far a radius can reach: with n copies, all of them hits."""
        return {"largest radius that n can certify": float(f"{self._farthest:.4g}")}

    def round(self, number: int, target: AttackTarget, x: Tensor, memory: Memory) -> Memory:
        """Choose the class in round 0; count it in the others."""
        if number == 0:
            # The first of several classes with as many votes, on every device.
            return {"chosen": _of_each(self._classified(target, x, self.n0), target).argmax(axis=1)}
        draws = min(DRAWS, self.n - (number - 1) * DRAWS)
        classes = self._classified(target, x, draws).cpu().numpy()
        return {"hits": memory["hits"] + (classes == memory["chosen"][:, None]).sum(axis=1)}

    def finish(self, memory: Memory) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Radii by the counts; -1 where the lower bound is below 1/2."""
        radii, abstains = smoothed_radius(memory["hits"], self.n, sigma=self.sigma, alpha=self.alpha)
        return np.where(abstains, ABSTAINED, memory["chosen"]), radii

    @torch.inference_mode()
    def _classified(self, target: AttackTarget, x: Tensor, draws: int) -> Tensor:
        """(b, draws) classes of noisy copies; sample i draws from the stream of its own seed."""
        seeds = target.sample_seeds if target.sample_seeds is not None else tuple(range(len(x)))
        streams = [torch.Generator(device=x.device).manual_seed(seed) for seed in seeds]
        sizes = [min(DRAWS, draws - first) for first in range(0, draws, DRAWS)]
        together = self._together(x)
        groups = [slice(first, first + together) for first in range(0, len(x), together)]
        memory = x.new_empty((min(together, len(x)) * max(sizes), *x.shape[1:]))
        parts = [
            torch.cat([self._logits(target, x[group], size, streams[group], memory) for size in sizes], 1) for group in groups
        ]
        logits = torch.cat(parts)
        if not bool(torch.isfinite(logits).all()):
            raise EvaluationError(
                "certificate 'smoothing': the model's logits are NaN or infinite for noisy inputs. Likely causes: training "
                f"that diverged, or a sigma ({self.sigma:g}) in other units than the inputs"
            )
        return logits.argmax(dim=2)

    def _logits(self, target: AttackTarget, x: Tensor, size: int, streams: Sequence[torch.Generator], memory: Tensor) -> Tensor:
        """(b, size, K) logits of noisy copies, which are written to the first rows of ``memory``."""
        noisy = memory[: len(x) * size].view(len(x), size, *x.shape[1:])
        for copies, stream in zip(noisy, streams, strict=True):
            copies.normal_(0.0, self.sigma, generator=stream)
        noisy += x[:, None]
        # A copy: a model may answer with a view of its input, which the next pass writes over.
        logits: Tensor = target.network(noisy.flatten(0, 1)).clone()
        return logits.view(len(x), size, -1)


def _of_each(classes: Tensor, target: AttackTarget) -> npt.NDArray[np.int64]:
    """(b, K) how often each of K classes stands in a row of (b, m) classes."""
    counts: npt.NDArray[np.int64] = torch.nn.functional.one_hot(classes, target.classifier.nb_classes).sum(dim=1).cpu().numpy()
    return counts
