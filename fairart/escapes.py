"""Text that users chose, such as names of classes and runs, as it stands in a terminal, Markdown, LaTeX or CSV.

Every letter is shown, and none acts: no line break, no terminal control, no command, no formula. One function a format.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["csv_cell", "csv_text", "csv_value", "latex", "markdown", "markdown_line", "terminal"]

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # spelling in Persian, Indic scripts and emoji needs them

# An ampersand acts only where a name or a number follows, as in &lt;.
_MARKDOWN = re.compile(r"([\\`*_|<>\[\]~#]|&(?=[#\w]))")

# What begins a list, a rule or a heading of its own at the start of a line.
_BLOCK = re.compile(r"(\d{1,9}(?=[.)](?:\s|$))|(?=[-+](?:\s|$))|(?=[-=][-=\s]*$))")

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
            "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip


def terminal(text: str) -> str:
    r"""One line of printable text; runs of white space become one space, other unprintable characters ``\x1b`` and the like.

    Args:
        text: any text.
    """
    # A line break would end the row of a table, and an escape sequence would act on the terminal.
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() or letter in _JOINERS else _code(letter) for letter in line)


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def markdown(text: str) -> str:
    """Printable text for a cell of a table, a heading, or the middle of a line of Markdown.

    Args:
        text: any text.
    """
    return _MARKDOWN.sub(r"\\\1", terminal(text))


def markdown_line(text: str) -> str:
    """Printable text for a whole line of Markdown, such as an entry of a list.

    Args:
        text: any text.
    """
    line = markdown(text)
    start = _BLOCK.match(line)
    return line if start is None else f"{line[: start.end()]}\\{line[start.end() :]}"


def latex(text: str) -> str:
    """Printable text for LaTeX outside of formulas, such as a cell of a table. A comment takes :func:`terminal`.

    Args:
        text: any text.
    """
    line = terminal(text)
    # After a line break, LaTeX takes a star or a bracket for an argument of the line break.
    guard = "{}" if line.startswith(("[", "*")) else ""
    return guard + "".join(_LATEX.get(letter, letter) for letter in line)


def csv_cell(value: Any) -> Any:
    """A value for a writer of CSV: text that a spreadsheet would run as a formula gets an apostrophe in front.

    Args:
        value: text, which may hold line breaks, or anything else, which is returned as it is. :func:`csv_value` is the inverse.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith((*_FORMULA, "'")) else value


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV, with line feeds at the ends of lines.

    Args:
        rows: cells: text, numbers, or None for an empty cell.
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    # Before Python 3.13 the writer leaves a carriage return without quotes, where readers take it for the end of the line.
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in rows:
        cells = [csv_cell(value) for value in row]
        (quoting if any("\r" in cell for cell in cells if isinstance(cell, str)) else plain).writerow(cells)
    return text.getvalue()


def csv_value(cell: str) -> str:
    """The text that :func:`csv_cell` was given.

    Args:
        cell: as a reader of CSV returns it.
    """
    return cell.removeprefix("'")
