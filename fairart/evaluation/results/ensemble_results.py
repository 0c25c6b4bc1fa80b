"""Where the members of an ensemble disagree: overall, class by class and pair by pair, clean and under attack."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.evaluation.results.intervals import wilson_interval
from fairart.evaluation.results.outcome import AttackResult
from fairart.statistics import ConfusionMatrix

__all__ = ["EnsembleResults", "MemberVotes"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MemberVotes:
    """What each member predicts on the images of one result: the clean ones, or those that an attack made for the ensemble.

    Images that the ensemble gets wrong without an attack are not attacked: under every attack they count as they are.

    Args:
        result: what the ensemble predicts.
        votes: (M, n) predicted classes, a row for each member.
    """

    result: AttackResult
    votes: IntArray

    @property
    def disagree(self) -> BoolArray:
        """(n,) whether the members do not all predict the same class."""
        differ: BoolArray = (self.votes != self.votes[:1]).any(axis=0)
        return differ

    @property
    def disagreement(self) -> float:
        """Share of the samples on which the members do not all agree."""
        return float(self.disagree.mean())

    @property
    def interval(self) -> FloatArray:
        """(2,) its 95 % Wilson interval."""
        return wilson_interval(self.disagree.sum(), len(self.disagree))

    @property
    def class_disagreement(self) -> FloatArray:
        """(K,) the same for each true class; NaN if the class is absent."""
        return self._share_of_classes(self.disagree)

    @property
    def class_intervals(self) -> FloatArray:
        """(K, 2) 95 % Wilson intervals; NaN if the class is absent."""
        counts, support = self._counts(self.disagree)
        return wilson_interval(counts, support)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two members, the first one first."""
        return list(itertools.combinations(range(len(self.votes)), 2))

    @property
    def pair_disagreement(self) -> FloatArray:
        """(P,) share of the samples on which the two members of each of :attr:`pairs` differ."""
        return np.array([(self.votes[one] != self.votes[other]).mean() for one, other in self.pairs])

    @property
    def class_pair_disagreement(self) -> FloatArray:
        """(P, K) the same for each true class; NaN if the class is absent."""
        return np.array([self._share_of_classes(self.votes[one] != self.votes[other]) for one, other in self.pairs])

    @property
    def confusions(self) -> list[ConfusionMatrix]:
        """Counts of each member alone, on the images made for the ensemble."""
        classes = self.result.nb_classes
        return [ConfusionMatrix.of(self.result.labels, row, nb_classes=classes) for row in self.votes]

    def _counts(self, hits: BoolArray) -> tuple[IntArray, IntArray]:
        labels, classes = self.result.labels, self.result.nb_classes
        return np.bincount(labels[hits], minlength=classes), np.bincount(labels, minlength=classes)

    def _share_of_classes(self, hits: BoolArray) -> FloatArray:
        counts, support = self._counts(hits)
        with np.errstate(invalid="ignore"):
            shares: FloatArray = counts / support
        return shares

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            "label": self.result.label,
            "disagreement": self.disagreement,
            "interval": self.interval,
            "class_disagreement": self.class_disagreement,
            "class_intervals": self.class_intervals,
            "pairs": self.pairs,
            "pair_disagreement": self.pair_disagreement,
            "class_pair_disagreement": self.class_pair_disagreement,
            "member_accuracy": [found.accuracy for found in self.confusions],
            "member_class_accuracy": [found.class_accuracy for found in self.confusions],
            "votes": self.votes,
        }


class EnsembleResults(Mapping[str, MemberVotes]):
    """The members' predictions under every result of an evaluation, by label, ``"clean"`` first.

    Args:
        members: M names.
        combine: ``"probabilities"`` or ``"logits"``, whose mean the ensemble takes.
        votes: one a result.

    Raises:
        ValueError: votes that are not (M, n) classes of the result's n samples.
    """

    def __init__(self, members: Sequence[str], combine: str, votes: Sequence[MemberVotes]) -> None:
        self.members, self.combine = tuple(members), str(combine)
        for one in votes:
            expected = (len(self.members), len(one.result.labels))
            if one.votes.shape != expected or ((one.votes < 0) | (one.votes >= one.result.nb_classes)).any():
                raise ValueError(
                    f"votes on {one.result.label!r} must be {expected} classes below {one.result.nb_classes}, got shape "
                    f"{one.votes.shape}"
                )
        self._votes = {one.result.label: one for one in votes}

    def __getitem__(self, label: str) -> MemberVotes:
        """The votes under one result."""
        return self._votes[label]

    def __iter__(self) -> Iterator[str]:
        """The labels, in the order in which they ran."""
        return iter(self._votes)

    def __len__(self) -> int:
        """Number of results."""
        return len(self._votes)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text for JSON."""
        return {"members": self.members, "combine": self.combine, "results": [one.to_dict() for one in self.values()]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], results: Mapping[str, AttackResult]) -> EnsembleResults:
        """Read what :meth:`to_dict` gave.

        Args:
            data: the plain values.
            results: label -> result of the ensemble.

        Raises:
            ValueError: votes that do not fit the results, or another disagreement than that of the votes.
        """
        votes = []
        for entry in data["results"]:
            array = np.asarray(entry["votes"])
            if array.dtype.kind != "i":
                raise ValueError(f"votes on {entry['label']!r} must be whole numbers")
            votes.append(MemberVotes(results[entry["label"]], array.astype(np.int64)))
        found = cls(data["members"], data["combine"], votes)
        for one, entry in zip(votes, data["results"], strict=True):
            if not np.isclose(one.disagreement, entry["disagreement"], rtol=0, atol=1e-9):
                raise ValueError(f"the disagreement on {one.result.label!r} is not that of its votes")
        return found
