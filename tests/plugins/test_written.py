"""Parts with their options as text and as lists."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairart.errors import OptionError
from fairart.plugins.written import WrittenPart, read_parts, write_parts

WORDS = st.from_regex(r"[a-z][a-z-]{0,8}[a-z]", fullmatch=True)
VALUES = st.one_of(
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    WORDS.filter(lambda word: word not in ("none", "null", "true", "false", "nan", "inf", "infinity")),
)
OPTIONS = st.dictionaries(WORDS.map(lambda word: word.replace("-", "_")), VALUES, max_size=3)


@given(st.lists(st.builds(WrittenPart, WORDS, OPTIONS), max_size=4))
def test_what_is_written_is_read_again(parts: list[WrittenPart]) -> None:
    text = write_parts(tuple(parts))
    assert read_parts(text, label="x") == tuple(parts)
    assert read_parts([{part.name: dict(part.options)} for part in parts], label="x") == tuple(parts)


@pytest.mark.parametrize(
    "value",
    [
        "crop-flip, mixup:alpha=0.4 : probability=1",
        ["crop-flip", {"mixup": {"alpha": 0.4, "probability": 1}}],
        [{"crop-flip": None}, "mixup:alpha=0.4:probability=1"],
        {"crop-flip": {}, "mixup": {"alpha": 0.4, "probability": 1}},
    ],
)
def test_all_forms_are_one(value: Any) -> None:
    assert write_parts(read_parts(value, label="x")) == "crop-flip,mixup:alpha=0.4:probability=1"


@pytest.mark.parametrize("nothing", ["", " ", [], {}])
def test_nothing_is_no_part(nothing: Any) -> None:
    assert read_parts(nothing, label="x") == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a,,b", "--augmentation expects names with options, such as crop-flip,mixup:alpha=0.4, got ''"),
        ("a=1", "expects names with options"),
        ("a:b", "expected OPTION=VALUE after 'a', got 'b'"),
        ("a:=1", "expected OPTION=VALUE after 'a', got '=1'"),
        ("a:b=1:b=2", "'a' has the option 'b' twice"),
        (3, "expects names with options.*got 3"),
        ([3], "got 3 in a list"),
        ([["a"]], "in a list"),
        ([{"a": 3}], "expects a name with its options.*got 'a': 3"),
        ([{1: {}}], "expects a name with its options"),
        ([{"a:b": {}}], "expects a name with its options"),
    ],
)
def test_another_form_is_refused(value: Any, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        read_parts(value, label="--augmentation")


def test_a_value_that_no_text_can_hold_is_refused() -> None:
    with pytest.raises(OptionError, match=r"option b: expected a number, a word.*got \[1\]"):
        write_parts((WrittenPart("a", {"b": [1]}),))
