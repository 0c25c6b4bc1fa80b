"""An epoch as a flat table row: the figures that are worth a curve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fairart.engine import EpochRecord
from fairart.statistics import ConfusionMatrix
from fairart.statistics.confusion_matrix import FloatArray

__all__ = ["epoch_metrics", "target_shares"]


def target_shares(record: EpochRecord) -> FloatArray | None:
    """(K,) expected share of the epoch's adversarial examples that aimed at each class; None where nothing was planned.

    Args:
        record: of the epoch.
    """
    plan, support = record.target_probabilities, record.robust.support
    if plan is None or not support.sum():
        return None
    shares: FloatArray = support @ plan / support.sum()
    return shares


def epoch_metrics(record: EpochRecord, classes: Sequence[str]) -> dict[str, float]:
    """Every figure of an epoch by name; NaN for a class without samples.

    Args:
        record: of the epoch.
        classes: (K,) their names.

    Returns:
        ``loss``, ``learning_rate``, ``images_per_second``, ``seconds``; ``robust/overall``, ``robust/worst``, ``robust/NAME`` for
        each class and the same of whatever else was measured (``clean``, ``validation_robust``, ``validation_clean``);
        ``eps/NAME``, ``weight/NAME``, ``target/NAME``, ``sampling/NAME`` for each class; ``averaged`` (0 or 1) with weight
        averaging; ``pgd_accuracy`` and ``overfitted`` (0 or 1) where single-step training is watched.
    """
    row = {
        "loss": record.loss,
        "learning_rate": record.learning_rate,
        "images_per_second": record.images_per_second,
        "seconds": record.seconds,
    }
    if record.averaged is not None:
        row["averaged"] = float(record.averaged)
    if record.pgd_accuracy is not None:
        row.update(pgd_accuracy=record.pgd_accuracy, overfitted=float(record.overfitted))
    for name, matrix in _matrices(record):
        row[f"{name}/overall"], row[f"{name}/worst"] = matrix.accuracy, matrix.worst_class_accuracy()
        row.update(_by_class(name, classes, matrix.class_accuracy))
    row.update(_by_class("eps", classes, record.epsilons))
    row.update(_by_class("weight", classes, record.class_weights))
    if record.sampling is not None:
        row.update(_by_class("sampling", classes, record.sampling))
    shares = target_shares(record)
    if shares is not None:
        row.update(_by_class("target", classes, shares))
    return row


def _matrices(record: EpochRecord) -> Iterable[tuple[str, ConfusionMatrix]]:
    yield "robust", record.robust
    if record.clean is not None:
        yield "clean", record.clean
    if record.validation is not None:
        yield "validation_robust", record.validation.robust
        yield "validation_clean", record.validation.clean


def _by_class(kind: str, classes: Sequence[str], values: FloatArray) -> dict[str, float]:
    return {f"{kind}/{name}": float(value) for name, value in zip(classes, np.asarray(values), strict=True)}
