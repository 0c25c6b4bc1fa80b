"""What the model says about outliers, beside what it says about the test images, class by class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.did_you_mean import did_you_mean
from fairart.evaluation.results.ood_detection import Detection, detect

__all__ = ["ATTACKED", "AttackedScores", "OodResults", "ScoredImages"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

ATTACKED = ("none", "outliers", "inliers", "both")
"""Which images an attack on the score changed: outliers are made to look like test images, test images like outliers."""


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """What the model says about n images.

    Args:
        predictions: (n,) predicted classes.
        confidences: (n,) softmax probability of the predicted class, in (0, 1].
        scores: name -> (n,) score, larger for what looks more like the training data.

    Raises:
        ValueError: lengths differ, or a score is not finite.
    """

    predictions: IntArray
    confidences: FloatArray
    scores: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        shape = self.predictions.shape
        for name, column in {"confidences": self.confidences, **self.scores}.items():
            if column.shape != shape or len(shape) != 1:
                raise ValueError(f"{name} must have the shape of the predictions {shape}, got {column.shape}")
            if not np.isfinite(column).all():
                raise ValueError(f"{name} must be finite numbers")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.predictions)


@dataclass(frozen=True, eq=False)
class AttackedScores:
    """What the model says once one score was attacked.

    Args:
        inliers: the test images, moved so that the score falls.
        outliers: set -> its outliers, moved so that the score rises. Sets that are made to be scored high have none.
    """

    inliers: ScoredImages
    outliers: Mapping[str, ScoredImages] = field(default_factory=dict)


class OodResults(Mapping[str, ScoredImages]):
    """Sets of outliers by name, scored beside the test images. Empty if there are none.

    Args:
        inliers: the test images; None where there are no sets.
        outliers: name -> outliers. Every set has the same scores as the test images.
        nb_classes: K.
        class_names: K names, or None.
        attacked: score -> images once that score was attacked.
        config: where the outliers come from, and the settings of scores and attacks.

    Raises:
        ValueError: sets without test images, other scores in one of them, or a class outside 0..K-1.
    """

    def __init__(
        self,
        inliers: ScoredImages | None = None,
        outliers: Mapping[str, ScoredImages] | None = None,
        *,
        nb_classes: int = 0,
        class_names: Sequence[str] | None = None,
        attacked: Mapping[str, AttackedScores] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._sets = dict(outliers or {})
        self.attacked = dict(attacked or {})
        if (inliers is None) == bool(self._sets):
            raise ValueError("outliers are compared with test images: expected both, or neither")
        self.inliers = inliers
        self.nb_classes, self.class_names = nb_classes, None if class_names is None else tuple(class_names)
        self.config = dict(config or {})
        self._found: dict[tuple[str, str, str], Detection] = {}
        for name, images in self._images():
            if len(images) and not (images.predictions.min() >= 0 and images.predictions.max() < nb_classes):
                raise ValueError(f"{name}: predicted classes must lie in 0..{nb_classes - 1}")
        for name, images in self._sets.items():
            if list(images.scores) != list(self.scores):
                raise ValueError(f"{name} has the scores {', '.join(images.scores)}, expected {', '.join(self.scores)}")
        for score, found in self.attacked.items():
            if any(list(images.scores) != [score] for images in (found.inliers, *found.outliers.values())):
                raise ValueError(f"images attacked in {score!r} hold that score and no other")

    def _images(self) -> Iterator[tuple[str, ScoredImages]]:
        if self.inliers is not None:
            yield "test images", self.inliers
        yield from self._sets.items()
        for score, found in self.attacked.items():
            yield f"test images, {score} attacked", found.inliers
            yield from ((f"{name}, {score} attacked", images) for name, images in found.outliers.items())

    def __getitem__(self, name: str) -> ScoredImages:
        """The outliers of one set."""
        try:
            return self._sets[name]
        except KeyError:
            raise KeyError(f"no set of outliers {name!r}; {did_you_mean(name, self._sets)}") from None

    def __iter__(self) -> Iterator[str]:
        """Names of the sets, in the order in which they ran."""
        return iter(self._sets)

    def __len__(self) -> int:
        """Number of sets."""
        return len(self._sets)

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {self.detection(name).auroc:.4f}" for name in self)
        return f"OodResults({', '.join(self.scores)}{'; AUROC ' + found if found else ''})"

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores; the first is the one that stands for all where there is room for one."""
        return () if self.inliers is None else tuple(self.inliers.scores)

    def conditions(self, name: str, score: str) -> tuple[str, ...]:
        """Which of :data:`ATTACKED` there are numbers for.

        Args:
            name: of the set.
            score: one of the scores.
        """
        if score not in self.attacked:
            return ATTACKED[:1]
        return ATTACKED if name in self.attacked[score].outliers else ("none", "inliers")

    def detection(self, name: str, score: str | None = None, *, attacked: str = "none") -> Detection:
        """How well a score tells the test images from one set of outliers.

        Args:
            name: of the set.
            score: one of ``scores``; None for the first.
            attacked: one of :data:`ATTACKED`.

        Raises:
            KeyError: no such set, score or attack.
        """
        outliers = self[name]
        score = self.scores[0] if score is None else score
        if score not in self.scores:
            raise KeyError(f"no score {score!r}; {did_you_mean(score, self.scores)}")
        if attacked not in self.conditions(name, score):
            raise KeyError(f"no result of {name!r} with {attacked!r} attacked in {score!r}")
        key = name, score, attacked
        if key not in self._found:
            inliers, moved = self.inliers, self.attacked.get(score)
            if moved is not None:
                inliers = moved.inliers if attacked in ("inliers", "both") else inliers
                outliers = moved.outliers[name] if attacked in ("outliers", "both") else outliers
            assert inliers is not None
            self._found[key] = detect(
                (inliers.predictions, inliers.scores[score]), (outliers.predictions, outliers.scores[score]), self.nb_classes
            )
        return self._found[key]

    def target_rates(self, name: str) -> FloatArray | None:
        """For images that were driven to a class each: the share that the model takes for it.

        Args:
            name: of the set.

        Returns:
            (K,) shares; NaN for classes without images. None for sets without target classes.
        """
        target = self._targets(name)
        if target is None:
            return None
        return self._means(target, self[name].predictions == target)

    def target_confidences(self, name: str) -> FloatArray | None:
        """For images that were driven to a class each: the mean confidence of those that the model takes for it.

        Args:
            name: of the set.

        Returns:
            (K,) means; NaN for classes that no image reached. None for sets without target classes.
        """
        target = self._targets(name)
        if target is None:
            return None
        reached = self[name].predictions == target
        return self._means(target[reached], self[name].confidences[reached])

    def _targets(self, name: str) -> IntArray | None:
        about = self.config.get("sets", {}).get(name, {})
        return np.arange(len(self[name])) % self.nb_classes if about.get("targets") == "each class in turn" else None

    def _means(self, classes: IntArray, values: npt.NDArray[Any]) -> FloatArray:
        counts = np.bincount(classes, minlength=self.nb_classes)
        sums = np.bincount(classes, weights=values, minlength=self.nb_classes)
        means: FloatArray = np.divide(sums, counts, out=np.full(self.nb_classes, math.nan), where=counts > 0)
        return means
