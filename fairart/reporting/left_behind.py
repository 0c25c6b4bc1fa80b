"""Which classes every method leaves behind: those that are among the lowest of each method's own classes.

The rule, for one attack: a method leaves a class behind if its accuracy, mean over seeds, is among the lowest third of the
method's classes and below the method's mean over its classes. A third of K classes is K / 3 rounded down, at least one. Classes
that tie across the border of the third are not counted. The ranks are those within a method, so a weak method and a strong one
count alike.

By chance: if each of M methods put its K classes in a random order, independently, K (m / K)^M classes would be among the lowest
m of all of them on average. The second condition and ties only make it fewer, so this is an upper bound. Methods trained on the
same images are not independent for a good reason: what they share is what the line is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LeftBehind", "left_behind"]


@dataclass(frozen=True)
class LeftBehind:
    """The classes that every method leaves behind under one attack.

    Args:
        classes: indices, from the lowest mean accuracy to the highest.
        lowest: how many classes are a method's lowest third, m.
        nb_classes: classes with samples, K.
        methods: labels of the methods that were evaluated under the attack.
    """

    classes: tuple[int, ...]
    lowest: int
    nb_classes: int
    methods: tuple[str, ...]

    @property
    def by_chance(self) -> float:
        """How many classes would be among the lowest of every method if the order of the classes were random, at most."""
        return float(self.nb_classes * (self.lowest / self.nb_classes) ** len(self.methods))

    def text(self, names: Sequence[str], attack: str) -> str:
        """One line.

        Args:
            names: of all classes.
            attack: its label.
        """
        named = ", ".join(names[index] for index in self.classes) or "none"
        chance = "<0.001" if self.by_chance < 0.001 else f"{self.by_chance:.2g}"
        every = "both" if len(self.methods) == 2 else f"all {len(self.methods)}"
        return f"left behind by {every} methods, {attack}: {named} (by chance at most {chance} class{'es' * (chance != '1')})"

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers and names for JSON."""
        return {
            "classes": [names[index] for index in self.classes],
            "lowest": self.lowest,
            "of": self.nb_classes,
            "methods": list(self.methods),
            "by_chance_at_most": self.by_chance,
        }


def left_behind(accuracies: Mapping[str, npt.ArrayLike]) -> LeftBehind | None:
    """Find the classes that every method leaves behind, by the rule of this module.

    Args:
        accuracies: method -> (K,) accuracies of its classes, mean over seeds; NaN for a class without samples.

    Returns:
        None for less than two methods, or less than two classes with samples: there is nothing to compare.
    """
    table = np.round(np.array([np.asarray(rates, dtype=np.float64) for rates in accuracies.values()]), 12)
    if len(table) < 2:
        return None
    present = ~np.isnan(table).any(axis=0)
    number = int(present.sum())
    if number < 2:
        return None
    lowest = max(1, number // 3)
    everywhere = present.copy()
    for rates in table:
        # Every class counts itself and those that tie with it, so a tie across the border is outside.
        at_or_below = np.array([np.count_nonzero(rates[present] <= rate) for rate in rates])
        everywhere &= (at_or_below <= lowest) & (rates < rates[present].mean())
    found = np.flatnonzero(everywhere)
    order = found[np.argsort(table[:, found].mean(axis=0), kind="stable")]
    return LeftBehind(tuple(map(int, order)), lowest, number, tuple(accuracies))
