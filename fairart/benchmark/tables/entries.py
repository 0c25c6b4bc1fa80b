"""The tables of a grid: methods under attacks, and fairness metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairart.benchmark.cells import Cell
from fairart.evaluation import AttackResult, CorruptionResults, EvaluationResult, SanityCheck
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.flags import FAILED, failed_checks
from fairart.reporting.grouped import GroupedTable, Key, grouped_table
from fairart.reporting.tables import DECILE_FROM, Spread
from fairart.runs.config import RunConfig

__all__ = [
    "CORRUPTIONS",
    "Block",
    "Entry",
    "blocks",
    "failed_of",
    "method_tables",
    "metric_tables",
    "network_notes",
    "results_of",
]


@dataclass(frozen=True)
class Entry:
    """A cell and its outcome.

    Args:
        cell: the cell.
        full: the complete configuration of its run.
        result: its evaluation, or None.
        failure: the error, or an empty text.
        parameters: of the network, their number; None where it is not known.
    """

    cell: Cell
    full: RunConfig
    result: EvaluationResult | None = None
    failure: str = ""
    parameters: int | None = None


CORRUPTIONS = "corruptions"

Block = dict[str, list[Entry]]
"""Row -> its seeds."""


def blocks(entries: Sequence[Entry]) -> dict[str, Block]:
    """Table -> row -> its seeds."""
    found: dict[str, Block] = {}
    for entry in entries:
        found.setdefault(entry.cell.table_name, {}).setdefault(entry.cell.row_name, []).append(entry)
    return found


def results_of(entries: Sequence[Entry]) -> list[EvaluationResult]:
    """Of those that have one."""
    return [entry.result for entry in entries if entry.result is not None]


def method_tables(entries: Sequence[Entry]) -> list[GroupedTable]:
    """One table for each data set and model: a row for each method, overall and worst class clean and under each attack.

    Args:
        entries: every cell of the grid, those without result as well.
    """
    return [_method_table(title, block) for title, block in blocks(entries).items()]


def _method_table(title: str, block: Block) -> GroupedTable:
    rows = {row: _spreads([_numbers(result) for result in results_of(entries)]) for row, entries in block.items()}
    same, apart = _same_attacks(block)
    highest = [key for values in rows.values() for key in values if key[0] in same]
    return grouped_table(
        rows,
        title=f"{title}: accuracy in per cent",
        corner="method",
        highest=list(dict.fromkeys(highest)),
        notes=[*_reading(block), *network_notes(block), *_attack_notes(block, apart), *_failures(block), *_doubts(block)],
        doubtful={(row, key) for row, entries in block.items() for key in rows[row] if failed_of(entries, key[0])},
    )


def failed_of(entries: Sequence[Entry], label: str) -> list[SanityCheck]:
    """Failed sanity checks of the numbers of one attack; corruptions are no attack and have none."""
    return [check for result in results_of(entries) if label in result for check in failed_checks(result[label], result.checks)]


def _doubts(block: Block) -> Iterator[str]:
    """A line for each number whose sanity checks failed."""
    for row, entries in block.items():
        for label in dict.fromkeys(label for result in results_of(entries) for label in result):
            for detail in dict.fromkeys(f"{check.name}: {check.detail}" for check in failed_of(entries, label)):
                yield f"{FAILED} {row}, {label}: a sanity check failed, {detail}"


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
    samples = [result.labels for entries in block.values() for result in results_of(entries)]
    alike = all(np.array_equal(labels, samples[0]) for labels in samples)
    for entries in block.values():
        for result in results_of(entries):
            for label, attack in result.items():
                configs.setdefault(label, []).append(canonical(attack.config))
            if len(result.corruptions):
                configs.setdefault(CORRUPTIONS, []).append((sorted(result.corruptions), canonical(result.corruptions.source)))
    apart = {label for label, several in configs.items() if any(config != several[0] for config in several)}
    return (set(configs) - apart if alike else set()), apart if alike else set(configs)


def _reading(block: Block) -> Iterator[str]:
    counts = {row: len(results_of(entries)) for row, entries in block.items()}
    most = max(counts.values())
    if most == 0:
        yield "no cell is finished"
        return
    yield f"± is the sample standard deviation over {most} seeds" if most > 1 else "one seed: the spread is unknown"
    few = {row: count for row, count in counts.items() if count != most}
    if few:
        yield "fewer seeds: " + ", ".join(f"{row} {count}" for row, count in few.items())
    yield "worst: the lowest class of each seed by itself"
    if len(block) > 1:
        yield "bold: the highest mean of a column; a lead that is not clearly larger than its ± is no evidence"
    sizes = sorted({len(result.labels) for entries in block.values() for result in results_of(entries)})
    yield f"test images: {', '.join(map(str, sizes))}"


def network_notes(block: Block) -> list[str]:
    """The size of the network, for the notes of a table; nothing where it is not known.

    Args:
        block: the rows of the table, which are of one model.
    """
    sizes = {entry.parameters for entries in block.values() for entry in entries if entry.parameters is not None}
    return [f"network: {' or '.join(f'{size:,}' for size in sorted(sizes))} parameters"] if sizes else []


def _attack_notes(block: Block, apart: set[str]) -> Iterator[str]:
    details: dict[str, str] = {}
    for entries in block.values():
        for result in results_of(entries):
            for label, attack in result.items():
                details.setdefault(label, _attack_words(attack))
            if len(result.corruptions):
                details.setdefault(CORRUPTIONS, _corruption_words(result.corruptions))
    for label, words in details.items():
        if label in apart:
            yield f"{label}: options or test images differ between the rows, nothing is marked as best"
        elif words:
            yield f"{label}: {words}"


def _attack_words(attack: AttackResult) -> str:
    name = attack.config.get("attack", "none")
    options = canonical(attack.config.get("options", {}))
    words = ", ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in options.items())
    return "" if name == "none" else f"{name}({words})"


def _corruption_words(found: CorruptionResults) -> str:
    kind = f"made by fairart, version {found.version}" if found.made else "as published"
    severities = ", ".join(map(str, found.severities))
    names = ", ".join(found.names)
    return f"mean over {names} at severities {severities}, {kind}; worst: mean of the worst class of each"


def _failures(block: Block) -> Iterator[str]:
    for entries in block.values():
        for entry in entries:
            if entry.failure:
                yield f"failed: {entry.cell.row_name}, seed {entry.cell.config.seed}: {entry.failure}"


def metric_tables(entries: Sequence[Entry], metrics: Sequence[str], reference: str | None) -> list[GroupedTable]:
    """One table for each data set and model: fairness metrics of each method, clean and under each attack.

    Args:
        entries: every cell of the grid.
        metrics: registered names.
        reference: row that metrics with a baseline and mCE compare with, seed by seed.

    Returns:
        The tables; empty if there is nothing to show.
    """
    tables = []
    for title, block in blocks(entries).items():
        base = {entry.cell.config.seed: entry.result for entry in block.get(reference or "", ())}
        rows = {
            row: _spreads([_metrics(entry, metrics, base) for entry in several if entry.result]) for row, several in block.items()
        }
        notes = [f"mCE and metrics with a baseline compare with {reference}, seed by seed"] if reference else []
        notes += network_notes(block)
        table = grouped_table(rows, title=f"{title}: metrics", corner="method", scale=1.0, digits=3, notes=notes)
        tables += [table] if table.columns else []
    return tables


def _metrics(entry: Entry, metrics: Sequence[str], base: Mapping[int, EvaluationResult | None]) -> dict[Key, float]:
    baseline = base.get(entry.cell.config.seed)
    numbers: dict[Key, float] = {}
    for label, attack in (entry.result or {}).items():
        against = baseline[label] if baseline is not None and label in baseline else None
        counts = entry.result.config.get("training_counts") if entry.result is not None else None
        found = attack.metrics(baseline=against, training_counts=counts)
        numbers.update({(label, name): found.get(name, math.nan) for name in metrics})
    if entry.result is not None and len(entry.result.corruptions) and baseline is not None:
        numbers[CORRUPTIONS, "mCE"] = entry.result.mean_corruption_error(baseline)
    return numbers
