"""Names in a terminal, Markdown, LaTeX and CSV: read back by a parser, and letter by letter by what LaTeX's commands show."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fairart.escapes import csv_cell, csv_text, csv_value, latex, markdown, markdown_line, terminal

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

NAMES = st.text(st.one_of(st.sampled_from(r"\`*_|<>[]()~&%$#{}^±!;. " + "\n\t\x1b\r"), st.characters()))


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
    assert shown_by_markdown(f"| a | b |\n| --- | --- |\n| {row} |\n| c | d |") == ["a", "b", *map(terminal, names), "c", "d"]


@given(NAMES)
def test_markdown_within_a_line_shows_every_letter(name):
    assert shown_by_markdown(f"so: {markdown(name)}.") == [f"so: {terminal(name)}."]


@given(st.one_of(NAMES, st.sampled_from(["- a", "+", "1. a", "12) b", "---", "- - -", "===", "# a", "a #", "> a"])))
def test_a_line_of_markdown_is_no_block_of_another_kind(name):
    tokens = PARSER.parse(f"- {markdown_line(name)}\n- end\n\n## {markdown(name)}")
    kinds = {token.type.removesuffix("_open") for token in tokens if token.nesting == 1}
    assert kinds <= {"bullet_list", "list_item", "paragraph", "heading"}
    assert {token.type for token in tokens if token.nesting == 0} == {"inline"}
    assert [token.type for token in tokens].count("list_item_open") == 2
    shown = ["".join(child.content for child in token.children) for token in tokens if token.type == "inline"]
    assert shown in ([*filter(None, [terminal(name)]), "end", terminal(name)], [terminal(name), "end", terminal(name)])


@given(st.text())
def test_the_terminal_gets_one_line_of_printable_text(name):
    line = terminal(name)
    assert all(letter.isprintable() or letter in "\u200c\u200d" for letter in line)
    assert terminal(line) == line


def test_control_codes_are_shown():
    assert terminal("red\x1b[31m\n\trow\u202e") == r"red\x1b[31m row\u202e"
    assert terminal("\u0645\u06cc\u200c\u0634\u0648\u062f") == "\u0645\u06cc\u200c\u0634\u0648\u062f"


FORMULAS = st.sampled_from(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "'", "\uff1d1"])


@given(
    st.lists(st.lists(st.one_of(FORMULAS, st.text(st.characters(exclude_characters="\0"))), min_size=2, max_size=4), min_size=1)
)
def test_csv_reads_back_the_same_and_opens_harmless(rows):
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert [list(map(csv_value, cells)) for cells in read] == rows
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")) for cells in read for cell in cells)


def test_numbers_stay_as_they_are_in_csv():
    assert csv_text([["a", -1, 0.5, None], ["-a", 1, -0.5, ""]]) == "a,-1,0.5,\n'-a,1,-0.5,\n"
    assert csv_cell(-1.5) == -1.5


@given(NAMES)
def test_latex_shows_every_letter_and_nothing_acts(name):
    source = latex(name)
    assert not source.startswith(("[", "*"))  # a line break before it would take it for its argument
    source = source.removeprefix("{}")
    letters = LETTER.findall(source)
    assert "".join(letters) == source
    assert "".join(SHOWN.get(letter, letter) for letter in letters) == terminal(name)


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
