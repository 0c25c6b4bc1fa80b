"""Whole tables with arbitrary names of classes, methods and attacks: LaTeX by its structure, the terminal by its letters."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.cli.output import print_table, print_warning
from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import render_comparison
from fairart.reporting.grouped import grouped_table, to_latex
from fairart.reporting.tables import Spread, class_table, render_text

HARD = [
    "[unk]",
    "*",
    "a\n\\input{x}",
    "a\r\\end{tabular}",
    "%",
    "\\\\",
    "&",
    "{",
    "}",
    "$",
    "\x1b[31mred",
    "#1",
    "~^_",
    "\u2028b",
]
NAME = st.one_of(st.sampled_from(HARD), st.text(min_size=1, max_size=8)).filter(str.strip)  # a blank name has no heading
NAMES = st.lists(NAME, min_size=3, max_size=3, unique=True)

OURS = {
    *("begin", "end", "toprule", "midrule", "bottomrule", "cmidrule", "centering", "caption", "multicolumn", "textbf"),
    *("textbackslash", "textasciitilde", "textasciicircum", "pm"),
}
"""The commands that we write."""

LETTERS = set("&%$#_{}\\")
"""What may follow a backslash besides."""


def check_latex(source):
    """Comments stay comments, no command but ours, balanced braces and environments, as many cells in every row."""
    assert all(letter.isprintable() or letter in "\n\u200c\u200d" for letter in source)
    live = "\n".join(line for line in source.split("\n") if not line.startswith("%"))
    commands = re.findall(r"\\([a-zA-Z]+|.)", live, flags=re.DOTALL)
    assert set(commands) <= OURS | LETTERS
    bare = re.sub(r"\\[^a-zA-Z]", "", live)
    assert "%" not in bare
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert re.findall(r"\\begin\{(\w+)\}", live) == re.findall(r"\\end\{(\w+)\}", live)[::-1] or live.count("\\begin{table}") == 0
    assert not re.search(r"\\\\\s*[\[*]", live)
    for form, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", live, flags=re.DOTALL):
        for row in re.findall(r"[^\n]* \\\\$", body, flags=re.MULTILINE):
            if "multicolumn" not in row:
                assert len(re.findall(r"(?<!\\)(?:\\\\)*&", row)) == len(form) - 1


def runs(made, names, attacks):
    shares = {label: [0.5, 0.6, 0.7] for label in dict.fromkeys(("clean", *attacks))}
    return [
        made.run("at", rates=shares, names=tuple(names), name=names[0], config={"dataset": names[2]}),
        made.run(names[1], rates=shares, names=tuple(names), name=names[1]),
    ]


@settings(deadline=None, max_examples=60)
@given(NAMES, st.lists(NAME, min_size=1, max_size=2))
def test_a_comparison_is_sound_whatever_the_names(made, names, attacks):
    found = compare_runs(runs(made, names, attacks))
    check_latex(render_comparison(found, style="latex", classes=True))
    text = render_comparison(found, classes=True)
    assert all(letter.isprintable() or letter in "\n\u200c\u200d" for letter in text)
    plain = compare_runs(runs(made, ["a", "b", "c"], [f"d{place}" for place in range(len(found.attacks) - 1)]))
    rows = render_comparison(plain, classes=True).count("\n")
    assert text.count("\n") == rows


@settings(deadline=None, max_examples=60)
@given(NAMES, NAME)
def test_grouped_tables_are_sound_whatever_the_names(names, title):
    rows = {name: {(names[0], names[1]): Spread.of([0.5, 0.25]), (names[2], ""): Spread.of([0.1])} for name in names}
    table = grouped_table(rows, title=title, corner=names[2], highest=[(names[0], names[1])], notes=[names[1]])
    check_latex(to_latex(table))


@settings(deadline=None, max_examples=40)
@given(NAMES)
def test_text_is_printable_whatever_the_names(made, names):
    first, _ = runs(made, names, ["pgd"])
    for text in (first.result.table(), render_text(class_table({names[1]: [first.result]}))):
        assert all(letter.isprintable() or letter in "\n\u200c\u200d" for letter in text)


def test_what_commands_print_is_printable(capsys):
    print_table(["a\nb"], [["\x1b[31mred"]], title="t\r")
    print_warning("w\x1b]0;title\x07")
    out, err = capsys.readouterr()
    assert out.splitlines() == ["t", "a b", "-----------", r"\x1b[31mred"]
    assert err == "fairart: warning: w\\x1b]0;title\\x07\n"


@pytest.mark.parametrize("start", ["[unk]", "*"])
def test_a_bracket_at_the_start_of_a_row_stays(start):
    assert f"\n{{}}{start} & " in to_latex(grouped_table({start: {("g", "c"): Spread.of([0.5])}}, title="t", corner="c"))
