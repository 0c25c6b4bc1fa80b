"""Tables of class accuracies, methods side by side, mean and spread over seeds, as plain text or with rich."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fairart.escapes import terminal

if TYPE_CHECKING:
    from rich.table import Table

    from fairart.evaluation import AttackResult

__all__ = ["ClassTable", "Column", "Evaluation", "Spread", "class_table", "render_rich", "render_text"]

Evaluation = Mapping[str, "AttackResult"]
"""Results by attack label, ``"clean"`` among them: the result of :func:`fairart.evaluation.evaluate`."""

DECILE_FROM = 20
"""Number of classes from which the table has a row for the worst tenth; below, that is one or two classes."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of one number over seeds.

    Args:
        mean: NaN if there is no value.
        std: divided by count - 1; NaN below two values.
        count: number of values.
    """

    mean: float
    std: float
    count: int

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Spread:
        """Summarise (seeds,) numbers; NaN, as of an absent class, are left out."""
        numbers = np.asarray(values, dtype=np.float64)
        numbers = numbers[~np.isnan(numbers)]
        mean = float(numbers.mean()) if len(numbers) else math.nan
        return cls(mean, float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan, len(numbers))

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain numbers for JSON; NaN is None."""
        plain = {"mean": self.mean, "std": self.std}
        return {**{key: None if math.isnan(value) else value for key, value in plain.items()}, "seeds": self.count}


@dataclass(frozen=True)
class Column:
    """One method under one attack, or the difference of two methods.

    Args:
        attack: label of the attack, or ``"clean"``.
        name: method, or ``"difference"``.
        cells: one for each row of the table; shares in [0, 1], differences in [-1, 1].
        worst: row of the class with the lowest mean; None for differences.
        signed: whether a sign is always printed.
    """

    attack: str
    name: str
    cells: tuple[Spread, ...]
    worst: int | None = None
    signed: bool = False

    def text(self, row: int) -> str:
        """A cell in per cent: mean, then spread if there are several seeds; ``*`` marks the worst class."""
        cell = self.cells[row]
        if math.isnan(cell.mean):
            return "-"
        sign = "+" if self.signed else ""
        # Rounded first: a difference of -0.01 points reads +0.0, not -0.0.
        mean = f"{'*' if row == self.worst else ''}{round(100 * cell.mean, 1) + 0.0:{sign}.1f}"
        return mean if math.isnan(cell.std) else f"{mean}±{100 * cell.std:.1f}"


@dataclass(frozen=True)
class ClassTable:
    """Class rows, then overall and worst-class rows; columns grouped by attack.

    Args:
        classes: K names.
        summary: names of the rows below the classes.
        support: number of test samples of each row; None for rows that have no samples of their own.
        columns: grouped by attack, each with K + len(summary) cells.
        notes: lines that explain it.
    """

    classes: tuple[str, ...]
    summary: tuple[str, ...]
    support: tuple[int | None, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of all rows."""
        return self.classes + self.summary

    def cell(self, row: str, attack: str, name: str) -> Spread:
        """One cell by its names.

        Raises:
            KeyError: there is none.
        """
        for column in self.columns:
            if (column.attack, column.name) == (attack, name) and row in self.rows:
                return column.cells[self.rows.index(row)]
        raise KeyError(f"no cell ({row!r}, {attack!r}, {name!r})")

    def to_dict(self) -> dict[str, Any]:
        """attack -> column -> row -> mean, std, seeds; plain numbers for JSON, shares in [0, 1]."""
        plain: dict[str, Any] = {}
        for column in self.columns:
            cells = {row: cell.to_dict() for row, cell in zip(self.rows, column.cells, strict=True)}
            plain.setdefault(column.attack, {})[column.name] = cells
        return plain


def class_table(
    results: Mapping[str, Sequence[Evaluation]],
    *,
    attacks: Sequence[str] | None = None,
    difference: tuple[str, str] | None = None,
) -> ClassTable:
    """Put methods side by side, class by class, with the spread over seeds.

    The worst-class row is the mean over seeds of each seed's own worst class, whichever class that was; it is at or below the
    lowest class row, which a ``*`` marks.

    Args:
        results: method -> one evaluation a seed, all on the same test samples.
        attacks: labels of the results to show, in order; all that the first evaluation holds by default.
        difference: (a, b) adds a column a - b to each attack, mean and spread of the differences seed by seed.

    Raises:
        ValueError: no result, other test samples, an attack that is missing, or a difference of methods that do not pair.
    """
    first = _check(results, difference)
    shown = tuple(first if attacks is None else attacks)
    for method, runs in results.items():
        for label in shown:
            if any(label not in run for run in runs):
                raise ValueError(f"an evaluation of {method!r} has no result {label!r}; it has {', '.join(runs[0])}")
    reference = next(iter(first.values()))
    nb_classes, support = reference.nb_classes, reference.confusion.support
    names = tuple(reference.class_names or map(str, range(nb_classes)))
    decile = nb_classes >= DECILE_FROM
    columns: list[Column] = []
    for label in shown:
        numbers = {method: _numbers([run[label] for run in runs], decile) for method, runs in results.items()}
        for method, values in numbers.items():
            means = np.array([Spread.of(row).mean for row in values[:nb_classes]])
            worst = None if np.isnan(means).all() else int(np.nanargmin(means))
            columns.append(Column(label, method, _cells(values), worst))
        if difference is not None:
            gap = numbers[difference[0]] - numbers[difference[1]]
            columns.append(Column(label, "difference", _cells(gap), signed=True))
    return ClassTable(
        classes=names,
        summary=("overall", "worst", *(["worst 10 %"] if decile else [])),
        support=(*map(int, support), int(support.sum()), *[None] * (2 if decile else 1)),
        columns=tuple(columns),
        notes=_notes(results, difference, decile),
    )


def _check(results: Mapping[str, Sequence[Evaluation]], difference: tuple[str, str] | None) -> Evaluation:
    if not results or not all(len(runs) for runs in results.values()):
        raise ValueError("a table needs at least one method, and one evaluation of each")
    first = next(iter(results.values()))[0]
    labels = next(iter(first.values())).labels
    for method, runs in results.items():
        for run in runs:
            if not np.array_equal(next(iter(run.values())).labels, labels):
                raise ValueError(f"methods compare on the same test samples: an evaluation of {method!r} has others")
    if difference is not None:
        for method in difference:
            if method not in results:
                raise ValueError(f"no method {method!r} for the difference; there are {', '.join(results)}")
        counts = [len(results[method]) for method in difference]
        if counts[0] != counts[1]:
            raise ValueError(f"a difference pairs seeds: {difference[0]!r} has {counts[0]}, {difference[1]!r} {counts[1]}")
    return first


def _numbers(runs: Sequence[AttackResult], decile: bool) -> npt.NDArray[np.float64]:
    """(rows, seeds) accuracies."""
    rows = [
        [*run.class_accuracy, run.accuracy, run.worst_class_accuracy(), *([run.worst_class_accuracy(0.1)] if decile else [])]
        for run in runs
    ]
    numbers: npt.NDArray[np.float64] = np.array(rows, dtype=np.float64).T
    return numbers


def _cells(values: npt.NDArray[np.float64]) -> tuple[Spread, ...]:
    return tuple(Spread.of(row) for row in values)


def _notes(results: Mapping[str, Sequence[Evaluation]], difference: tuple[str, str] | None, decile: bool) -> tuple[str, ...]:
    counts = {method: len(runs) for method, runs in results.items()}
    number = max(counts.values())
    seeds = f"{number} seeds" if len(set(counts.values())) == 1 else ", ".join(f"{m} {n} seeds" for m, n in counts.items())
    spread = f"mean±sample standard deviation over {seeds}" if number > 1 else "one seed: the spread is unknown"
    notes = [
        f"accuracy in per cent, {spread}",
        "n: test samples; *: lowest class of a method; worst: lowest class of each seed",
    ]
    if decile:
        notes.append("worst 10 %: mean over each seed's worst tenth of the classes")
    if difference is not None:
        notes.append(f"difference: {difference[0]} - {difference[1]} in points, seed by seed")
    return tuple(notes)


def _groups(table: ClassTable) -> list[tuple[str, list[Column]]]:
    groups: dict[str, list[Column]] = {}
    for column in table.columns:
        groups.setdefault(column.attack, []).append(column)
    return list(groups.items())


def render_text(table: ClassTable) -> str:
    """The table as plain text, for logs, files and terminals without colour.

    Args:
        table: from :func:`class_table`.

    Returns:
        Lines without a line break at the end.
    """
    head, groups = _block([["class", *map(terminal, table.rows)]], left=True), [_block([["n", *map(_count, table.support)]])]
    titles = ["", ""]
    for attack, columns in _groups(table):
        groups.append(_block([[terminal(c.name), *(c.text(row) for row in range(len(table.rows)))] for c in columns]))
        titles.append(terminal(attack))
    blocks = [head, *groups]
    lines = [[title.center(len(block[0])) for title, block in zip(titles, blocks, strict=True)]]
    # A title wider than its block would shift everything to its right.
    blocks = [[line.rjust(len(top)) for line in block] for top, block in zip(lines[0], blocks, strict=True)]
    lines += [list(parts) for parts in zip(*blocks, strict=True)]
    text = ["  ".join(parts).rstrip() for parts in lines]
    rule = "-" * max(map(len, text))
    return "\n".join(
        [
            *text[:2],
            rule,
            *text[2 : 2 + len(table.classes)],
            rule,
            *text[2 + len(table.classes) :],
            "",
            *map(terminal, table.notes),
        ]
    )


def _block(columns: list[list[str]], *, left: bool = False) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    return [
        " ".join(cell.ljust(width) if left else cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        for cells in zip(*columns, strict=True)
    ]


def _count(number: int | None) -> str:
    return "" if number is None else str(number)


def render_rich(table: ClassTable, *, title: str = "") -> Table:
    """The same table for ``rich.console.Console.print``; the notes are its caption.

    Args:
        table: from :func:`class_table`.
        title: printed above it.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        title=Text(terminal(title)) if title else None,
        caption=Text("\n".join(map(terminal, table.notes))),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,  # two methods under two attacks fit 80 characters
    )
    shown.add_column("class", no_wrap=True, min_width=max(map(len, ("class", *map(terminal, table.rows)))))
    shown.add_column("n", justify="right", no_wrap=True, min_width=max(map(len, map(_count, table.support))))
    before = ""
    for column in table.columns:
        # The attack is above the first of its columns, which has a wider gap before it.
        head = Text(f"{terminal(column.attack) if column.attack != before else ''}\n{terminal(column.name)}")
        gap = 1 if column.attack != before else 0
        width = gap + max(
            len(terminal(column.attack)), len(terminal(column.name)), *(len(column.text(row)) for row in range(len(table.rows)))
        )
        shown.add_column(head, justify="right", no_wrap=True, min_width=width)
        before = column.attack
    last = len(table.classes) - 1
    for row, (name, count) in enumerate(zip(table.rows, table.support, strict=True)):
        style = "bold" if row > last else ""
        cells = [Text(column.text(row), style=_style(column, row, style)) for column in table.columns]
        # As Text, so that a class called "[red]" is not taken for markup.
        shown.add_row(Text(terminal(name), style=style), _count(count), *cells, end_section=row == last)
    return shown


def _style(column: Column, row: int, style: str) -> str:
    if row == column.worst:
        return "yellow"
    cell = column.cells[row]
    # Only a difference larger than the spread over seeds is coloured: others may be chance.
    if column.signed and abs(cell.mean) > cell.std > 0:
        return f"{style} {'green' if cell.mean > 0 else 'red'}".strip()
    return style
