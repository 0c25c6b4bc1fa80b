"""The planned comparisons of a grid in numbers: differences, intervals, p-values, and each method over its seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.benchmark.comparisons import Planned, common_seeds, in_table
from fairart.benchmark.tables.entries import Block, Entry, blocks, failed_of
from fairart.evaluation import AttackResult
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.comparing import MethodDifference, PairedTest, mcnemar, worst_class_difference
from fairart.evaluation.results.comparing.methods import best_probability, difference_of_scores
from fairart.evaluation.results.comparing.scored_runs import PARTS, Part, Scores, score_runs
from fairart.statistics.over_seeds import MeanInterval, holm, mean_interval

__all__ = ["POWER", "THRESHOLD", "Compared", "Finding", "MethodOverSeeds", "compare_entries"]

THRESHOLD = 0.05
"""Probability of any false finding among the comparisons of one column."""

POWER = 0.8

Runs = Mapping[str, Mapping[int, int]]
"""Row -> seed -> place of the run among the scores."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One planned comparison under one attack.

    Args:
        table: data set and model.
        attack: its label, ``"clean"`` among them.
        part: ``"average"`` or ``"worst class"``.
        method: row of the tables.
        baseline: the row it is compared with.
        test: method less baseline; None if it could not be made.
        adjusted: p-value after Holm's correction; NaN if there is none.
        planned: number of comparisons that it is corrected for.
        doubtful: whether a sanity check of one of the numbers failed.
        note: why it was not tested, or on what.
    """

    table: str
    attack: str
    part: Part
    method: str
    baseline: str
    test: PairedTest | None
    planned: int
    adjusted: float = math.nan
    doubtful: bool = False
    note: str = ""

    @property
    def shown(self) -> bool:
        """Whether a difference is shown at 5 %, after the correction."""
        return self.adjusted < THRESHOLD

    @property
    def verdict(self) -> str:
        """In plain words: ``better``, ``worse``, ``not shown`` or ``not tested``; of one seed with ``(one seed)``."""
        if self.test is None or math.isnan(self.test.p_value):
            return "not tested"
        word = ("better" if self.test.difference > 0 else "worse") if self.shown else "not shown"
        return word if isinstance(self.test, MethodDifference) else f"{word} (one seed)"

    @property
    def detectable(self) -> float:
        """The smallest true difference that is found with 80 % probability; NaN if not known."""
        return (
            self.test.detectable(comparisons=self.planned, power=POWER) if isinstance(self.test, MethodDifference) else math.nan
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text for JSON; shares in [-1, 1], NaN stays NaN."""
        return {
            **{name: getattr(self, name) for name in ("table", "attack", "part", "method", "baseline")},
            "result": None if self.test is None else self.test.to_dict(),
            "p_holm": self.adjusted,
            "planned": self.planned,
            "detectable": self.detectable,
            "verdict": self.verdict,
            "doubtful": self.doubtful,
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True)
class MethodOverSeeds:
    """One method under one attack.

    Args:
        table: data set and model.
        attack: its label.
        method: row of the tables.
        average: accuracy over all samples.
        worst: accuracy of each seed's own worst class, as measured.
        expected: accuracy of the worst class without the bias of a lowest number, mean over seeds, in [0, 1]; NaN if unknown.
        best: probability that the method has the best worst class of the table; NaN if methods do not compare.
        doubtful: whether a sanity check of the numbers failed.
    """

    table: str
    attack: str
    method: str
    average: MeanInterval
    worst: MeanInterval
    expected: float
    best: float
    doubtful: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text for JSON; shares in [0, 1], NaN stays NaN."""
        return {**vars(self), "average": self.average.to_dict(), "worst": self.worst.to_dict()}


@dataclass(frozen=True)
class Compared:
    """The comparisons of a grid.

    Args:
        findings: one for each table, attack, planned comparison and part.
        methods: one for each table, attack and method with results.
        planned: the comparisons.
        notes: (table, attack) -> sentences about how the numbers were made.
    """

    findings: tuple[Finding, ...] = ()
    methods: tuple[MethodOverSeeds, ...] = ()
    planned: tuple[Planned, ...] = ()
    notes: Mapping[tuple[str, str], tuple[str, ...]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text for JSON."""
        return {
            "planned": [[pair.method, pair.baseline] for pair in self.planned],
            "findings": [finding.to_dict() for finding in self.findings],
            "methods": [method.to_dict() for method in self.methods],
        }


def compare_entries(entries: Sequence[Entry], planned: Sequence[Planned]) -> Compared:
    """Make the planned comparisons, for each data set and model and each attack by itself.

    Two seeds or more: over seeds and test samples together, see :mod:`fairart.evaluation.results.comparing.methods`. One seed:
    exact tests over the samples, about these two networks only. Corruptions are not compared.

    Args:
        entries: every cell of the grid, those without result as well.
        planned: the comparisons. Without any, nothing is computed.
    """
    findings: list[Finding] = []
    methods: list[MethodOverSeeds] = []
    notes: dict[tuple[str, str], tuple[str, ...]] = {}
    for table, block in blocks(entries).items():
        pairs = in_table(planned, block)
        finished = [entry.result for several in block.values() for entry in several if entry.result is not None]
        for attack in dict.fromkeys(label for result in finished for label in result) if pairs else ():
            scene = _Scene(table, attack, block)
            findings += scene.findings(pairs)
            methods += scene.methods()
            notes[table, attack] = scene.notes
    return Compared(tuple(findings), tuple(methods), tuple(planned), notes)


class _Scene:
    """One table under one attack: the runs that have a result, scored together."""

    def __init__(self, table: str, attack: str, block: Block) -> None:
        self.table, self.attack, self.block = table, attack, block
        self.results: list[AttackResult] = []
        self.runs: dict[str, dict[int, int]] = {}
        for row, entries in block.items():
            for entry in entries:
                if entry.result is not None and attack in entry.result:
                    self.runs.setdefault(row, {})[entry.cell.config.seed] = len(self.results)
                    self.results.append(entry.result[attack])
        first = self.results[0]
        self.alike = all(np.array_equal(result.labels, first.labels) for result in self.results)
        self.scores: dict[Part, Scores] | None = score_runs(self.results) if self.alike else None
        self.best, note = self._best()
        self.notes = (note,) if note else ()

    def _configs(self, rows: Sequence[str]) -> list[Any]:
        return [canonical(self.results[place].config) for row in rows for place in self.runs[row].values()]

    def _doubtful(self, row: str) -> bool:
        return bool(failed_of(self.block[row], self.attack))

    def _best(self) -> tuple[dict[str, float], str]:
        """Probability of the best worst class by row, and what to know about it."""
        rows = list(self.runs)
        configs = self._configs(rows)
        if self.scores is None or any(config != configs[0] for config in configs):
            return {}, "options or test images differ between the methods: no probability of being best"
        seeds = sorted(set.intersection(*(set(found) for found in self.runs.values())))
        if not seeds:
            return {}, "no seed in common: no probability of being best"
        places = [_places(self.runs[row], seeds) for row in rows]
        found = best_probability(self.scores["worst class"], places)
        most = max(len(runs) for runs in self.runs.values())
        common = "the one seed" if len(seeds) == 1 else f"the {len(seeds)} seeds"
        note = f"best: on {common} that all methods have" if len(seeds) < most else ""
        if len(seeds) == 1:
            note = f"{note or 'best: one seed'}; it is about these networks, over test images alone"
        return dict(zip(rows, map(float, found), strict=True)), note

    def methods(self) -> list[MethodOverSeeds]:
        return [self._method(row, list(runs.values())) for row, runs in self.runs.items()]

    def _method(self, row: str, places: Sequence[int]) -> MethodOverSeeds:
        results = [self.results[place] for place in places]
        expected = math.nan if self.scores is None else float(self.scores["worst class"].estimated[places].mean())
        return MethodOverSeeds(
            table=self.table,
            attack=self.attack,
            method=row,
            average=mean_interval([result.accuracy for result in results], limits=(0, 1)),
            worst=mean_interval([result.worst_class_accuracy() for result in results], limits=(0, 1)),
            expected=min(1.0, max(0.0, expected)) if not math.isnan(expected) else math.nan,
            best=self.best.get(row, math.nan),
            doubtful=self._doubtful(row),
        )

    def findings(self, pairs: Sequence[Planned]) -> list[Finding]:
        found = [finding for pair in pairs for finding in self._findings(pair, len(pairs))]
        adjusted: dict[Part, list[float]] = {}
        for part in PARTS:
            tests = [finding.test for finding in found if finding.part == part]
            adjusted[part] = list(holm([math.nan if test is None else test.p_value for test in tests]))
        return [replace(finding, adjusted=float(adjusted[finding.part].pop(0))) for finding in found]

    def _findings(self, pair: Planned, planned: int) -> list[Finding]:
        tests, note = self._tests(pair)
        doubtful = self._doubtful(pair.method) or self._doubtful(pair.baseline)
        return [
            Finding(
                table=self.table,
                attack=self.attack,
                part=part,
                method=pair.method,
                baseline=pair.baseline,
                test=tests.get(part),
                planned=planned,
                doubtful=doubtful,
                note=note,
            )
            for part in PARTS
        ]

    def _tests(self, pair: Planned) -> tuple[dict[Part, PairedTest], str]:
        """The tests of a pair by part, and why there is none or what they rest on."""
        first, second = self.runs.get(pair.method, {}), self.runs.get(pair.baseline, {})
        if not first or not second:
            return {}, "no result"
        configs = self._configs([pair.method, pair.baseline])
        if self.scores is None or any(config != configs[0] for config in configs):
            return {}, "options or test images differ"
        seeds = common_seeds(first, second)
        if not seeds:
            return {}, "no seed in common"
        left_out = len(first) + len(second) - 2 * len(seeds)
        note = f"on the {len(seeds)} seed{'s' * (len(seeds) > 1)} in common" if left_out else ""
        if len(seeds) == 1:
            one, other = self.results[first[seeds[0]]], self.results[second[seeds[0]]]
            return {"average": mcnemar(one, other), "worst class": worst_class_difference(one, other)}, note
        places = _places(first, seeds), _places(second, seeds)
        return {part: difference_of_scores(self.scores[part], *places, level=1 - THRESHOLD) for part in PARTS}, note


def _places(runs: Mapping[int, int], seeds: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.array([runs[seed] for seed in seeds], dtype=np.int64)
