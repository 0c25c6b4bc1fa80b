"""Running one evaluation batch by batch: predictions, attacks, and what is checked about both."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.attacks import frozen
from fairart.datasets.stored import Images
from fairart.engine.network import restored_modes
from fairart.engine.randomness import isolated_random_state
from fairart.errors import PluginError
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.attacks.specs import AttackSpec
from fairart.evaluation.certificates.specs import CertificateSpec
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.results.affine_results import affine_label
from fairart.evaluation.results.outcome import Perturbation
from fairart.evaluation.running.affine import moved
from fairart.evaluation.running.batches import input_batch
from fairart.evaluation.running.certifying import certify
from fairart.evaluation.running.corrupted import CorruptionSource, to_input_units
from fairart.evaluation.running.partial import Columns, PartialResults, Unit
from fairart.evaluation.running.progress import Progress
from fairart.evaluation.running.random_state import sample_seeds
from fairart.evaluation.running.scaling import COLUMNS, Scaling
from fairart.evaluation.running.scores import Scores, checked_logits, predict, vote_columns
from fairart.evaluation.running.sharing import ALONE, Sharing
from fairart.evaluation.running.units import fill
from fairart.fingerprint import array_digest, spec_fingerprint
from fairart.plugins import BUILTIN

__all__ = ["Part", "Runner"]

IntArray = npt.NDArray[np.int64]
Scale = Callable[[npt.NDArray[np.float64]], Columns]
SLACK = 1e-6
"""How far outside its budget an output may lie, as a share of the range of the values, before it is noted as such."""


SCORED = {"predictions": np.int64, "confidences": np.float64}
ATTACKED = {**SCORED, "moved": np.float64, "excess": np.float64}
"""What is kept of every sample; ``moved`` and ``excess`` are L-inf norms after and by the projection."""


@dataclass(frozen=True)
class Part:
    """A part of an evaluation that is kept in a file of its own.

    Args:
        kind: as in :class:`~fairart.evaluation.running.partial.Unit`.
        label: its label.
        identity: settings that determine its numbers, besides those of attack and evaluation.
    """

    kind: str
    label: str
    identity: Mapping[str, Any] = field(default_factory=dict)


CLEAN_PART = Part("clean", "clean")


@dataclass(frozen=True, eq=False)
class Runner:
    """Predicts and attacks samples of one data set with one classifier, which is left as it was found.

    Every batch draws from random states of its own, made of the seed and the samples in it: a batch gives the same numbers
    whatever ran before it, and so an evaluation may stop after any batch and go on later.

    Args:
        target: what is evaluated.
        x: (n, *input_shape) float32 or uint8, checked.
        labels: (n,) labels, checked.
        batch_size: samples at a time.
        seed: of everything random.
        progress: called for every sample.
        kept: where finished batches are kept, and taken from.
        scaling: temperatures for further confidences of clean, attacked and shifted images; None for none.
        sharing: the processes that share the evaluation.
    """

    target: AttackTarget
    x: Images
    labels: IntArray
    batch_size: int
    seed: int
    progress: Progress = field(default_factory=Progress)
    kept: PartialResults = field(default_factory=PartialResults)
    scaling: Scaling | None = None
    sharing: Sharing = ALONE

    def fill(self, unit: Unit, compute: Callable[[IntArray], Columns]) -> Columns:
        """Fill the columns of a unit, see :func:`~fairart.evaluation.running.units.fill`.

        Args:
            unit: what to work through.
            compute: the columns of the rows it is given.
        """
        with restored_modes(self.target.network, training=False):
            return fill(
                unit,
                compute,
                batch_size=self.batch_size,
                kept=self.kept,
                progress=self.progress,
                sharing=self.sharing,
            )

    def _images(self, indices: IntArray) -> Tensor:
        return input_batch(self.target, self.x, indices)

    def _score(self, x: Tensor, indices: IntArray, name: str, scale: Scale | None = None, *, votes: bool = False) -> Scores:
        network = self.target.network
        network.eval()  # an attack may have left it otherwise
        seed = sample_seeds(self.seed, f"{name}/score", indices[:1].tolist())[0]
        with isolated_random_state(seed, network.device):
            return predict(network, x, indices, self.target.classifier.nb_classes, scale, votes=votes)

    def _scale(self, places: IntArray | None) -> Scale | None:
        """Further confidences of logits: of the test images at some places, or of other images."""
        return None if self.scaling is None else functools.partial(self.scaling.columns, places=places)

    def _columns(self, columns: Mapping[str, Any], *, votes: bool = False) -> dict[str, Any]:
        more = () if self.scaling is None else COLUMNS.values()
        guesses = vote_columns(self.target.network) if votes else ()
        return {**columns, **dict.fromkeys(more, np.float64), **dict.fromkeys(guesses, np.int64)}

    def logits(self) -> npt.NDArray[np.float64]:
        """(n, K) of the samples themselves, in eval mode. Nothing of them is kept on disk: they are cheap."""
        network, found = self.target.network, []
        with restored_modes(network, training=False):
            for first in range(0, len(self.labels), self.batch_size):
                place = np.arange(first, min(first + self.batch_size, len(self.labels)))
                seed = sample_seeds(self.seed, "clean/score", place[:1].tolist())[0]
                with isolated_random_state(seed, network.device):
                    logits = checked_logits(network, self._images(place), place, self.target.classifier.nb_classes)
                found.append(logits.double().cpu().numpy())
        return np.concatenate(found)

    def clean(self, part: Part = CLEAN_PART) -> Scores:
        """Scores of the n samples themselves, in eval mode.

        Args:
            part: of the evaluation, that this is kept as.
        """

        def compute(place: IntArray) -> Columns:
            return self._score(self._images(place), place, "clean", self._scale(place), votes=True).columns()

        unit = Unit(part.kind, part.label, len(self.labels), part.identity, self._columns(SCORED, votes=True))
        return Scores.of(self.fill(unit, compute))

    def corruption(self, source: CorruptionSource, name: str, severity: int) -> Scores:
        """Scores of the images of one corruption at one severity.

        Args:
            source: of the images, in [0, 1], and of their labels.
            name: one of its corruptions.
            severity: one of its severities.
        """
        label = f"{name}/{severity}"

        def compute(place: IntArray) -> Columns:
            images = source.images(name, severity, int(place[0]), int(place[-1]) + 1)
            x = to_input_units(images.to(self.target.network.device), self.target.network)
            return self._score(x, place, label).columns()

        identity = {"severity": severity, **source.identity(name)}
        return Scores.of(self.fill(Unit("corruption", label, len(source.labels), identity, SCORED), compute))

    def shift(self, name: str, x: Images, labels: IntArray) -> Scores:
        """Scores of the images of a shifted test set, in eval mode.

        Args:
            name: of the set.
            x: (m, *input_shape) its checked images.
            labels: (m,) its labels.
        """

        def compute(place: IntArray) -> Columns:
            return self._score(input_batch(self.target, x, place), place, f"shift/{name}", self._scale(None)).columns()

        identity = {"images": array_digest(x), "labels": array_digest(labels)}
        return Scores.of(self.fill(Unit("shift", name, len(labels), identity, self._columns(SCORED)), compute))

    def affine(self, family: str, degree: float) -> Scores:
        """Scores of the samples changed by one degree of an affine family, in eval mode.

        Args:
            family: its name.
            degree: in its unit.
        """
        clip = self.target.network.clip_values
        low = 0.0 if clip is None else clip[0]
        label = affine_label(family, degree)

        def compute(place: IntArray) -> Columns:
            return self._score(moved(self._images(place), family, degree, low), place, f"affine/{label}").columns()

        return Scores.of(self.fill(Unit("affine", label, len(self.labels), {}, SCORED), compute))

    def certificate(self, spec: CertificateSpec) -> tuple[IntArray, npt.NDArray[np.float64]]:
        """(n,) certified predictions, -1 for an abstention, and (n,) radii; see :func:`certify`.

        Args:
            spec: the certificate.
        """
        number, batch_size, seed = len(self.labels), self.batch_size, self.seed
        return certify(
            spec,
            self.target,
            self._images,
            number=number,
            batch_size=batch_size,
            seed=seed,
            kept=self.kept,
            progress=self.progress,
            sharing=self.sharing,
        )

    def attack(
        self, spec: AttackSpec, clean: Scores, *, part: Part | None = None, judge: Runner | None = None
    ) -> tuple[Scores, Perturbation]:
        """Attack the samples that are right on clean data.

        Args:
            spec: the attack.
            clean: the scores on clean data.
            part: of the evaluation, that this is kept as; by default the attack of this label.
            judge: whose network scores what the attack found; by default the one that was attacked.

        Returns:
            Scores of the attacked samples, the clean ones where those are wrong already, and what the attack changed.

        Raises:
            EvaluationError: the attack changed nothing, or gave something that cannot be scored.
            PluginError: a third party's attack raised.
        """
        standing = np.flatnonzero(clean.predictions == self.labels)
        kept_as = part or Part("attack", spec.label)

        def compute(place: IntArray) -> Columns:
            return self._attack_batch(spec, standing[place], judge or self)

        identity = {**kept_as.identity, **spec_fingerprint(spec), "samples attacked": array_digest(standing)}
        unit = Unit(kept_as.kind, kept_as.label, len(standing), identity, self._columns(ATTACKED, votes=True))
        found = self.fill(unit, compute)
        scores = clean.copy()
        scores.put(standing, Scores.of(found))
        # One number a sample was kept; the maximum and the shares follow here, whatever the batches were.
        perturbation = Perturbation.of(found["moved"], found["excess"] > SLACK * self._value_range())
        self._check_did_something(spec, perturbation)
        return scores, perturbation

    def _attack_batch(self, spec: AttackSpec, indices: IntArray, judge: Runner) -> Columns:
        network = self.target.network
        network.eval()
        x = self._images(indices)
        x_adv = self._perturb(spec, x, indices)
        kept = spec.hold(x_adv, x, network.clip_values)
        scores = judge._score(kept, indices, spec.name, self._scale(indices), votes=True)
        return {**scores.columns(), "moved": _distance(kept, x), "excess": _distance(x_adv, kept)}

    def _perturb(self, spec: AttackSpec, x: Tensor, indices: IntArray) -> Tensor:
        network = self.target.network
        seeds = sample_seeds(self.seed, spec.name, indices.tolist())
        target = AttackTarget(self.target.classifier, network, seeds, self.seed)
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
        if not perturbation.nb_attacked or perturbation.share_changed > 0 or spec.radius == 0 or spec.returns_input:
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
    except Exception as error:  # a third-party attack may raise any exception; the message names it
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
        raise EvaluationError(f"{who} must return a tensor of shape {tuple(x.shape)}, got {type(x_adv).__name__}")
    if x_adv.shape != x.shape:
        raise EvaluationError(f"{who} must return a tensor of shape {tuple(x.shape)}, got {tuple(x_adv.shape)}")
    found = x_adv.detach().to(x)
    if not bool(torch.isfinite(found).all()):
        raise EvaluationError(
            f"{who} gave NaN or infinite values. Likely causes: gradients that overflow, as in half precision, or a NaN loss"
        )
    return found


def _distance(one: Tensor, other: Tensor) -> npt.NDArray[np.float64]:
    distance: npt.NDArray[np.float64] = (one - other).abs().flatten(1).amax(dim=1).double().cpu().numpy()
    return np.where(np.isfinite(distance), distance, math.inf)
