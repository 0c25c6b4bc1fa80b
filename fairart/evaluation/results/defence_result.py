"""What an input defence did: accuracy with it, clean and under attacks that know of it or do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.did_you_mean import did_you_mean
from fairart.evaluation.results.comparing.common import PairedTest
from fairart.evaluation.results.comparing.paired_tests import mcnemar, mcnemar_counts
from fairart.evaluation.results.outcome import AttackResult

__all__ = ["DefenceResult", "DefendedAttack", "defended_label"]

FloatArray = npt.NDArray[np.float64]


def defended_label(defence: str, attack: str, how: str = "") -> str:
    """The label of a result behind a defence, such as ``"jpeg: pgd, naive"``.

    Args:
        defence: label of the defence.
        attack: label of the attack, or ``"clean"``.
        how: ``"naive"`` or ``"BPDA"``; empty for clean data.
    """
    return f"{defence}: {attack}, {how}" if how else f"{defence}: {attack}"


@dataclass(frozen=True, eq=False)
class DefendedAttack:
    """One attack against one defence, on the same samples.

    Args:
        undefended: what the attack did to the model without the defence.
        naive: examples made for the undefended model, scored behind the defence.
        bpda: examples made through the defence, with a stand-in for it in the gradient.
    """

    undefended: AttackResult
    naive: AttackResult
    bpda: AttackResult

    @property
    def attack(self) -> str:
        """Label of the attack."""
        return self.undefended.label

    @cached_property
    def both(self) -> AttackResult:
        """A sample counts as right only if it is right under both: what the defence withstands, as far as is known."""
        standing = self.naive.correct
        confidences = None
        if self.naive.confidences is not None and self.bpda.confidences is not None:
            lower = np.minimum(self.naive.confidences, self.bpda.confidences)
            one = np.where(standing, self.bpda.confidences, self.naive.confidences)
            confidences = np.where(standing & self.bpda.correct, lower, one)
        return AttackResult(
            label=f"{self.naive.config.get('defence', '')}: {self.attack}, both",
            labels=self.naive.labels,
            predictions=np.where(standing, self.bpda.predictions, self.naive.predictions),
            nb_classes=self.naive.nb_classes,
            config={"attack": "worst-case", "over": [self.naive.label, self.bpda.label]},
            class_names=self.naive.class_names,
            confidences=confidences,
        )

    @cached_property
    def illusion(self) -> PairedTest:
        """Naive less BPDA accuracy, by the exact McNemar test: what holds only while the attack knows nothing of the defence."""
        return mcnemar(self.naive, self.bpda)

    @cached_property
    def gain(self) -> PairedTest:
        """BPDA less undefended accuracy: what the defence is worth against an attack that knows of it."""
        return mcnemar(self.bpda, self.undefended)

    @property
    def class_illusion(self) -> FloatArray:
        """(K,) naive less BPDA accuracy of each class; NaN if it is absent."""
        return self.naive.class_accuracy - self.bpda.class_accuracy

    @cached_property
    def class_illusion_intervals(self) -> FloatArray:
        """(K, 2) 95 % intervals of it, for paired samples (Agresti & Min, 2005); NaN if the class is absent."""
        found = np.full((self.naive.nb_classes, 2), np.nan)
        for label in range(self.naive.nb_classes):
            own = self.naive.labels == label
            if own.any():
                one, other = self.naive.correct[own], self.bpda.correct[own]
                test = mcnemar_counts(int((one & ~other).sum()), int((other & ~one).sum()), int(own.sum()))
                found[label] = test.interval
        return found


@dataclass(frozen=True, eq=False)
class DefenceResult:
    """One defence: accuracy behind it, clean and under every attack of the evaluation.

    Args:
        label: its label.
        config: the defence with all its options, whether it is random, and what stands in for it in the gradient.
        clean: the samples themselves, behind the defence.
        attacks: one for each attack.

    Raises:
        ValueError: two of one attack, or results of different samples.
    """

    label: str
    config: Mapping[str, Any]
    clean: AttackResult
    attacks: Sequence[DefendedAttack]

    def __post_init__(self) -> None:
        if len({one.attack for one in self.attacks}) < len(self.attacks):
            raise ValueError(f"defence {self.label!r} has two results of one attack")
        for one in self.attacks:
            for result in (one.undefended, one.naive, one.bpda):
                if result.nb_classes != self.clean.nb_classes or not np.array_equal(result.labels, self.clean.labels):
                    raise ValueError(f"results of one defence are of the same samples: {result.label!r} has other labels")

    def __getitem__(self, attack: str) -> DefendedAttack:
        """The results under one attack, by its label."""
        found = {one.attack: one for one in self.attacks}
        if attack not in found:
            raise KeyError(f"no attack {attack!r} on defence {self.label!r}; {did_you_mean(attack, found)}")
        return found[attack]

    @property
    def results(self) -> list[AttackResult]:
        """Everything that was measured: clean, then naive and BPDA of each attack."""
        return [self.clean, *(result for one in self.attacks for result in (one.naive, one.bpda))]
