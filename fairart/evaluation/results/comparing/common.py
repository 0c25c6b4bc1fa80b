"""What a paired test of two methods returns, and the check that two results can be paired."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fairart.evaluation.results.outcome import AttackResult

__all__ = ["PairedTest", "check_same_samples"]


@dataclass(frozen=True)
class PairedTest:
    """The difference of two methods, and whether it may be chance.

    Args:
        test: ``"mcnemar-exact"``, ``"worst-class-exact"``, ``"paired-t"`` or ``"seeds-and-samples"``.
        difference: first less second, in [-1, 1].
        interval: lower and upper end of the difference; NaN if it is not defined.
        p_value: two-sided; NaN if it is not defined.
        count: number of pairs: samples, or seeds.
        level: confidence level of the interval.
    """

    test: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    count: int
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; NaN is None."""
        plain: dict[str, Any] = {
            "test": self.test,
            "difference": _plain(self.difference),
            "interval": [_plain(end) for end in self.interval],
            "level": self.level,
            "p_value": _plain(self.p_value),
            "pairs": self.count,
        }
        return plain


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def check_same_samples(first: AttackResult, second: AttackResult, *, names: tuple[str, str] = ("first", "second")) -> None:
    """Refuse results that cannot be paired.

    Args:
        first: a result.
        second: another.
        names: their names in error messages.

    Raises:
        ValueError: another number of classes, of samples, or other labels.
    """
    start = f"{names[0]} and {names[1]} were not evaluated on the same samples"
    if first.nb_classes != second.nb_classes:
        raise ValueError(f"{start}: {first.nb_classes} and {second.nb_classes} classes")
    if len(first.labels) != len(second.labels):
        raise ValueError(f"{start}: {len(first.labels)} and {len(second.labels)} of them")
    if not np.array_equal(first.labels, second.labels):
        where = int(np.flatnonzero(first.labels != second.labels)[0])
        raise ValueError(
            f"{start}: their labels differ, first at sample {where} (class {first.labels[where]} and {second.labels[where]})"
        )
