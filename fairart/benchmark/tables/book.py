"""The state of a benchmark while it runs: cells left, outcome of each cell, the files with the tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from fairart.benchmark.check import Checked
from fairart.benchmark.comparisons import power_warnings
from fairart.benchmark.file import Grid
from fairart.benchmark.selecting import Selected
from fairart.benchmark.state import RECORD, TRACEBACK, Record, State, Task, cell_folder, state_of
from fairart.benchmark.tables.by_class import class_tables, long_form
from fairart.benchmark.tables.compared import Compared, compare_entries
from fairart.benchmark.tables.comparison_tables import comparison_csv, comparison_tables, comparisons_markdown
from fairart.benchmark.tables.entries import Entry, method_tables, metric_tables
from fairart.benchmark.tables.pages import write_pages
from fairart.benchmark.tables.selected import selection_markdown
from fairart.benchmark.workers import Finished
from fairart.evaluation import DamagedFileError, EvaluationResult
from fairart.files import write_text
from fairart.reporting.grouped import GroupedTable, to_latex, to_markdown
from fairart.runs.folders import EVALUATION, WEIGHTS

__all__ = ["Book", "GridRun"]

MARKDOWN, LATEX, CSV, COMPARISONS = "results.md", "results.tex", "results.csv", "comparisons.csv"


@dataclass(frozen=True, kw_only=True)
class GridRun:
    """The outcome of a benchmark.

    Args:
        folder: where its files are.
        grid: the grid that was run.
        entries: every cell with its evaluation or failure.
        tables: methods under attacks, one for each data set and model, then fairness metrics where the grid asks for them.
        files: the tables as files.
        comparisons: the planned comparisons; empty until every cell has ended.
        comparison_tables: the same as tables.
        selected: how settings were chosen, where the grid has selections.
    """

    folder: Path
    grid: Grid
    entries: Sequence[Entry]
    tables: Sequence[GroupedTable]
    files: Sequence[Path]
    comparisons: Compared = field(default_factory=Compared)
    comparison_tables: Sequence[GroupedTable] = ()
    selected: Sequence[Selected] = ()

    @property
    def failed(self) -> list[Entry]:
        """The cells that failed."""
        return [entry for entry in self.entries if entry.failure]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and text, for JSON; shares in [0, 1]."""
        return {
            "output": str(self.folder),
            "cells": [_cell_to_dict(self.folder, entry) for entry in self.entries],
            "tables": [asdict(table) for table in self.tables],
            "comparisons": self.comparisons.to_dict(),
            "selection": [one.to_dict() for one in self.selected],
            "files": [str(path) for path in self.files],
        }


def _cell_to_dict(folder: Path, entry: Entry) -> dict[str, Any]:
    results = {} if entry.result is None else dict(entry.result)
    return {
        "name": entry.cell.name,
        "row": entry.cell.row_name,
        "table": entry.cell.table_name,
        "seed": entry.cell.config.seed,
        "folder": str(cell_folder(folder, entry.cell.name)),
        "failure": entry.failure or None,
        "accuracy": {label: attack.accuracy for label, attack in results.items()},
        "worst_class_accuracy": {label: attack.worst_class_accuracy() for label, attack in results.items()},
    }


class Book:
    """The cells of a grid in a folder, from those already there to the last one.

    Args:
        folder: of the benchmark.
        grid: the cells.
        checked: the complete configuration of each cell's run, and the size of its network.
        retry_failed: run cells again that failed earlier.
        verbose: a line for each cell on standard error.
        selected: how settings were chosen.
    """

    def __init__(
        self,
        folder: Path,
        grid: Grid,
        checked: Checked,
        *,
        retry_failed: bool = False,
        verbose: bool = True,
        selected: Sequence[Selected] = (),
    ) -> None:
        self.folder, self.grid, self.verbose, self.selected = folder, grid, verbose, selected
        self._cells = {cell.name: cell for cell in grid.cells}
        plan = grid.plan.to_dict()
        found = {cell.name: state_of(cell_folder(folder, cell.name), cell.config.to_dict(), plan) for cell in grid.cells}
        self._results: dict[str, EvaluationResult] = {}
        self._compared: Compared | None = None
        for name in [name for name, state in found.items() if state == "done"]:
            try:
                self._results[name] = EvaluationResult.load(cell_folder(folder, name) / EVALUATION)
            except DamagedFileError:
                # Whole, but in the format of another fairart: weights that are there are still good.
                found[name] = "trained" if (cell_folder(folder, name) / WEIGHTS).exists() else "no weights"
        left = [name for name, state in found.items() if state != "done" and (retry_failed or state != "failed")]
        self.tasks = [
            Task(
                folder=str(cell_folder(folder, name)),
                config=self._cells[name].config.to_dict(),
                full=checked.full[name].to_dict(),
                plan=plan,
            )
            for name in left
        ]
        self._entries = {
            cell.name: Entry(cell, checked.full[cell.name], parameters=checked.parameters[cell.name]) for cell in grid.cells
        }
        for name in found.keys() - set(left):
            self._read(name)
        self._say_what_is_there(found, len(left))

    def enter(self, finished: Finished) -> None:
        """Record and print the outcome of a cell, and rewrite the files."""
        folder = Path(finished.task.folder)
        name = folder.name
        if finished.died is not None:
            record = Record.load(folder) or Record(config=finished.task.config)
            record.error = {"type": "WorkerDied", "message": finished.died, "plan": dict(finished.task.plan)}
            folder.mkdir(parents=True, exist_ok=True)
            record.save(folder)
        self._read(name)
        self._say(name)
        self.write()

    def _read(self, name: str) -> None:
        folder, entry = cell_folder(self.folder, name), self._entries[name]
        record = Record.load(folder)
        if record is not None and record.error:
            failure = f"{record.error.get('type')}: {record.error.get('message')}"
            self._entries[name] = replace(entry, failure=failure)
        elif record is not None and record.evaluation:
            result = self._results.get(name) or EvaluationResult.load(folder / EVALUATION)
            self._entries[name] = replace(entry, result=result, failure="")
        else:
            self._entries[name] = replace(entry, failure=f"it left no {RECORD} that can be read")

    def write(self) -> GridRun:
        """Write the tables and the pages of what is finished."""
        entries, plan = list(self._entries.values()), self.grid.plan
        methods = method_tables(entries)
        metrics = metric_tables(entries, plan.metrics, plan.reference)
        classes = class_tables(entries)
        tables = [*methods, *metrics]
        compared = self._compare(entries)
        by_table = comparison_tables(compared, entries)
        comparisons = [table for several in by_table.values() for table in several]
        section = comparisons_markdown(comparisons, self.grid.comparisons, finished=self._settled)
        sections = [text for text in (section, selection_markdown(self.selected)) if text]
        markdown = [*map(to_markdown, tables), *sections, *map(to_markdown, classes)]
        texts = {
            MARKDOWN: "\n".join(["# Benchmark", "", *markdown]),
            LATEX: "\n".join(["% Needs \\usepackage{booktabs}", *map(to_latex, (*tables, *comparisons, *classes))]),
            CSV: long_form(entries),
            COMPARISONS: comparison_csv(compared),
        }
        files = [write_text(self.folder / name, text) for name, text in texts.items()]
        files += write_pages(self.folder, entries, by_table, self.selected)
        return GridRun(
            folder=self.folder,
            grid=self.grid,
            entries=entries,
            tables=tables,
            files=files,
            comparisons=compared,
            comparison_tables=comparisons,
            selected=self.selected,
        )

    @property
    def _settled(self) -> bool:
        """Whether every cell has ended, well or not."""
        return all(entry.result or entry.failure for entry in self._entries.values())

    def _compare(self, entries: Sequence[Entry]) -> Compared:
        """The comparisons, made once: a look after every seed would be a test of its own."""
        if not self._settled:
            return Compared(planned=self.grid.comparisons)
        if self._compared is None:
            self._compared = compare_entries(entries, self.grid.comparisons)
        return self._compared

    def _say_what_is_there(self, found: Mapping[str, State], left: int) -> None:
        counts = {state: list(found.values()).count(state) for state in get_args(State)}
        words = {
            "done": "done already",
            "failed": "failed earlier (--retry-failed)",
            "interrupted": "interrupted",
            "trained": "to be evaluated only",
            "no weights": "to be trained anew, for want of their weights",
        }
        detail = [f"{counts[state]} {said}" for state, said in words.items() if counts[state]]
        self._print(f"{len(found)} cell{'s' * (len(found) != 1)}{': ' if detail else ''}{', '.join(detail)}; {left} to run")
        for warning in power_warnings(self.grid.comparisons, self.grid.cells):
            self._print(f"note: {warning}")

    def _say(self, name: str) -> None:
        entry = self._entries[name]
        settled = sum(bool(other.result or other.failure) for other in self._entries.values())
        head = f"[{settled}/{len(self._entries)}] {entry.cell}: "
        if entry.result is None:
            trace = cell_folder(self.folder, name) / TRACEBACK
            self._print(f"{head}failed: {entry.failure}{f' (see {trace})' if trace.exists() else ''}")
            return
        numbers = [
            f"{label} {attack.accuracy:.1%} worst {attack.worst_class_accuracy():.1%}" for label, attack in entry.result.items()
        ]
        record = Record.load(cell_folder(self.folder, name))
        seconds = sum(part.get("seconds", 0) for part in (record.training, record.evaluation)) if record else 0
        self._print(f"{head}{', '.join(numbers)} ({seconds:.0f} s)")

    def _print(self, line: str) -> None:
        if self.verbose:
            print(line, file=sys.stderr, flush=True)
