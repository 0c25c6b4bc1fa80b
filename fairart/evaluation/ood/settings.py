"""What is asked of an evaluation with outliers: scores, attacks on them, and how many outliers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy.typing as npt

from fairart.attacks.steps import EpsStep
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError, UnknownNameError
from fairart.norms import Norm
from fairart.plugins.options import Option, validate_options

__all__ = ["FITTED_SCORES", "LOGIT_SCORE_NAMES", "SCORE_NAMES", "OodSettings"]

LOGIT_SCORE_NAMES = ("energy", "msp", "max-logit", "entropy")
FITTED_SCORES = ("mahalanobis", "knn")
"""Scores that are fitted on the features of training images."""

SCORE_NAMES = (*LOGIT_SCORE_NAMES, *FITTED_SCORES)


@dataclass(frozen=True, kw_only=True, eq=False)
class OodSettings:
    """Scores of outliers, and attacks on the scores.

    Args:
        scores: any of ``energy``, ``msp``, ``max-logit``, ``entropy``, ``mahalanobis``, ``knn``; the first stands for all where
            there is room for one.
        attack: scores that PGD is run on, both ways: test images lose score, outliers gain it. Scores of logits only.
        eps: radius of the attack in the classifier's own input units, >= 0.
        eps_step: step; None for a quarter of eps.
        max_iter: steps, >= 1.
        norm: of the attack, ``"inf"`` or 2.
        samples: outliers of each set at most; None for as many as there are test images.
        temperature: of the energy, > 0.
        neighbours: k of ``knn``, >= 1.
        fit: training images and labels (x, y) for ``mahalanobis`` and ``knn``, as ``evaluate`` takes the test images.

    Raises:
        OptionError: a value outside its range, no score, an attack on a score that is not asked for or not of the logits.
        UnknownNameError: an unknown score.
    """

    scores: Annotated[tuple[str, ...], Option("names with commas")] = LOGIT_SCORE_NAMES
    attack: Annotated[tuple[str, ...], Option("scores to attack, names with commas")] = ()
    eps: Annotated[float, Option("radius of the attack on the scores, in the classifier's own input units", low=0)] = 8 / 255
    eps_step: EpsStep = None
    max_iter: Annotated[int, Option("steps of the attack on the scores", low=1)] = 20
    norm: Norm = "inf"
    samples: Annotated[int | None, Option("outliers of each set at most; None for as many as test images", low=1)] = None
    temperature: Annotated[float, Option("T of the energy T logsumexp(z / T)", low=0, low_open=True)] = 1.0
    neighbours: Annotated[int, Option("k of knn", low=1)] = 50
    fit: tuple[npt.ArrayLike, npt.ArrayLike] | None = None

    def __post_init__(self) -> None:
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "fit"}
        given = {**given, "scores": _names(self.scores), "attack": _names(self.attack)}
        for name, value in validate_options(type(self), given, where="ood").items():
            object.__setattr__(self, name, value)
        if not self.scores:
            raise OptionError(f"ood: expected at least one score of {', '.join(SCORE_NAMES)}, got none")
        for name in (*self.scores, *self.attack):
            if name not in SCORE_NAMES:
                raise UnknownNameError(f"there is no score {name!r}; {did_you_mean(name, SCORE_NAMES)}")
        for name in self.attack:
            if name not in LOGIT_SCORE_NAMES:
                raise OptionError(f"ood: attack expects scores of logits ({', '.join(LOGIT_SCORE_NAMES)}), got {name!r}")
            if name not in self.scores:
                raise OptionError(f"ood: {name!r} is attacked but not among the scores {', '.join(self.scores)}")

    @property
    def fitted(self) -> tuple[str, ...]:
        """The scores that need training images."""
        return tuple(name for name in self.scores if name in FITTED_SCORES)

    def describe(self) -> dict[str, Any]:
        """The settings that matter here, as plain values."""
        found: dict[str, Any] = {"scores": list(self.scores), "temperature": self.temperature}
        if "knn" in self.scores:
            found["neighbours"] = self.neighbours
        if self.attack:
            radius = {"eps": self.eps, "eps_step": self.eps_step, "max_iter": self.max_iter, "norm": self.norm}
            found["attack"] = {"scores": list(self.attack), **radius}
        return found


def _names(value: Any) -> tuple[str, ...]:
    """Names from a list, or from text with commas; each once."""
    words: Iterable[Any] = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(word.strip() if isinstance(word, str) else word for word in words))
