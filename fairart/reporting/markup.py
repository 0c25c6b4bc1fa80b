"""Text as it stands within a line of Markdown or LaTeX: every letter is shown, none is taken for a command."""

from __future__ import annotations

import re

__all__ = ["latex", "markdown"]

# An ampersand acts only where a name or a number follows, as in &lt;.
_MARKDOWN = re.compile(r"([\\`*_|<>\[\]~]|&(?=[#\w]))")

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def markdown(text: str) -> str:
    """Text for a cell of a table, or for the middle of a line; runs of white space become one space.

    Args:
        text: whatever a user named something.
    """
    return _MARKDOWN.sub(r"\\\1", _one_line(text))


def latex(text: str) -> str:
    """Text outside of formulas, a cell of a table included; runs of white space become one space.

    Args:
        text: whatever a user named something.
    """
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    # A line break would end the row of a table.
    return " ".join(text.split())
