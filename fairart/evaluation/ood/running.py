"""Scoring test images and outliers batch by batch, as they are and under attack."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.attacks.common import order_of
from fairart.attacks.steps import step_of
from fairart.engine.network import restored_modes
from fairart.engine.randomness import isolated_random_state
from fairart.evaluation.attacks.target import AttackTarget, draw_in_ball
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.ood.climbing import climb
from fairart.evaluation.ood.features import FittedScores, fit_scores, fitted_by
from fairart.evaluation.ood.plan import OodPlan
from fairart.evaluation.ood.scores import LOGIT_SCORES, energy, max_softmax_margin
from fairart.evaluation.ood.settings import OodSettings
from fairart.evaluation.ood.sources import GivenOutliers, OutlierSource
from fairart.evaluation.results.ood_results import AttackedScores, OodResults, ScoredImages
from fairart.evaluation.running.batches import input_batch
from fairart.evaluation.running.partial import Columns, Unit
from fairart.evaluation.running.random_state import sample_seeds
from fairart.evaluation.running.runner import Runner
from fairart.evaluation.running.scores import checked_logits, scores_of
from fairart.fingerprint import array_digest

__all__ = ["score_outliers"]

IntArray = npt.NDArray[np.int64]
Score = Callable[[Tensor], Tensor]

DIGITS = 10
"""Significant digits that are kept of a score. Six, as of confidences, would tie the surest images of a sure model."""


def score_outliers(runner: Runner, plan: OodPlan, class_names: Sequence[str] | None) -> OodResults:
    """Score the test images and every set of outliers, and attack the scores that the plan says.

    Args:
        runner: of the evaluation.
        plan: the sets and settings.
        class_names: K names, or None.

    Returns:
        Empty if the plan has no sets.

    Raises:
        EvaluationError: logits that are not finite, or an attack without any effect.
    """
    if not plan.sets:
        return OodResults()
    return _Scoring(runner, plan).results(class_names)


class _Scoring:
    def __init__(self, runner: Runner, plan: OodPlan) -> None:
        self.runner, self.plan = runner, plan
        self.inliers = GivenOutliers(runner.target, runner.x, "test images")
        self.label = ""

    def results(self, class_names: Sequence[str] | None) -> OodResults:
        settings, nb_classes = self.plan.settings, self.runner.target.classifier.nb_classes
        network = self.runner.target.network
        listening = contextlib.nullcontext() if self.plan.tap is None else self.plan.tap.listening()
        with restored_modes(network, training=False), listening:
            inliers = self.scored("test images", self.inliers)
            outliers = {name: self.scored(f"outliers {name}", source) for name, source in self.plan.sets.items()}
            attacked = {score: self.attacked(score) for score in settings.attack}
        for score, found in attacked.items():
            _check_did_something(score, settings.eps, inliers, outliers, found)
        config = {**settings.describe(), "sets": {name: source.describe() for name, source in self.plan.sets.items()}}
        if self.plan.fit is not None:
            config["fitted on"] = f"{len(self.plan.fit[1])} training images"
            config["fitted by"] = fitted_by()
        return OodResults(inliers, outliers, nb_classes=nb_classes, class_names=class_names, attacked=attacked, config=config)

    @functools.cached_property
    def fitted(self) -> FittedScores:
        """Fitted where it is first needed: a resumed evaluation may need it no more."""
        if self.plan.fit is None:
            return {}
        x, labels = self.plan.fit
        self.runner.progress.begin("fitting on training images")
        size = self.runner.batch_size
        places = [np.arange(first, min(first + size, len(x))) for first in range(0, len(x), size)]
        found = [self.passed(input_batch(self.runner.target, x, place), place, "fit")[1] for place in places]
        self.runner.progress.begin(self.label)
        features = torch.cat([each for each in found if each is not None])
        return fit_scores(self.plan.settings.fitted, features, labels, neighbours=self.plan.settings.neighbours)

    @functools.cached_property
    def fit_identity(self) -> list[Any]:
        """What fitted scores follow from."""
        assert self.plan.fit is not None
        return [fitted_by(), self.plan.settings.neighbours, *map(array_digest, self.plan.fit)]

    def passed(self, x: Tensor, place: IntArray, label: str) -> tuple[Tensor, Tensor | None]:
        """Logits and, where a score needs them, features."""
        runner, network = self.runner, self.runner.target.network
        network.eval()
        seed = sample_seeds(runner.seed, f"ood/{label}/score", place[:1].tolist())[0]
        with isolated_random_state(seed, network.device):
            logits = checked_logits(network, x, place, runner.target.classifier.nb_classes)
        return logits, None if self.plan.tap is None else self.plan.tap.features(len(x))

    def score(self, x: Tensor, place: IntArray, label: str, names: Sequence[str]) -> Columns:
        logits, features = self.passed(x, place, label)
        columns = scores_of(logits).columns()
        for name in names:
            if features is not None and name in self.plan.settings.fitted:
                values = self.fitted[name](features)
            else:
                values = self.by_logits(name)(logits.double())
            columns[name] = _rounded(values.cpu().numpy())
        return columns

    def by_logits(self, name: str) -> Score:
        if name == "energy":
            return functools.partial(energy, temperature=self.plan.settings.temperature)
        return LOGIT_SCORES[name]

    def scored(self, label: str, source: OutlierSource) -> ScoredImages:
        names = self.plan.settings.scores

        def compute(place: IntArray) -> Columns:
            with self.isolated(label, place):
                x = source.images(place)
            return self.score(x, place, label, names)

        return self.filled(label, source, names, compute, {})

    def attacked(self, score: str) -> AttackedScores:
        sets = {name: source for name, source in self.plan.sets.items() if source.attackable}
        return AttackedScores(
            self.moved(f"test images, {score} lowered", score, self.inliers, -1.0),
            {name: self.moved(f"outliers {name}, {score} raised", score, source, 1.0) for name, source in sets.items()},
        )

    def moved(self, label: str, score: str, source: OutlierSource, sign: float) -> ScoredImages:
        settings, target = self.plan.settings, self.runner.target
        # The same order of images, and a gradient where the softmax is saturated.
        followed = max_softmax_margin if score == "msp" else self.by_logits(score)

        def compute(place: IntArray) -> Columns:
            with self.isolated(label, place):
                x = source.images(place)
                found = _attack(target, x, lambda logits: sign * followed(logits), self.seeds(label, place), settings)
            return self.score(found, place, label, (score,))

        attack = {**settings.describe()["attack"], "scores": [score], "sign": sign}
        return self.filled(label, source, (score,), compute, attack)

    def isolated(self, label: str, place: IntArray) -> contextlib.AbstractContextManager[None]:
        """A model may draw random numbers: the process's own stay as they were, and a batch draws the same ones again."""
        return isolated_random_state(self.seeds(label, place[:1])[0], self.runner.target.network.device)

    def seeds(self, label: str, place: IntArray) -> tuple[int, ...]:
        return sample_seeds(self.runner.seed, f"ood/{label}", place.tolist())

    def filled(
        self,
        label: str,
        source: OutlierSource,
        names: Sequence[str],
        compute: Callable[[IntArray], Columns],
        attack: Mapping[str, Any],
    ) -> ScoredImages:
        temperature = self.plan.settings.temperature
        identity = {"scores": list(names), "temperature": temperature, "attack": dict(attack), **source.identity()}
        if any(name in self.plan.settings.fitted for name in names):
            identity["fit"] = self.fit_identity
        columns = {"predictions": np.int64, "confidences": np.float64, **dict.fromkeys(names, np.float64)}
        self.label = label
        unit = Unit("ood", label, source.rows, identity, columns)
        found = self.runner.fill(unit, compute)
        return ScoredImages(found["predictions"], found["confidences"], {name: found[name] for name in names})


def _attack(target: AttackTarget, x: Tensor, objective: Score, seeds: Sequence[int], settings: OodSettings) -> Tensor:
    order = order_of(settings.norm)
    start = x + settings.eps * draw_in_ball(x, seeds, order)
    step = step_of(settings.eps, settings.eps_step, settings.max_iter)
    return climb(
        target.network, x, objective, start=start, eps=settings.eps, eps_step=step, max_iter=settings.max_iter, norm=order
    )


def _check_did_something(
    score: str, eps: float, inliers: ScoredImages, outliers: Mapping[str, ScoredImages], found: AttackedScores
) -> None:
    pairs = [(inliers, found.inliers), *((outliers[name], moved) for name, moved in found.outliers.items())]
    if eps > 0 and not any((before.scores[score] != after.scores[score]).any() for before, after in pairs):
        raise EvaluationError(
            f"the attack on the score {score!r} changed no score although its eps is {eps:g}: that is no robustness. Likely "
            "causes: the gradient at the input is exactly zero, or eps is in other units than the inputs"
        )


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """To significant digits, each as the nearest number that is written with so many."""
    size = np.abs(values)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.where(size > 0, size, 1.0))))
    # The scale of a tiny number overflows; such a score is 0 for every purpose.
    rounded: npt.NDArray[np.float64] = np.where(np.isfinite(scale), np.rint(values * scale) / scale, 0.0)
    return rounded
