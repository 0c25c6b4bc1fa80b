"""The tables of a grid: methods under attacks, fairness metrics, classes, and every number in long form."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.benchmark.grid.cells import Cell, flat
from fairart.config import RunConfig
from fairart.evaluation import AttackResult, EvaluationResult
from fairart.reporting.grouped import GroupedTable, Key, grouped_table
from fairart.reporting.tables import DECILE_FROM, Spread

__all__ = ["Entry", "class_tables", "long_form", "method_tables", "metric_tables"]


@dataclass(frozen=True)
class Entry:
    """A cell and what came of it.

    Args:
        cell: the cell.
        full: its run said in full.
        result: its evaluation, or None.
        failure: what went wrong, or an empty text.
    """

    cell: Cell
    full: RunConfig
    result: EvaluationResult | None = None
    failure: str = ""


CORRUPTIONS = "corruptions"

Block = dict[str, list[Entry]]
"""Row -> its seeds."""


def _blocks(entries: Sequence[Entry]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    for entry in entries:
        blocks.setdefault(entry.cell.table_name, {}).setdefault(entry.cell.row_name, []).append(entry)
    return blocks


def _results(entries: Sequence[Entry]) -> list[EvaluationResult]:
    return [entry.result for entry in entries if entry.result is not None]


def method_tables(entries: Sequence[Entry]) -> list[GroupedTable]:
    """One table for each data set and model: a row for each method, overall and worst class clean and under each attack.

    Args:
        entries: every cell of the grid, those without result as well.
    """
    return [_method_table(title, block) for title, block in _blocks(entries).items()]


def _method_table(title: str, block: Block) -> GroupedTable:
    rows = {row: _spreads([_numbers(result) for result in _results(entries)]) for row, entries in block.items()}
    same, apart = _same_attacks(block)
    highest = [key for values in rows.values() for key in values if key[0] in same]
    return grouped_table(
        rows,
        title=f"{title}: accuracy in per cent",
        corner="method",
        highest=list(dict.fromkeys(highest)),
        notes=[*_reading(block), *_attack_notes(block, apart), *_failures(block)],
    )


def _numbers(result: EvaluationResult) -> dict[Key, float]:
    numbers: dict[Key, float] = {}
    for label, attack in result.items():
        numbers[label, "overall"] = attack.accuracy
        numbers[label, "worst"] = attack.worst_class_accuracy()
        if attack.nb_classes >= DECILE_FROM:
            numbers[label, "worst 10 %"] = attack.worst_class_accuracy(0.1)
    if len(result.corruptions):
        numbers[CORRUPTIONS, "overall"] = result.corruptions.mean_accuracy()
        numbers[CORRUPTIONS, "worst"] = result.corruptions.mean_worst_class_accuracy()
    return numbers


def _spreads(seeds: Sequence[Mapping[Key, float]]) -> dict[Key, Spread]:
    keys = dict.fromkeys(key for numbers in seeds for key in numbers)
    return {key: Spread.of([numbers.get(key, math.nan) for numbers in seeds]) for key in keys}


def _same_attacks(block: Block) -> tuple[set[str], set[str]]:
    """Labels whose numbers compare across rows, and those that were measured in different ways."""
    configs: dict[str, list[Any]] = {}
    samples = [result.labels for entries in block.values() for result in _results(entries)]
    alike = all(np.array_equal(labels, samples[0]) for labels in samples)
    for entries in block.values():
        for result in _results(entries):
            for label, attack in result.items():
                configs.setdefault(label, []).append(dict(attack.config))
    apart = {label for label, several in configs.items() if any(config != several[0] for config in several)}
    return (set(configs) - apart if alike else set()), apart if alike else set(configs)


def _reading(block: Block) -> Iterator[str]:
    counts = {row: len(_results(entries)) for row, entries in block.items()}
    most = max(counts.values())
    if most == 0:
        yield "no cell is finished"
        return
    yield f"± is the sample standard deviation over {most} seeds" if most > 1 else "one seed: the spread is not known"
    few = {row: count for row, count in counts.items() if count != most}
    if few:
        yield "fewer seeds: " + ", ".join(f"{row} {count}" for row, count in few.items())
    yield "worst: the lowest class of each seed by itself"
    if len(block) > 1:
        yield "bold: the highest mean of a column; a lead that is not clearly larger than its ± is no evidence"
    sizes = sorted({len(result.labels) for entries in block.values() for result in _results(entries)})
    yield f"test images: {', '.join(map(str, sizes))}"


def _attack_notes(block: Block, apart: set[str]) -> Iterator[str]:
    told: dict[str, str] = {}
    for entries in block.values():
        for result in _results(entries):
            for label, attack in result.items():
                told.setdefault(label, _attack_words(attack))
    for label, words in told.items():
        if label in apart:
            yield f"{label}: options or test images differ between the rows, nothing is marked as best"
        elif words:
            yield f"{label}: {words}"


def _attack_words(attack: AttackResult) -> str:
    name = attack.config.get("attack", "none")
    options = attack.config.get("options", {})
    words = ", ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in options.items())
    return "" if name == "none" else f"{name}({words})"


def _failures(block: Block) -> Iterator[str]:
    for entries in block.values():
        for entry in entries:
            if entry.failure:
                yield f"failed: {entry.cell.row_name}, seed {entry.cell.config.seed}: {entry.failure}"


def metric_tables(entries: Sequence[Entry], metrics: Sequence[str], reference: str | None) -> list[GroupedTable]:
    """One table for each data set and model: fairness metrics of each method, clean and under each attack.

    Args:
        entries: every cell of the grid.
        metrics: registered names; none gives no tables.
        reference: row that metrics with a baseline compare with, seed by seed.
    """
    if not metrics:
        return []
    tables = []
    for title, block in _blocks(entries).items():
        base = {entry.cell.config.seed: entry.result for entry in block.get(reference or "", ())}
        rows = {
            row: _spreads([_metrics(entry, metrics, base) for entry in several if entry.result]) for row, several in block.items()
        }
        notes = [f"metrics with a baseline compare with {reference}, seed by seed"] if reference else []
        tables.append(grouped_table(rows, title=f"{title}: fairness metrics", corner="method", scale=1.0, digits=3, notes=notes))
    return tables


def _metrics(entry: Entry, metrics: Sequence[str], base: Mapping[int, EvaluationResult | None]) -> dict[Key, float]:
    baseline = base.get(entry.cell.config.seed)
    numbers: dict[Key, float] = {}
    for label, attack in (entry.result or {}).items():
        against = baseline[label] if baseline is not None and label in baseline else None
        found = attack.metrics(baseline=against)
        numbers.update({(label, name): found.get(name, math.nan) for name in metrics})
    return numbers


def class_tables(entries: Sequence[Entry]) -> list[GroupedTable]:
    """One table for each data set, model and attack: a row for each class, a column for each method.

    Args:
        entries: every cell of the grid.
    """
    tables = []
    for title, block in _blocks(entries).items():
        finished = [result for several in block.values() for result in _results(several)]
        names = list(finished[0].class_names or map(str, range(finished[0].nb_classes))) if finished else []
        for label in dict.fromkeys(label for result in finished for label in result):
            rows: dict[str, dict[Key, Spread]] = {name: {} for name in names}
            for method, several in block.items():
                accuracies = [result[label].class_accuracy for result in _results(several) if label in result]
                for index, name in enumerate(names):
                    rows[name][method, ""] = Spread.of([accuracy[index] for accuracy in accuracies])
            tables.append(grouped_table(rows, title=f"{title}: accuracy of each class in per cent, {label}", corner="class"))
    return tables


IDENTITY = ("cell", "method", "dataset", "model", "trainer", "objective", "averaging", "seed")
NUMBERS = ("attack", "class", "name", "n", "correct", "accuracy")


def long_form(entries: Sequence[Entry]) -> str:
    """CSV, one line for each cell, attack and class; what varies in the grid has columns of its own.

    Args:
        entries: every cell of the grid; those without result have no lines.
    """
    more = list(dict.fromkeys(name for entry in entries for name in (*entry.cell.row, *entry.cell.table) if name not in IDENTITY))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*IDENTITY, *more, *NUMBERS])
    for entry in entries:
        values = {**flat(entry.full), "cell": entry.cell.name, "method": entry.cell.method}
        said = flat(entry.cell.config)
        who = [*(values.get(name) for name in IDENTITY), *(said.get(name, values.get(name)) for name in more)]
        for label, attack in (entry.result or {}).items():
            writer.writerows([*who, label, *line] for line in _classes(attack))
    return text.getvalue()


def _classes(attack: AttackResult) -> Iterator[list[Any]]:
    names = attack.class_names or [str(index) for index in range(attack.nb_classes)]
    right = np.diag(attack.confusion.counts)
    for index, (name, count, correct) in enumerate(zip(names, attack.confusion.support, right, strict=True)):
        yield [index, name, int(count), int(correct), float(correct / count) if count else ""]
