"""Every class of a grid's results: tables for people, and every number in long form for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.benchmark.portable import portable
from fairart.benchmark.tables.entries import CORRUPTIONS, Entry, blocks, failed_of, network_notes, results_of
from fairart.escapes import csv_text
from fairart.evaluation import AttackResult, EvaluationResult
from fairart.evaluation.results.flags import failed_checks
from fairart.reporting.grouped import GroupedTable, Key, grouped_table
from fairart.reporting.tables import Spread
from fairart.runs.flat import flat

__all__ = ["class_accuracies", "class_tables", "long_form"]


def class_tables(entries: Sequence[Entry]) -> list[GroupedTable]:
    """One table for each data set, model and attack: a row for each class, a column for each method.

    Args:
        entries: every cell of the grid.
    """
    tables = []
    for title, block in blocks(entries).items():
        finished = [result for several in block.values() for result in results_of(several)]
        names = list(finished[0].class_names or map(str, range(finished[0].nb_classes))) if finished else []
        for label in dict.fromkeys(label for result in finished for label in class_accuracies(result)):
            rows: dict[str, dict[Key, Spread]] = {name: {} for name in names}
            for method, several in block.items():
                found = [class_accuracies(result) for result in results_of(several)]
                for index, name in enumerate(names):
                    rows[name][method, ""] = Spread.of([rates[label][index] for rates in found if label in rates])
            heading = f"{title}: accuracy of each class in per cent, {label}"
            doubted = [(method, "") for method, several in block.items() if failed_of(several, label)]
            marked = {(name, key) for name in names for key in doubted}
            notes = network_notes(block)
            tables.append(grouped_table(rows, title=heading, corner="class", doubtful=marked, notes=notes))
    return tables


def class_accuracies(result: EvaluationResult) -> dict[str, npt.NDArray[np.float64]]:
    """Label -> (K,) accuracy of each class, the mean over all corruptions among them."""
    found = {label: attack.class_accuracy for label, attack in result.items()}
    return {**found, CORRUPTIONS: result.corruptions.mean_class_accuracy()} if len(result.corruptions) else found


IDENTITY = ("cell", "method", "dataset", "model", "parameters", "trainer", "objective", "averaging", "seed")
NUMBERS = ("attack", "severity", "class", "name", "n", "correct", "accuracy", "doubtful")


def long_form(entries: Sequence[Entry]) -> str:
    """CSV, one line for each cell, attack or corruption at a severity, and class; settings that vary in the grid have columns.

    ``doubtful`` is 1 if a sanity check of the attack's numbers failed, else 0.

    Text that a spreadsheet would run as a formula has an apostrophe in front, see :func:`fairart.escapes.csv_cell`.

    Args:
        entries: every cell of the grid; those without result have no lines.
    """
    more = list(dict.fromkeys(name for entry in entries for name in (*entry.cell.row, *entry.cell.table) if name not in IDENTITY))
    rows: list[list[Any]] = [[*IDENTITY, *more, *NUMBERS]]
    for entry in entries:
        # Without paths of this machine: the same results are the same file everywhere.
        values = portable(flat(entry.full)) | {"cell": entry.cell.name, "method": entry.cell.method}
        values["parameters"] = entry.parameters
        said = portable(flat(entry.cell.config))
        who = [*(values.get(name) for name in IDENTITY), *(said.get(name, values.get(name)) for name in more)]
        checks = entry.result.checks if entry.result is not None else ()
        for attack, severity, result in _columns(entry.result):
            doubtful = int(severity == "" and bool(failed_checks(result, checks)))
            rows += [[*who, attack, severity, *line, doubtful] for line in _classes(result)]
    return csv_text(rows)


def _columns(result: EvaluationResult | None) -> Iterator[tuple[str, int | str, AttackResult]]:
    if result is not None:
        yield from ((label, "", attack) for label, attack in result.items())
        yield from ((name, severity, corrupted) for (name, severity), corrupted in result.corruptions.items())


def _classes(attack: AttackResult) -> Iterator[list[Any]]:
    names = attack.class_names or [str(index) for index in range(attack.nb_classes)]
    right = np.diag(attack.confusion.counts)
    for index, (name, count, correct) in enumerate(zip(names, attack.confusion.support, right, strict=True)):
        yield [index, name, int(count), int(correct), float(correct / count) if count else ""]
