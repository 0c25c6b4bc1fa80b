"""Running one evaluation batch by batch: predictions, attacks, and what is checked about both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.attacks import frozen, project
from fairart.engine.data import uint8_divisor
from fairart.engine.network import restored_modes
from fairart.engine.randomness import isolated_random_state
from fairart.errors import PluginError
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.outcome import Perturbation
from fairart.evaluation.random_state import sample_seeds
from fairart.evaluation.specs import AttackSpec
from fairart.plugins import BUILTIN

__all__ = ["Runner", "Scores"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

DIGITS = 6
"""Significant digits that are kept of a confidence: what float32 carries, and what is written to files."""

SLACK = 1e-6
"""How far outside its budget an output may lie, as a share of the range of the values, before it is noted as such."""


@dataclass(frozen=True)
class Scores:
    """What the model says about n samples.

    Args:
        predictions: (n,) predicted classes.
        confidences: (n,) softmax probability of the predicted class, in (0, 1].
    """

    predictions: IntArray
    confidences: FloatArray

    def copy(self) -> Scores:
        """The same numbers in arrays of their own."""
        return Scores(self.predictions.copy(), self.confidences.copy())

    def put(self, indices: IntArray, scores: Scores) -> None:
        """Write the scores of some samples over those that stand there."""
        self.predictions[indices], self.confidences[indices] = scores.predictions, scores.confidences


@dataclass(frozen=True)
class Runner:
    """Predicts and attacks samples of one data set with one classifier, which is left as it was found.

    Args:
        target: what is evaluated.
        x: (n, *input_shape) float32 or uint8, checked.
        labels: (n,) labels, checked.
        batch_size: samples at a time.
        seed: of everything random.
        tick: called with the number of samples done.
    """

    target: AttackTarget
    x: npt.NDArray[Any]
    labels: IntArray
    batch_size: int
    seed: int
    tick: Callable[[int], object]

    def _batches(self, indices: IntArray) -> Iterator[IntArray]:
        for first in range(0, len(indices), self.batch_size):
            yield indices[first : first + self.batch_size]

    def _images(self, indices: IntArray) -> Tensor:
        network = self.target.network
        x = torch.as_tensor(self.x[indices], device=network.device)
        if x.dtype == torch.uint8:
            # Dividing by 255 gives the very numbers that x / 255 gives; multiplying by 1 / 255 does not, and can pass 1.
            return x.to(network.dtype) / uint8_divisor(self.target.classifier)
        return x.to(network.dtype)

    def _predict(self, x: Tensor, indices: IntArray) -> Scores:
        with torch.no_grad():
            logits = self.target.network(x)
        classes = self.target.classifier.nb_classes
        if not isinstance(logits, Tensor) or logits.shape != (len(x), classes):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise EvaluationError(f"the model must give logits of shape ({len(x)}, {classes}) for this batch, got {shape}")
        finite = torch.isfinite(logits).all(dim=1)
        if not bool(finite.all()):
            where = int(indices[int((~finite).nonzero()[0])])
            raise EvaluationError(
                f"the model's logits are NaN or infinite for sample {where} ({int((~finite).sum())} of its batch in all). "
                "Likely causes: training that diverged, weights that were not loaded, an overflow in half precision"
            )
        predictions = logits.argmax(dim=1)
        chosen = logits.double().softmax(dim=1).gather(1, predictions[:, None])[:, 0]
        return Scores(predictions.cpu().numpy().astype(np.int64), _rounded(chosen.cpu().numpy()))

    def clean(self) -> Scores:
        """Predictions on the n samples themselves, in eval mode."""
        scores = Scores(np.empty(len(self.labels), dtype=np.int64), np.empty(len(self.labels)))
        network = self.target.network
        with restored_modes(network, training=False), isolated_random_state(self.seed, network.device):
            for indices in self._batches(np.arange(len(self.labels))):
                scores.put(indices, self._predict(self._images(indices), indices))
                self.tick(len(indices))
        return scores

    def attack(self, spec: AttackSpec, clean: Scores) -> tuple[Scores, Perturbation]:
        """Attack the samples that are right on clean data.

        Args:
            spec: the attack.
            clean: the scores on clean data.

        Returns:
            Scores of the attacked samples, the clean ones where those are wrong already, and what the attack changed.

        Raises:
            EvaluationError: the attack changed nothing, or gave something that cannot be scored.
            PluginError: a third party's attack raised.
        """
        scores, network = clean.copy(), self.target.network
        standing = np.flatnonzero(clean.predictions == self.labels)
        # One number a sample; the maximum and the shares follow at the end, whatever the batches were.
        moved, excess = np.empty(len(standing)), np.empty(len(standing))
        self.tick(len(self.labels) - len(standing))
        with restored_modes(network, training=False):
            for place in self._batches(np.arange(len(standing))):
                indices = standing[place]
                x = self._images(indices)
                x_adv = self._perturb(spec, x, indices)
                kept = project(x_adv, x, eps=spec.eps, clip_values=network.clip_values)
                excess[place], moved[place] = _distance(x_adv, kept), _distance(kept, x)
                network.eval()  # an attack may have left it otherwise
                scores.put(indices, self._predict(kept, indices))
                self.tick(len(indices))
        perturbation = Perturbation.of(moved, excess > SLACK * self._value_range())
        self._check_did_something(spec, perturbation)
        return scores, perturbation

    def _perturb(self, spec: AttackSpec, x: Tensor, indices: IntArray) -> Tensor:
        network = self.target.network
        seeds = sample_seeds(self.seed, spec.name, indices.tolist())
        target = AttackTarget(self.target.classifier, network, seeds)
        labels = torch.as_tensor(self.labels[indices], device=network.device)
        extra: dict[str, Any] = {}
        if spec.takes_generator:
            extra["generator"] = torch.Generator(device=network.device).manual_seed(seeds[0])
        with frozen(network), isolated_random_state(seeds[0], network.device):
            x_adv = _call(spec, target, x.clone(), labels, extra)
        return _check_output(spec, x_adv, x)

    def _value_range(self) -> float:
        clip = self.target.network.clip_values
        if clip is None:
            return 1.0
        low, high = (torch.as_tensor(value, dtype=torch.float64) for value in clip)
        return float((high - low).max())

    def _check_did_something(self, spec: AttackSpec, perturbation: Perturbation) -> None:
        if not perturbation.nb_attacked or perturbation.share_changed > 0 or spec.eps == 0:
            return
        raise EvaluationError(
            f"attack {spec.label!r} changed none of {perturbation.nb_attacked} samples although its eps is {spec.eps:g}: "
            "that is no robustness. Likely causes: the gradient at the input is exactly zero (the model rounds, takes an "
            "argmax, or its outputs are saturated probabilities instead of logits); a step too small for the number format; "
            f"eps in other units than the inputs, whose values span {self._value_range():g}"
        )


def _call(spec: AttackSpec, target: AttackTarget, x: Tensor, labels: Tensor, extra: dict[str, Any]) -> Any:
    try:
        return spec.run(target, x, labels, **extra)
    except Exception as error:  # a stranger's attack may raise anything; it is named
        if isinstance(error, RuntimeError) and "does not require grad" in str(error):
            raise EvaluationError(
                f"attack {spec.label!r}: no gradient leads from the model's output back to its input. Likely causes: "
                "detach(), torch.no_grad() or an argmax inside the model"
            ) from error
        if spec.plugin == BUILTIN:
            raise
        raise PluginError(f"plugin {spec.plugin!r}: attack {spec.name!r} raised {type(error).__name__}: {error}") from error


def _check_output(spec: AttackSpec, x_adv: Any, x: Tensor) -> Tensor:
    who = f"attack {spec.label!r} ({spec.name!r} of plugin {spec.plugin!r})"
    if not isinstance(x_adv, Tensor):
        raise EvaluationError(f"{who} must give a tensor of shape {tuple(x.shape)}, got {type(x_adv).__name__}")
    if x_adv.shape != x.shape:
        raise EvaluationError(f"{who} must give a tensor of shape {tuple(x.shape)}, got {tuple(x_adv.shape)}")
    found = x_adv.detach().to(x)
    if not bool(torch.isfinite(found).all()):
        raise EvaluationError(
            f"{who} gave NaN or infinite values. Likely causes: gradients that overflow, as in half precision, or a NaN loss"
        )
    return found


def _rounded(shares: FloatArray) -> FloatArray:
    """Shares in (0, 1] to significant digits, as the nearest number that is written with so many."""
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(shares)))
    rounded: FloatArray = np.rint(shares * scale) / scale
    return rounded


def _distance(one: Tensor, other: Tensor) -> npt.NDArray[np.float64]:
    distance: npt.NDArray[np.float64] = (one - other).abs().flatten(1).amax(dim=1).double().cpu().numpy()
    return np.where(np.isfinite(distance), distance, math.inf)
