"""Outliers of several methods side by side: what compares, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.ood_detection import Detection
from fairart.evaluation.results.ood_results import OodResults
from fairart.evaluation.results.ood_table import CONDITIONS
from fairart.reporting.run_results import Run
from fairart.reporting.tables import Spread

__all__ = ["OodCell", "OodKey", "ood_cells", "ood_label", "ood_notices"]

OodKey = tuple[str, str, str]
"""Set of outliers, score, and which images an attack on the score changed (``"none"``, ``"outliers"``, ...)."""


@dataclass(frozen=True)
class OodCell:
    """One method, told by one score from one set of outliers.

    Args:
        found: one a seed.
        auroc: over seeds.
        fpr: FPR at 95 % TPR.
        worst: AUROC of each seed's own worst predicted class.
        class_auroc: (K,) of each predicted class.
        class_fpr: (K,).
        predicted_share: (K,) share of the outliers that are predicted as each class.
        target_rates: (K,) for images driven to a class each, the share that reaches it; empty for other sets.
        target_confidences: (K,) mean confidence of those; empty for other sets.
    """

    found: tuple[Detection, ...]
    auroc: Spread
    fpr: Spread
    worst: Spread
    class_auroc: tuple[Spread, ...]
    class_fpr: tuple[Spread, ...]
    predicted_share: tuple[Spread, ...]
    target_rates: tuple[Spread, ...] = ()
    target_confidences: tuple[Spread, ...] = ()

    @classmethod
    def of(cls, results: Sequence[OodResults], key: OodKey) -> OodCell:
        """Summarise the results of one method, one a seed."""
        name, score, attacked = key
        found = [result.detection(name, score, attacked=attacked) for result in results]

        def by_class(name: str) -> tuple[Spread, ...]:
            return _columns([getattr(one, name) for one in found])

        return cls(
            found=tuple(found),
            auroc=Spread.of([one.auroc for one in found]),
            fpr=Spread.of([one.fpr for one in found]),
            worst=Spread.of([one.worst_class_auroc for one in found]),
            class_auroc=by_class("class_auroc"),
            class_fpr=by_class("class_fpr"),
            predicted_share=by_class("predicted_share"),
            target_rates=_columns([result.target_rates(name) for result in results]),
            target_confidences=_columns([result.target_confidences(name) for result in results]),
        )

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Plain numbers for JSON.

        Args:
            classes: K names.
        """
        plain: dict[str, Any] = {name: getattr(self, name).to_dict() for name in ("auroc", "fpr", "worst")}
        for name in ("class_auroc", "class_fpr", "predicted_share", "target_rates", "target_confidences"):
            if getattr(self, name):
                plain[name] = dict(zip(classes, (spread.to_dict() for spread in getattr(self, name)), strict=True))
        return plain


def _columns(by_seed: Sequence[Any]) -> tuple[Spread, ...]:
    """A spread for each class; none where a seed has no numbers."""
    return () if any(row is None for row in by_seed) else tuple(Spread.of(column) for column in np.array(by_seed).T)


def ood_label(key: OodKey) -> str:
    """What a table calls one row, such as ``"ood noise: energy, both attacked"``."""
    name, score, attacked = key
    return f"ood {name}: {score}" + ("" if attacked == "none" else f", {CONDITIONS[attacked]}")


def ood_cells(methods: Mapping[str, Sequence[Run]]) -> dict[OodKey, dict[str, OodCell]]:
    """(set, score, attacked) -> method -> numbers, first scores first.

    A method has numbers if all its runs have them, with outliers and settings as the first run that has them.

    Args:
        methods: label -> its evaluated runs.
    """
    found: dict[OodKey, dict[str, OodCell]] = {}
    first: dict[OodKey, Any] = {}
    for method, runs in methods.items():
        results = [_of(run) for run in runs]
        for key in _keys(results[0]):
            own = [_meaning(result, key) if key in _keys(result) else None for result in results]
            if any(meaning != first.setdefault(key, own[0]) for meaning in own):
                continue
            found.setdefault(key, {})[method] = OodCell.of(results, key)
    return found


def ood_notices(runs: Sequence[Run]) -> list[str]:
    """Sentences about sets of outliers that differ between runs, or that some lack.

    Args:
        runs: evaluated ones.
    """
    having = {run.name: _of(run) for run in runs if len(_of(run))}
    notices = []
    for name in dict.fromkeys(name for result in having.values() for name in result):
        missing = [run.name for run in runs if name not in _of(run)]
        if missing:
            notices.append(f"outliers {name} were not scored on {', '.join(missing)}")
        own = [(run, result) for run, result in having.items() if name in result]
        first = {key: _meaning(own[0][1], key) for key in _keys(own[0][1]) if key[0] == name}
        differing = [
            run for run, result in own if any(_meaning(result, key) != first[key] for key in _keys(result) if key in first)
        ]
        if differing:
            notices.append(
                f"outliers {name} of {', '.join(differing)} are other images than those of {own[0][0]}, or scores and attacks "
                "have other options: their numbers do not compare and are left out"
            )
    return notices


def _of(run: Run) -> OodResults:
    assert run.result is not None
    return run.result.ood


def _keys(ood: OodResults) -> list[OodKey]:
    return [(name, score, attacked) for score in ood.scores for name in ood for attacked in ood.conditions(name, score)]


def _meaning(ood: OodResults, key: OodKey) -> Any:
    """What a number is about: the outliers, and the options of score and attack."""
    name, score, attacked = key
    about = canonical(ood.config)
    options = {"energy": "temperature", "knn": "neighbours"}.get(score)
    attack = {key: value for key, value in about.get("attack", {}).items() if key != "scores"}
    return about.get("sets", {}).get(name), about.get(options), attack if attacked != "none" else None
