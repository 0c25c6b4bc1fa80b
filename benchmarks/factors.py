"""Which classes suffer, and by how much, as one factor of training changes: optimiser, learning rate, architecture, imbalance.

    python benchmarks/factors.py runs/study-factors-fashion-mnist runs/study-factors-cifar10-jpeg --output factors.json

Reads the finished cells of benchmarks, also of archives, and no weights. A comparison is a set of cells that differ in one factor
alone (and in the seed), so a grid that moves one factor at a time from a base setting gives one for each factor. The questions
are those of Benz et al., "Robustness may be at odds with fairness: an empirical study on class-wise accuracy" (arXiv 2010.13365):
does the gap between classes depend on how a network is trained, and are they always the same classes?

For each value of the factor, clean and under each attack: accuracy of each class, their standard deviation (that of exactly
these classes) and variance, with Student's interval over the seeds; the difference of the standard deviation to the reference
value, paired by seed; the three worst classes; how alike two seeds of this value rank the classes. For every two values of one
data set: Spearman's rank correlation of the classes' accuracies, with an interval from draws of seeds and test images. With three
seeds it is rough. Intervals are for one number alone: of twenty, one excludes the truth.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart import packed
from fairart.benchmark.state import Record
from fairart.errors import OptionError
from fairart.evaluation import AttackResult, EvaluationResult
from fairart.evaluation.results.comparing.redrawing import redraw_seeds
from fairart.files import write_text
from fairart.reporting.kinds.measures import Means, Redraws
from fairart.runs.config import RunConfig
from fairart.runs.flat import flat
from fairart.runs.folders import EVALUATION
from fairart.statistics import MeanInterval, RankAgreement, mean_interval, rank_agreement, rank_correlation

FloatArray = npt.NDArray[np.float64]

FACTORS: dict[str, tuple[str, ...]] = {
    "training": ("trainer", "objective"),
    "data set": ("dataset", "eps"),
    "architecture": ("model", "model.*"),
    "optimiser, learning rate": ("optimizer", "lr"),
    "batch size": ("batch_size",),
    "weight decay": ("weight_decay",),
    "epochs": ("epochs",),
    "imbalance": ("imbalance", "per_class"),
    "remedy": ("class_weighting", "classification_loss", "class_sampling", "adjustment", "label_smoothing"),
}
"""Settings that go together: the learning rate belongs to the optimiser, the budget to the data set, the number of images of the
largest class to the imbalance. Any other setting that varies is a factor of its own."""
BESIDE = ("seed", "device", "devices", "data_root", "plugins_dir", "logger")
"""Settings that are no factor."""
SAID = ("trainer", "dataset", "model", "optimizer", "lr", "batch_size", "weight_decay", "epochs", "per_class")
"""Settings that name a value of their factor also where they are at their default."""
WHERE = ("training", "data set", "architecture")
"""Factors that are always said of a comparison; of the others only what is not the most usual value."""
DRAWS = 2000
Setting = tuple[tuple[str, Any], ...]
"""Fields of one factor and their values."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished cell.

    Args:
        name: of the cell.
        settings: of each factor.
        seed: of the run.
        plan: how it was evaluated, as text.
        results: label -> outcome.
    """

    name: str
    settings: Mapping[str, Setting]
    seed: int
    plan: str
    results: Mapping[str, AttackResult]


@dataclass(frozen=True, kw_only=True)
class Value:
    """The runs of one value of a factor, one a seed.

    Args:
        name: the value, such as ``"sgd, lr 0.1"``.
        runs: in the order of their seeds.
    """

    name: str
    runs: tuple[Run, ...]

    def classes(self, attack: str) -> FloatArray:
        """(seeds, K) accuracy of each class."""
        return np.stack([run.results[attack].class_accuracy for run in self.runs])

    def spread(self, attack: str) -> FloatArray:
        """(seeds,) standard deviation of the class accuracies of each run."""
        found: FloatArray = np.nanstd(self.classes(attack), axis=1)
        return found


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs that differ in one factor.

    Args:
        factor: its name.
        context: what the other factors are, where they vary among all runs.
        values: the reference first: the value that most of all runs have.
    """

    factor: str
    context: str
    values: tuple[Value, ...]

    @property
    def attacks(self) -> list[str]:
        """Labels that every run has."""
        runs = [run for value in self.values for run in value.runs]
        return [label for label in runs[0].results if all(label in run.results for run in runs)]

    @property
    def same_images(self) -> bool:
        """Whether all runs were evaluated on the same test images, so that their classes can be ranked against each other."""
        first, *others = [next(iter(run.results.values())) for value in self.values for run in value.runs]
        return all(
            np.array_equal(first.labels, one.labels) and list(first.class_names or ()) == list(one.class_names or ())
            for one in others
        )


def settings_of(config: RunConfig) -> dict[str, Setting]:
    """Factor -> its settings, without those at their default, but for the few that are always said.

    Args:
        config: of a run.
    """
    values, default = flat(config), flat(RunConfig(trainer=config.trainer))
    found: dict[str, list[tuple[str, Any]]] = {}
    for name, value in values.items():
        if name not in BESIDE and (value != default.get(name) or (name in SAID and value is not None)):
            plain = tuple(value) if isinstance(value, list) else value
            found.setdefault(_factor(name), []).append((name, plain))
    return {factor: tuple(pairs) for factor, pairs in found.items()}


def _factor(name: str) -> str:
    kind = f"{name.partition('.')[0]}.*" if "." in name else ""
    return next((factor for factor, names in FACTORS.items() if name in names or kind in names), name.replace("_", " "))


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The finished cells of some benchmarks, each once, and the names of those that failed.

    Args:
        folders: of benchmarks or archives.

    Raises:
        OptionError: a folder without cells.
    """
    runs: dict[tuple[str, str], Run] = {}
    failed: list[str] = []
    for folder in folders:
        cells = sorted(folder.glob("cells/*/cell.json"))
        if not cells:
            raise OptionError(f"{str(folder)!r} is no folder of a benchmark: expected cells/NAME/cell.json in it")
        for path in cells:
            record = Record.load(path.parent)
            if record is not None and record.error:
                failed.append(path.parent.name)
            elif record is not None and record.evaluation and packed.is_file(path.parent / EVALUATION):
                run = _read(path.parent, record)
                runs.setdefault((run.name, run.plan), run)
    return list(runs.values()), failed


def _read(folder: Path, record: Record) -> Run:
    config = RunConfig.from_mapping(record.config)
    return Run(
        name=folder.name,
        settings=settings_of(config),
        seed=config.seed,
        plan=json.dumps(record.evaluation["plan"], sort_keys=True),
        results=dict(EvaluationResult.load(folder / EVALUATION).items()),
    )


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """Every set of runs that differ in one factor alone; those of a factor stand together.

    Args:
        runs: finished cells. Values that lack one of the set's seeds are compared by the seeds that all have.
    """
    names = list(dict.fromkeys([*FACTORS, *(factor for run in runs for factor in run.settings)]))
    counts = {name: Counter(run.settings.get(name, ()) for run in runs) for name in names}
    varying = [name for name in names if len(counts[name]) > 1]
    found = []
    for factor in varying:
        groups: dict[Any, list[Run]] = {}
        for run in runs:
            others = tuple((name, run.settings.get(name, ())) for name in varying if name != factor)
            groups.setdefault((others, run.plan), []).append(run)
        for (others, _), group in groups.items():
            values = _values(factor, group, counts[factor])
            if len(values) > 1:
                said = [
                    _said(name, given) for name, given in others if name in WHERE or given != counts[name].most_common(1)[0][0]
                ]
                found.append(Comparison(factor=factor, context=", ".join(said), values=values))
    return found


def _values(factor: str, group: Sequence[Run], usual: Mapping[Setting, int]) -> tuple[Value, ...]:
    """Values of a factor by the seeds that all of them have, the most usual one first; standard training before any other."""
    by_value: dict[Setting, dict[int, Run]] = {}
    for run in group:
        by_value.setdefault(run.settings.get(factor, ()), {})[run.seed] = run
    seeds = sorted(set.intersection(*(set(own) for own in by_value.values())))
    order = sorted(by_value, key=lambda setting: (("trainer", "standard") not in setting, -usual[setting]))
    if not seeds:
        return ()
    return tuple(Value(name=_said(factor, one), runs=tuple(by_value[one][seed] for seed in seeds)) for one in order)


def _said(factor: str, setting: Setting) -> str:
    """A value in words: ``"sgd, lr 0.1"``; names of parts speak for themselves."""
    words = []
    for name, value in setting:
        plain = f"{value:.4g}" if isinstance(value, float) else str(value)
        words.append(plain if isinstance(value, str) else f"{name.rpartition('.')[2].replace('_', ' ')} {plain}")
    return " ".join(words) or f"no {factor}"


def figures(comparison: Comparison, attack: str) -> dict[str, Any]:
    """What a comparison shows under one attack; see the head of this file.

    Args:
        comparison: of one factor.
        attack: label.
    """
    reference = comparison.values[0].spread(attack)
    values = []
    for value in comparison.values:
        classes, spread = value.classes(attack), value.spread(attack)
        first = value.runs[0].results[attack]
        names = list(first.class_names or map(str, range(first.nb_classes)))
        means = classes.mean(axis=0)
        order = np.argsort(np.where(np.isnan(means), np.inf, means), kind="stable")[:3]
        lowest = Counter(names[run.results[attack].worst_class] for run in value.runs)
        values.append(
            {
                "value": value.name,
                "seeds": [run.seed for run in value.runs],
                "images": len(first.labels),
                "class_names": names,
                "class_accuracy": [_summary(mean_interval(column, limits=(0, 1))) for column in classes.T],
                "average": _summary(mean_interval([run.results[attack].accuracy for run in value.runs], limits=(0, 1))),
                "std": _summary(mean_interval(spread, limits=(0, 0.5))),
                "variance": _summary(mean_interval(spread**2, limits=(0, 0.25))),
                "std_less_reference": _summary(mean_interval(spread - reference)) if value is not comparison.values[0] else None,
                "worst_three": [names[index] for index in order],
                "worst_of_each_seed": dict(lowest),
                "seeds_rank_alike": _plain(rank_correlation(classes).mean),
            }
        )
    agreement = ranks(comparison, attack)
    return {"values": values, "rank_agreement": None if agreement is None else agreement.to_dict()}


def ranks(comparison: Comparison, attack: str, *, draws: int = DRAWS) -> RankAgreement | None:
    """Rank correlations of the classes between every two values, or None where the test images differ.

    Draws re-draw the seeds, the same for every value because runs are paired by seed, and the test images of each class, the same
    for every run. One seed is taken as given.

    Args:
        comparison: of one factor.
        attack: label.
        draws: of seeds and images.
    """
    if not comparison.same_images:
        return None
    scores = np.stack([value.classes(attack).mean(axis=0) for value in comparison.values])
    number = len(comparison.values[0].runs)
    places = redraw_seeds(number, draws=draws) if number > 1 else np.zeros((draws, 1), dtype=np.int64)
    images = Redraws(draws, 0)
    drawn = [np.stack([_drawn(run.results[attack], images) for run in value.runs], axis=1) for value in comparison.values]
    rows = np.arange(draws)[:, None]
    return rank_agreement(scores, np.stack([one[rows, places].mean(axis=1) for one in drawn], axis=1))


def _drawn(result: AttackResult, images: Redraws) -> FloatArray:
    """(draws, K) accuracies of the classes on re-drawn test images."""
    means = Means(result.labels, result.correct.astype(np.float64), result.nb_classes)
    return means.drawn(images.weights(result.labels))


def _summary(found: MeanInterval) -> dict[str, Any]:
    return {"mean": _plain(found.mean), "interval": [_plain(end) for end in found.interval]}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def document(folders: Sequence[Path]) -> dict[str, Any]:
    """All comparisons of some benchmarks as plain values.

    Args:
        folders: of benchmarks or archives.

    Raises:
        OptionError: no finished cells, or none that differ in one factor alone.
    """
    runs, failed = read_runs(folders)
    found = comparisons(runs)
    if not found:
        raise OptionError(f"{len(runs)} finished cells were found, and no two of them differ in one factor alone")
    entries = []
    for one in found:
        attacks = {attack: figures(one, attack) for attack in one.attacks}
        entries.append({"factor": one.factor, "context": one.context, "attacks": attacks})
    return {"cells": len(runs), "failed": failed, "conclusions": conclusions(entries), "comparisons": entries}


def conclusions(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line for each factor and attack: over all its comparisons with the reference, is it the same classes, and the same gap?

    Args:
        found: ``comparisons`` of :func:`document`.
    """
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in found:
        for attack, one in entry["attacks"].items():
            line = lines.setdefault(
                (entry["factor"], attack),
                {"factor": entry["factor"], "attack": attack, "pairs": 0, "ranks": [], "spread_larger": 0, "spread_smaller": 0},
            )
            for index, value in enumerate(one["values"][1:], start=1):
                low, high = value["std_less_reference"]["interval"]
                line["pairs"] += 1
                line["spread_larger"] += low is not None and low > 0
                line["spread_smaller"] += high is not None and high < 0
                rho = None if one["rank_agreement"] is None else one["rank_agreement"]["spearman"][0][index]
                line["ranks"] += [] if rho is None else [rho]
    return list(lines.values())


def table(found: Mapping[str, Any]) -> str:
    """Markdown: a line for each factor, then one for each comparison, attack and value; per cent, differences in points.

    A spread counts as larger or smaller than that of the reference if the interval of the difference excludes 0.

    Args:
        found: of :func:`document`.
    """
    head = (
        "factor",
        "others",
        "attack",
        "value",
        "seeds",
        "average",
        "std of classes",
        "less reference",
        "worst three",
        "rank, seeds",
        "rank, reference",
    )
    lines = ["| " + " | ".join(head) + " |", "| --- " * 4 + "| ---: " * 4 + "| --- | ---: | ---: |"]
    for entry in found["comparisons"]:
        for attack, one in entry["attacks"].items():
            for index, value in enumerate(one["values"]):
                alike = one["rank_agreement"]
                cells = [entry["factor"], entry["context"], attack, value["value"], str(len(value["seeds"]))]
                cells += [_share(value["average"]), _share(value["std"])]
                cells.append(_share(value["std_less_reference"], sign="+") if index else "(reference)")
                cells += [", ".join(value["worst_three"]), _number(value["seeds_rank_alike"])]
                cells.append(_rank(alike, index) if index else "")
                lines.append("| " + " | ".join(cells) + " |")
    notes = [
        f"{found['cells']} cells. Intervals: 95 %, Student's over the seeds; those of rank correlations by draws of seeds and "
        "test images. Rank, seeds: mean rank correlation of two seeds of the value; rank, reference: of the value and the reference."
    ]
    notes += [f"Failed and left out: {', '.join(found['failed'])}."] if found["failed"] else []
    return "\n".join([*_overview(found["conclusions"]), "", *lines, "", *notes]) + "\n"


def _overview(found: Sequence[Mapping[str, Any]]) -> list[str]:
    head = "| factor | attack | pairs with the reference | rank correlation, median | lowest | std larger | std smaller |"
    lines = [head, "| --- | --- |" + " ---: |" * 5]
    for one in found:
        ranks_known = [f"{np.median(one['ranks']):.2f}", f"{min(one['ranks']):.2f}"] if one["ranks"] else ["-", "-"]
        counts = [str(one[name]) for name in ("spread_larger", "spread_smaller")]
        lines.append("| " + " | ".join([one["factor"], one["attack"], str(one["pairs"]), *ranks_known, *counts]) + " |")
    return lines


def _share(found: Mapping[str, Any], *, sign: str = "") -> str:
    ends = [f"{100 * end:{sign}.1f}" for end in found["interval"] if end is not None]
    return f"{100 * found['mean']:{sign}.1f}" + (f" [{', '.join(ends)}]" if ends else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rank(alike: Mapping[str, Any] | None, index: int) -> str:
    """Spearman's rho of a value and the reference."""
    if alike is None or alike["spearman"][0][index] is None:
        return "-"
    ends = ", ".join(map(_number, alike["spearman_intervals"][0][index]))
    return f"{_number(alike['spearman'][0][index])} [{ends}]"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of a benchmark, or its archive")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write; the table is printed")
    arguments = parser.parse_args()
    try:
        found = document(arguments.folders)
    except OptionError as error:
        parser.error(str(error))
    write_text(arguments.output, json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
