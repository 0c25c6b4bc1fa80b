"""Names in Markdown and LaTeX, read back by a parser of Markdown, and letter by letter by what LaTeX's commands show."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fairart.reporting.markup import latex, markdown

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

SHOWN = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"$\pm$": "±",
    "$<$": "<",
    "$>$": ">",
    **{f"\\{letter}": letter for letter in "&%$#_{}"},
}
"""LaTeX -> what is printed."""

LETTER = re.compile("|".join(map(re.escape, SHOWN)) + r"|[^\\~^&%$#_{}±<>\n]")

NAMES = st.text(st.one_of(st.sampled_from(r"\`*_|<>[]()~&%$#{}^±!;. " + "\n\t"), st.characters(exclude_categories=["Cc", "Cs"])))


def one_line(text):
    return " ".join(text.split())


def shown_by_markdown(source):
    """Texts of the cells or lines, all of plain text."""
    found = []
    for token in PARSER.parse(source):
        if token.type == "inline":
            assert {child.type for child in token.children} <= {"text"}, source
            found.append("".join(child.content for child in token.children))
    return found


@given(st.lists(NAMES, min_size=2, max_size=2))
def test_markdown_cells_show_every_letter(names):
    row = " | ".join(map(markdown, names))
    assert shown_by_markdown(f"| a | b |\n| --- | --- |\n| {row} |\n| c | d |") == ["a", "b", *map(one_line, names), "c", "d"]


@given(NAMES)
def test_markdown_within_a_line_shows_every_letter(name):
    assert shown_by_markdown(f"so: {markdown(name)}.") == [f"so: {one_line(name)}."]


@given(NAMES)
def test_latex_shows_every_letter_and_nothing_acts(name):
    source = latex(name)
    letters = LETTER.findall(source)
    assert "".join(letters) == source
    assert "".join(SHOWN.get(letter, letter) for letter in letters) == one_line(name)


@pytest.mark.parametrize(
    ("letter", "expected"),
    [
        *((letter, f"\\{letter}") for letter in "&%$#_{}"),
        ("~", r"\textasciitilde{}"),
        ("^", r"\textasciicircum{}"),
        ("\\", r"\textbackslash{}"),
    ],
)
def test_special_letters_of_latex(letter, expected):
    assert latex(f"a{letter}b") == f"a{expected}b"


def test_markdown_of_common_names():
    assert markdown("63.2 ± 1.4") == "63.2 ± 1.4"
    assert markdown("a|b_{1}\n*") == r"a\|b\_{1} \*"
    assert markdown("a & b &lt; c") == r"a & b \&lt; c"
