"""Tables with columns in groups, as in papers, written as Markdown, LaTeX or plain text."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fairart.escapes import latex, markdown, markdown_line
from fairart.evaluation.results.flags import FAILED
from fairart.reporting.tables import Spread

__all__ = ["GroupedTable", "Key", "TableCell", "grouped_table", "spread_text", "to_latex", "to_markdown"]

Key = tuple[str, str]
"""Group and column."""


@dataclass(frozen=True)
class TableCell:
    """A cell.

    Args:
        text: ``-`` for an empty cell.
        best: whether it is the best of its column.
    """

    text: str
    best: bool = False


@dataclass(frozen=True)
class GroupedTable:
    """A table whose columns are in groups.

    Args:
        title: of the table.
        corner: head of the row names.
        groups: name of each group, and its columns.
        rows: name of each row, and one cell a column.
        notes: lines that say how to read it.
    """

    title: str
    corner: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[tuple[str, tuple[TableCell, ...]], ...]
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """One name a column, that of its group included: ``"pgd, worst"``."""
        return tuple(f"{group}, {column}" if column else group for group, columns in self.groups for column in columns)

    def cell(self, row: str, column: str) -> TableCell:
        """One cell by the name of its row and, as in :attr:`columns`, of its column.

        Raises:
            KeyError: there is none.
        """
        try:
            return dict(self.rows)[row][self.columns.index(column)]
        except ValueError:
            raise KeyError(f"no column {column!r}; there are {'; '.join(self.columns)}") from None


def spread_text(spread: Spread, *, scale: float = 100.0, digits: int = 1) -> str:
    """Mean, and spread if there are several seeds: ``"63.2 ± 1.4"``.

    Args:
        spread: of a number over seeds.
        scale: both are multiplied by it; 100 for per cent.
        digits: after the point.
    """
    if math.isnan(spread.mean):
        return "-"
    # Rounded first: -0.01 reads 0.0, not -0.0.
    mean = f"{round(scale * spread.mean, digits) + 0.0:.{digits}f}"
    return mean if math.isnan(spread.std) else f"{mean} ± {scale * spread.std:.{digits}f}"


def grouped_table(
    rows: Mapping[str, Mapping[Key, Spread]],
    *,
    title: str,
    corner: str,
    highest: Sequence[Key] = (),
    scale: float = 100.0,
    digits: int = 1,
    notes: Sequence[str] = (),
    doubtful: Collection[tuple[str, Key]] = (),
) -> GroupedTable:
    """Make a table of numbers.

    Args:
        rows: row -> (group, column) -> number; columns are in the order of their first appearance.
        title: of the table.
        corner: head of the row names.
        highest: columns whose highest number is marked; if two print the same, both are.
        scale: numbers are multiplied by it; 100 for per cent.
        digits: after the point.
        notes: lines that explain it.
        doubtful: (row, key) of numbers whose sanity checks failed; they are marked.
    """
    keys = list(dict.fromkeys(key for values in rows.values() for key in values))
    groups: dict[str, list[str]] = {}
    for group, column in keys:
        groups.setdefault(group, []).append(column)
    # Columns of a group are next to each other, even if they come from different rows.
    keys = [(group, column) for group, columns in groups.items() for column in columns]
    nothing = Spread.of([])
    printed = {key: {row: round(scale * values.get(key, nothing).mean, digits) for row, values in rows.items()} for key in keys}
    known = {key: [value for value in column.values() if not math.isnan(value)] for key, column in printed.items()}
    # If all print the same, none is better than the others.
    marked = {key: max(known[key]) for key in highest if len(set(known.get(key, ()))) > 1}
    return GroupedTable(
        title=title,
        corner=corner,
        groups=tuple((group, tuple(columns)) for group, columns in groups.items()),
        rows=tuple(
            (
                row,
                tuple(
                    TableCell(
                        spread_text(values.get(key, nothing), scale=scale, digits=digits)
                        + f" {FAILED}" * ((row, key) in doubtful),
                        printed[key][row] == marked.get(key),
                    )
                    for key in keys
                ),
            )
            for row, values in rows.items()
        ),
        notes=tuple(notes),
    )


def to_markdown(table: GroupedTable, *, level: int = 2) -> str:
    """A heading, the table with the best in bold, its notes.

    Args:
        table: the table.
        level: of the heading, 1 to 6.
    """
    head = [markdown(name) for name in (table.corner, *table.columns)]
    lines = [_markdown_row(head), _markdown_row(["---", *["---:"] * len(table.columns)])]
    for name, cells in table.rows:
        texts = [markdown(cell.text) for cell in cells]
        marked = [f"**{text}**" if cell.best else text for text, cell in zip(texts, cells, strict=True)]
        lines.append(_markdown_row([markdown(name), *marked]))
    notes = [f"- {markdown_line(note)}" for note in table.notes]
    return "\n".join([f"{'#' * level} {markdown(table.title)}", "", *lines, *(["", *notes] if notes else []), ""])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def to_latex(table: GroupedTable) -> str:
    """A ``table`` environment for the package booktabs, the best in bold, notes in the caption.

    Args:
        table: the table.
    """
    rows = [rf"{latex(table.corner)} & {' & '.join(map(latex, table.columns))} \\"]
    if any(column for _, columns in table.groups for column in columns):
        rows = _grouped_heads(table)
    body = []
    for name, cells in table.rows:
        texts = [rf"\textbf{{{latex(cell.text)}}}" if cell.best else latex(cell.text) for cell in cells]
        body.append(rf"{latex(name)} & {' & '.join(texts)} \\")
    caption = " ".join(f"{latex(line).rstrip('.')}." for line in (table.title, *table.notes))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{''.join('r' * len(columns) for _, columns in table.groups)}}}",
            r"\toprule",
            *rows,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _grouped_heads(table: GroupedTable) -> list[str]:
    """Names of the groups, rules below them, names of the columns."""
    heads = [rf"\multicolumn{{{len(columns)}}}{{c}}{{{latex(group)}}}" for group, columns in table.groups]
    names = [latex(column) for _, columns in table.groups for column in columns]
    rules, at = [], 2
    for _, columns in table.groups:
        rules.append(rf"\cmidrule(lr){{{at}-{at + len(columns) - 1}}}")
        at += len(columns)
    return [
        rf" & {' & '.join(heads)} \\",
        " ".join(rules),
        rf"{latex(table.corner)} & {' & '.join(names)} \\",
    ]
