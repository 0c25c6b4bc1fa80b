"""Output of commands: tables for people, one JSON document for programs, one line for a warning."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from fairart.escapes import terminal

__all__ = ["print_json", "print_table", "print_warning", "share", "stdout_kept_clean"]


def share(value: float | None) -> str:
    """An accuracy in per cent; ``-`` where there is none."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table: drawn on a terminal, plain columns otherwise."""
    columns, rows, title = list(map(terminal, columns)), [list(map(terminal, row)) for row in rows], terminal(title)
    if sys.stdout.isatty():
        _print_drawn(columns, rows, title)
        return
    if title:
        print(title)
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    for row in (columns, ["-" * width for width in widths], *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        # As text: brackets are not markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def stdout_kept_clean(wanted: bool) -> contextlib.AbstractContextManager[object]:
    """Redirect output of libraries and plugins to standard error, so that standard output has only the JSON document."""
    return contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext()


def print_json(document: Any) -> None:
    """Print one JSON document; NaN becomes null."""
    print(json.dumps(_plain(document), allow_nan=False, indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line on standard error, in place of :func:`warnings.showwarning`."""
    print(f"fairart: warning: {terminal(str(message))}", file=sys.stderr)
