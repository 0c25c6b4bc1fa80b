"""How results show themselves in notebooks: HTML tables, escaped and in the colours of the page; and pandas data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from fairart.escapes import terminal

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["data_frame", "html_notes", "html_table"]

# Notebooks style tables by themselves, each in its own way: what matters is set here. No colour is, so that both themes work.
_TABLE = "border-collapse:collapse;margin:.4em 0;color:inherit;background:transparent;font-variant-numeric:tabular-nums"
_CELL = "padding:.15em .7em;white-space:nowrap;color:inherit;background:transparent"
_RULE = ";border-top:1px solid color-mix(in srgb,currentColor 35%,transparent)"


def html_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1, ruled: Sequence[int] = (), title: str = ""
) -> str:
    """A table.

    Args:
        columns: heads.
        rows: cells.
        text_columns: how many of the first columns hold names, aligned to the left; numbers follow.
        ruled: places of rows with a rule above them; the first row always has one.
        title: stands above the table; empty for none.
    """
    lines = [f'<table style="{_TABLE}">']
    if title:
        lines.append(f'<caption style="caption-side:top;text-align:left;color:inherit">{_text(title)}</caption>')
    lines.append(f"<thead>{_row('th', columns, text_columns, ruled=False)}</thead>")
    body = "\n".join(_row("td", row, text_columns, ruled=place in (0, *ruled)) for place, row in enumerate(rows))
    return "\n".join([*lines, f"<tbody>{body}</tbody>", "</table>"])


def _row(tag: str, cells: Sequence[str], text_columns: int, *, ruled: bool) -> str:
    found = []
    for place, cell in enumerate(cells):
        side = "left" if place < text_columns else "right"
        found.append(f'<{tag} style="{_CELL};text-align:{side}{_RULE * ruled}">{_text(cell)}</{tag}>')
    return f"<tr>{''.join(found)}</tr>"


def html_notes(notes: Sequence[str]) -> str:
    """Lines below a table, folded up.

    Args:
        notes: one a line.
    """
    items = "".join(f"<li>{_text(note)}</li>" for note in notes)
    return f"<details><summary>Notes</summary><ul>{items}</ul></details>" if notes else ""


def _text(text: str) -> str:
    return escape(terminal(text))


def data_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> DataFrame:
    """A data frame of these rows.

    Args:
        rows: column -> value.
        columns: their order.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise ImportError('to_frame needs pandas: pip install "fairart[pandas]"') from error
    return DataFrame(list(rows), columns=list(columns))
