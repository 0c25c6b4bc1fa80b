"""Which results of several runs compare: those of one attack with the same options, and of the same corruptions.

Results that do not compare get labels of their own, so that they never stand under one heading. Notices say why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.evaluation import AttackResult, EvaluationResult
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.reporting.run_results import Run

__all__ = ["WORST_CASE", "Results", "corruption_notices", "corruption_sets", "results_of"]

WORST_CASE = "worst-case"


@dataclass(frozen=True)
class Results:
    """The results of several runs under labels that compare.

    Args:
        table: name of a run -> label -> result.
        plain: label -> the label that the evaluations use; it differs if their options differ.
        notices: what does not compare, one sentence each.
    """

    table: Mapping[str, Mapping[str, AttackResult]]
    plain: Mapping[str, str]
    runs: Sequence[Run]

    def shown(self, attacks: Sequence[str] | None) -> tuple[str, ...]:
        """Labels to show, in order; the worst case is last by default.

        Args:
            attacks: labels, with or without options; None for all.

        Raises:
            ValueError: a label that no run has.
        """
        known = list(dict.fromkeys(label for results in self.table.values() for label in results))
        known.sort(key=lambda label: label == WORST_CASE)
        if attacks is None:
            return tuple(known)
        chosen: list[str] = []
        for attack in attacks:
            found = [label for label in known if attack in (label, self.plain.get(label))]
            if not found:
                raise ValueError(f"no run has a result {attack!r}; there are {', '.join(known)}")
            chosen += found
        return tuple(dict.fromkeys(chosen))

    def notices(self, shown: Sequence[str]) -> list[str]:
        """Sentences about attacks that some runs lack, that have different options, or that the worst case leaves out."""
        notices = []
        for label in dict.fromkeys(self.plain[label] for label in shown if label in self.plain):
            having = {run.name: _evaluation(run)[label] for run in self.runs if label in _evaluation(run)}
            if len(having) < len(self.runs):
                missing = ", ".join(run.name for run in self.runs if run.name not in having)
                notices.append(f"{label} was not run on {missing}")
            options = _options(having)
            if 0 < len(options) < len(having):
                unknown = ", ".join(name for name in having if name not in options)
                notices.append(f"the options of {label} are not known for {unknown}, so its numbers may not compare")
            differing = _differing(list(options.values()))
            if differing:
                detail = "; ".join(
                    f"{name} {', '.join(f'{key}={option.get(key)!r}' for key in differing)}" for name, option in options.items()
                )
                notices.append(f"{label} was run with different options, so its numbers do not compare: {detail}")
        return [*notices, *_worst_case_notices(_evaluation(self.runs[0]), shown)]


def _evaluation(run: Run) -> EvaluationResult:
    assert run.result is not None
    return run.result


def results_of(runs: Sequence[Run]) -> Results:
    """The results of every run, with the worst case if it is the same for all.

    Args:
        runs: evaluated ones.
    """
    labels = list(dict.fromkeys(label for run in runs for label in _evaluation(run)))
    table: dict[str, dict[str, AttackResult]] = {run.name: {} for run in runs}
    plain: dict[str, str] = {}
    for label in labels:
        having = {run.name: _evaluation(run)[label] for run in runs if label in _evaluation(run)}
        options = _options(having)
        differing = _differing(list(options.values()))
        for name, result in having.items():
            shown = label
            if differing and name in options:
                shown = f"{label} ({', '.join(f'{key}={options[name].get(key)!r}' for key in differing)})"
            while shown != label and shown in labels:
                shown += " *"
            table[name][shown] = result
            plain[shown] = label
    over = {(frozenset(table[run.name]), frozenset(_evaluation(run).combined)) for run in runs}
    combined = _evaluation(runs[0]).combined
    if len(over) == 1 and combined and len(labels) > 2 and WORST_CASE not in labels:
        for run in runs:
            table[run.name][WORST_CASE] = _evaluation(run).worst_case()
    return Results(table, plain, runs)


def _options(results: Mapping[str, AttackResult]) -> dict[str, dict[str, Any]]:
    """Name of a run -> options; without runs whose options are not known."""
    known = {name: canonical(result.config["options"]) for name, result in results.items() if "options" in result.config}
    if any("norm" in options for options in known.values()):
        # Files from before an attack had the option are in L-inf.
        known = {name: {**options, "norm": options.get("norm", "inf")} for name, options in known.items()}
    return known


def _differing(options: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for option in options for key in option)
    return [key for key in keys if any(option.get(key) != options[0].get(key) for option in options)]


def _worst_case_notices(result: EvaluationResult, attacks: Sequence[str]) -> list[str]:
    left = [label for label in result if label not in result.combined]
    if WORST_CASE not in attacks or not left:
        return []
    over = ", ".join(result.combined)
    return [f"{WORST_CASE} combines {over}, of one norm and eps; left out, as they have another budget: {', '.join(left)}"]


def corruption_sets(methods: Mapping[str, Sequence[Run]]) -> dict[str, tuple[str, list[CorruptionResults]]]:
    """Method -> the label of its set of corruptions, and its results; methods have one label only if their numbers compare.

    Methods without corruptions, and those whose own runs have different ones, are left out.

    Args:
        methods: label -> its evaluated runs.
    """
    found: dict[str, list[CorruptionResults]] = {}
    for method, runs in methods.items():
        results = [_evaluation(run).corruptions for run in runs]
        if len(results[0]) and all(len(other) and _same_set(other, results[0]) for other in results):
            found[method] = results
    sets: list[CorruptionResults] = []
    for results in found.values():
        if not any(_same_set(results[0], other) for other in sets):
            sets.append(results[0])
    labels = _set_labels(sets)
    place = {method: next(i for i, other in enumerate(sets) if _same_set(other, results[0])) for method, results in found.items()}
    return {method: (labels[place[method]], results) for method, results in found.items()}


def _same_set(one: CorruptionResults, other: CorruptionResults) -> bool:
    """The same corruptions and severities, of the same samples, made by the same version or published."""
    return set(one) == set(other) and one.version == other.version and np.array_equal(_labels(one), _labels(other))


def _labels(found: CorruptionResults) -> Any:
    return next(iter(found.values())).labels


def _set_labels(sets: Sequence[CorruptionResults]) -> list[str]:
    """A label for each set; names, severities or kind are added if two labels would be the same."""
    labels = []
    for found in sets:
        count = len(found.names)
        labels.append(f"{count} corruption{'s' * (count != 1)} x {len(found.severities)}")
    kinds = [f"made, version {found.version}" if found.made else "published" for found in sets]
    for more in (
        [", ".join(found.names) for found in sets],
        [f"severity {', '.join(map(str, found.severities))}" for found in sets],
        kinds,
        [f"set {number}" for number in range(1, len(sets) + 1)],
    ):
        counts = Counter(labels)
        labels = [label if counts[label] == 1 else f"{label}, {text}" for label, text in zip(labels, more, strict=True)]
    return labels


def corruption_notices(runs: Sequence[Run]) -> list[str]:
    """Sentences about corruptions that differ between runs.

    Args:
        runs: evaluated ones.
    """
    having = [(run.name, _evaluation(run).corruptions) for run in runs if len(_evaluation(run).corruptions)]
    if not having:
        return []
    notices = []
    first = having[0][1]
    if any(set(found) != set(first) for _, found in having):
        detail = "; ".join(f"{name} {len(found.names)} x {len(found.severities)}" for name, found in having)
        notices.append(f"runs have different corruptions, so their means do not compare: {detail}")
    if any(
        canonical(found.source) != canonical(first.source) or not np.array_equal(_labels(found), _labels(first))
        for _, found in having
    ):
        notices.append("the corrupted images differ between runs (made or published, version, seed or samples): see Setup")
    return notices
