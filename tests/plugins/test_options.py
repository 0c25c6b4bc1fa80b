"""Options: types, ranges, choices and numbers as text, as users and plugin authors meet them."""

from __future__ import annotations

import functools
import gc
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Protocol, Union

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.plugins.options import REQUIRED, Declared, Option, check_value, declared_options, parse_number, validate_options

if TYPE_CHECKING:
    from somewhere import OnlyForTheTypeChecker

OLD_OPTIONAL = Optional[float]  # noqa: UP045
OLD_UNION = Union[int, str]  # noqa: UP007
finite = st.floats(allow_nan=False, allow_infinity=False)


def declare(kind: Any, default: Any = REQUIRED, **option: Any) -> Declared:
    return Declared("size", kind, default, Option("a size", **option))


def refused(value: Any, declared: Declared, match: str) -> None:
    with pytest.raises(OptionError, match=match):
        check_value(value, declared, where="objective 'it'")


class Owner:
    """Stands for a policy with options of every sort."""

    def __init__(
        self,
        classifier: OnlyForTheTypeChecker,
        *,
        decay: Annotated[float, Option("share kept", low=0, high=1, source="a paper")] = 0.85,
        steps: Annotated[int, Option("how many", low=1)] = 10,
        mode: Annotated[Literal["mean", "sum"], Option("how to reduce")] = "mean",
    ) -> None:
        self.options = (classifier, decay, steps, mode)


def loose(a, /, b, *args, c=3, **rest):
    return a, b, args, c, rest


class TestParseNumber:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("8/255", 8 / 255),
            ("1e-3", 1e-3),
            ("0.03", 0.03),
            (" 8 / 255 ", 8 / 255),
            ("-2", -2),
            ("1_000", 1000),
            ("0.5/2", 0.25),
        ],
    )
    def test_reads_what_people_write(self, text: str, value: float) -> None:
        assert parse_number(text) == value
        assert type(parse_number(text)) is type(value)

    @pytest.mark.parametrize("text", ["1/0", "abc", "", "/", "8/", "/255", "8/255/2", "nan", "0/nan", "inf/inf", "1,5", "²"])
    def test_refuses_what_is_no_number(self, text: str) -> None:
        with pytest.raises(OptionError, match=r"expected a number such as 0\.03 or 8/255, got"):
            parse_number(text)

    @given(finite)
    def test_floats_survive_the_round_trip(self, value: float) -> None:
        assert parse_number(repr(value)) == value

    @given(st.integers())
    def test_integers_survive_the_round_trip_as_integers(self, value: int) -> None:
        assert parse_number(str(value)) == value
        assert type(parse_number(str(value))) is int

    @given(finite, finite)
    def test_fractions_are_divisions(self, numerator: float, denominator: float) -> None:
        assume(denominator != 0)
        assert parse_number(f"{numerator!r}/{denominator!r}") == numerator / denominator

    @given(st.text())
    def test_any_other_text_is_an_option_error_and_nothing_else(self, text: str) -> None:
        try:
            value = parse_number(text)
        except OptionError:
            return
        assert not math.isnan(value)


class TestTypes:
    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (float, 0.5),
            (float, 2),
            (int, 3),
            (bool, True),
            (str, "8/255"),
            (OLD_OPTIONAL, None),
            (float | None, 0.1),
            (OLD_UNION, "five"),
            (Literal["a", "b"], "b"),
            (Literal[1, 2], 2),
            (Annotated[float, "a note"], 1.5),
            (list[int], [1]),
            (Sequence[float], (0.1, 0.2)),
            (dict[str, int], {"a": 1}),
            (Callable[[int], int], abs),
            (None, None),
            (Any, object),
            (REQUIRED, object),
            ("NeverDefined", 1),
        ],
    )
    def test_accepts(self, kind: Any, value: Any) -> None:
        assert check_value(value, declare(kind)) is value

    @pytest.mark.parametrize(
        ("kind", "value", "message"),
        [
            (float, "abc", r"objective 'it': size expects float, got 'abc' \(str\); write it like 0\.03 or 8/255"),
            (float, "1/0", r"size expects float, got '1/0' \(str\)"),
            (float, True, r"size expects float, got True \(bool\)"),
            (int, False, r"size expects int, got False \(bool\)"),
            (int, 1.5, r"size expects int, got 1\.5 \(float\)"),
            (int, 1.0, r"size expects int, got 1\.0 \(float\)"),
            (int, "8/255", r"size expects int, got '8/255' \(str\)"),
            (float | None, [1], r"size expects float or None, got \[1\] \(list\)"),
            (float, None, r"size expects float, got None \(NoneType\)"),
            (bool, 1, r"size expects bool, got 1 \(int\)"),
            (str, 5, r"size expects str, got 5 \(int\)"),
            (Literal["a", "b"], "c", r"size expects 'a' or 'b', got 'c' \(str\)"),
            (Literal[1, 2], True, r"size expects 1 or 2, got True \(bool\)"),
            (float | Literal["auto"], "atuo", r"size expects float or 'auto', got 'atuo' \(str\)"),
            (Annotated[int, "a note"], "x", r"size expects int, got 'x'"),
            (list[int], (1,), r"size expects list, got \(1,\) \(tuple\)"),
            (float, np.array([1.0, 2.0]), r"size expects float, got array\(\[1\., 2\.\]\) \(ndarray\)"),
            (float, "x" * 500, r"got 'x{96}\.\.\. \(str\)"),
        ],
    )
    def test_refuses(self, kind: Any, value: Any, message: str) -> None:
        refused(value, declare(kind), message)

    @pytest.mark.parametrize(
        ("kind", "given", "value"),
        [
            (float, "8/255", 8 / 255),
            (float, "1e-3", 1e-3),
            (int, "128", 128),
            (float | None, "0.5", 0.5),
            (float | Literal["auto"], "0.5", 0.5),
            (float | Literal["auto"], "auto", "auto"),
            (Literal[1, 2], "2", 2),
            (tuple[int, ...], [1, 2], (1, 2)),
            (Path, "some/file", Path("some/file")),
            (Path | None, "some/file", Path("some/file")),
            (str | Path, "some/file", "some/file"),
            (str | None, Path("some/file"), str(Path("some/file"))),
        ],
    )
    def test_converts_what_files_and_flags_give(self, kind: Any, given: Any, value: Any) -> None:
        checked = check_value(given, declare(kind))
        assert checked == value
        assert type(checked) is type(value)

    @pytest.mark.parametrize(
        ("kind", "given", "value"),
        [
            (float, np.float64(0.5), 0.5),
            (float, np.float32(0.5), 0.5),
            (float, np.int64(2), 2),
            (int, np.int64(2), 2),
            (int, np.array(2), 2),
            (bool, np.bool_(True), True),
            (str, np.str_("a"), "a"),
            (REQUIRED, np.float32(0.5), 0.5),
        ],
    )
    def test_numpy_scalars_become_plain(self, kind: Any, given: Any, value: Any) -> None:
        checked = check_value(given, declare(kind))
        assert checked == value
        assert type(checked) is type(value)

    def test_numpy_flag_is_no_number(self) -> None:
        refused(np.bool_(True), declare(float), r"expects float, got .*True")

    def test_an_array_stays_an_array_where_one_is_asked_for(self) -> None:
        array = np.array(3.0)
        assert check_value(array, declare(np.ndarray)) is array
        assert check_value(array, declare(REQUIRED)) is array

    def test_what_cannot_be_asked_at_run_time_is_accepted(self) -> None:
        class Shape(Protocol):
            def area(self) -> float: ...

        assert check_value(5, declare(Shape)) == 5


class TestRanges:
    @given(finite, finite, finite, st.booleans(), st.booleans())
    @example(0.0, 1.0, 0.0, True, False)
    @example(0.0, 1.0, 1.0, False, True)
    @example(0.0, 1.0, 0.0, False, True)
    @example(0.0, 1.0, 1.0, True, False)
    def test_inside_is_kept_and_outside_refused(
        self, low: float, high: float, value: float, low_open: bool, high_open: bool
    ) -> None:
        declared = declare(float, low=low, high=high, low_open=low_open, high_open=high_open)
        inside = (low < value if low_open else low <= value) and (value < high if high_open else value <= high)
        if inside:
            assert check_value(value, declared) == value
        else:
            refused(value, declared, "size must be .* and .*, got")

    @given(finite, finite)
    def test_one_bound_leaves_the_other_side_free(self, bound: float, value: float) -> None:
        if value >= bound:
            assert check_value(value, declare(float, low=bound)) == value
        else:
            refused(value, declare(float, low=bound), "size must be >= ")

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ({"low": 0, "high": 1}, 2, r"size must be >= 0 and <= 1, got 2$"),
            ({"low": 0, "high": 1, "low_open": True, "high_open": True}, "1", r"size must be > 0 and < 1, got 1$"),
            ({"low": 8 / 255}, 0, r"size must be >= 0\.0313725, got 0$"),
            ({"high": 1}, "300/255", r"size must be <= 1, got 1\.17"),
        ],
    )
    def test_message_has_the_range(self, option: dict[str, Any], value: Any, message: str) -> None:
        refused(value, declare(float, **option), message)

    def test_none_and_flags_have_no_range(self) -> None:
        assert check_value(None, declare(float | None, low=1)) is None
        assert check_value(False, declare(bool | float, low=1)) is False

    @pytest.mark.parametrize("value", [math.nan, np.float64("nan"), np.float32("nan")])
    @pytest.mark.parametrize("kind", [float, float | None, REQUIRED])
    def test_nan_is_never_a_value(self, value: Any, kind: Any) -> None:
        refused(value, declare(kind), r"size must be a number, got NaN")

    def test_nan_in_an_array_or_as_text_is_refused(self) -> None:
        refused(np.array(math.nan), declare(float), r"size must be a number, got NaN")
        refused("nan", declare(float), r"size expects float, got 'nan'")

    @pytest.mark.parametrize("value", [math.inf, -math.inf, "inf", "-inf", "1e999", np.float64("inf")])
    @pytest.mark.parametrize("option", [{}, {"low": -1}, {"high": 5}, {"choices": (1, 2)}])
    def test_infinities_are_refused_unless_named(self, value: Any, option: dict[str, Any]) -> None:
        refused(value, declare(float, **option), r"size (must be finite|expects one of 1, 2), got")

    @pytest.mark.parametrize(
        "declared",
        [
            declare(float, low=1, high=math.inf),
            declare(float, choices=(1, 2, math.inf)),
            declare(float, default=math.inf),
            declare(REQUIRED),
        ],
    )
    def test_infinity_passes_where_it_is_named(self, declared: Declared) -> None:
        assert check_value(math.inf, declared) == math.inf

    def test_the_other_infinity_stays_refused(self) -> None:
        refused(-math.inf, declare(float, default=math.inf), r"size must be finite, got -inf")

    def test_an_integer_beyond_floats_is_compared_all_the_same(self) -> None:
        refused(10**400, declare(float, high=1), r"size must be <= 1, got 1000")


class TestReadOnce:
    def test_what_a_caller_changes_does_not_come_back(self) -> None:
        def made(size: int, *, share: float = 0.5) -> None: ...

        found = declared_options(made)
        del found["size"]
        assert list(declared_options(made)) == ["size", "share"]
        assert list(declared_options(made, keyword_only=True)) == ["share"]

    def test_what_has_no_hash_is_read_all_the_same(self) -> None:
        class Factory:
            __hash__ = None  # type: ignore[assignment]

            def __call__(self, *, share: float = 0.5) -> None: ...

        assert list(declared_options(Factory())) == ["share"]

    def test_a_function_that_is_gone_is_not_kept(self) -> None:
        def made(*, share: float = 0.5) -> None: ...

        gone = weakref.ref(made)
        declared_options(made)
        del made
        gc.collect()
        assert gone() is None


class TestChoices:
    def test_keeps_and_refuses(self) -> None:
        declared = declare(str, choices=("l2", "linf"))
        assert check_value("l2", declared) == "l2"
        refused("l1", declared, r"objective 'it': size expects one of 'l2', 'linf', got 'l1'")

    def test_true_is_not_one(self) -> None:
        refused(True, declare(REQUIRED, choices=(1, 2)), r"size expects one of 1, 2, got True")

    def test_an_array_is_refused_and_not_compared(self) -> None:
        refused(np.array([1, 2]), declare(REQUIRED, choices=(1, 2)), r"size expects one of 1, 2, got array")

    def test_none_among_the_choices(self) -> None:
        assert check_value(None, declare(REQUIRED, choices=(None, "x"))) is None


class TestDeclaredOptions:
    def test_signature_and_option_come_together(self) -> None:
        declared = declared_options(Owner)
        assert list(declared) == ["classifier", "decay", "steps", "mode"]
        assert declared["decay"].default == 0.85
        assert declared["decay"].type is float
        assert declared["decay"].option == Option("share kept", low=0, high=1, source="a paper")
        assert declared["classifier"].required
        assert not declared["steps"].required

    def test_one_name_for_the_type_checker_alone_does_not_cost_the_others(self) -> None:
        assert declared_options(Owner)["classifier"].type is Any
        assert declared_options(Owner)["steps"].option.low == 1

    def test_a_type_checkers_name_inside_an_annotation_keeps_its_option(self) -> None:
        def build(*, model: Annotated[OnlyForTheTypeChecker | None, Option("a model")] = None) -> None: ...

        assert declared_options(build)["model"].option.description == "a model"

    def test_an_annotation_that_raises_leaves_name_and_default(self) -> None:
        def build(*, size: 1 / 0 = 3) -> None: ...

        assert declared_options(build)["size"].default == 3
        assert validate_options(build, {"size": "any"}, where="model 'm'") == {"size": "any"}

    def test_keyword_only(self) -> None:
        assert list(declared_options(Owner, keyword_only=True)) == ["decay", "steps", "mode"]

    def test_positional_only_and_stars_are_no_options(self) -> None:
        assert list(declared_options(loose)) == ["b", "c"]

    def test_functions_partials_instances_and_dataclasses(self) -> None:
        def build(*, width: Annotated[int, Option("channels", low=1)] = 16) -> None: ...

        class Builder:
            def __call__(self, *, width: Annotated[int, Option("channels", low=1)] = 16) -> None: ...

        @functools.wraps(build)
        def wrapped(*args: Any, **kwargs: Any) -> None: ...

        for factory in (build, functools.partial(build, width=8), Builder(), wrapped, Plain):
            assert declared_options(factory)["width"].option == Option("channels", low=1)
        assert declared_options(functools.partial(build, width=8))["width"].default == 8

    def test_inherited_constructor(self) -> None:
        class Child(Owner):
            pass

        assert declared_options(Child)["decay"].option.high == 1

    def test_class_that_only_has_new(self) -> None:
        class Made:
            def __new__(cls, *, width: Annotated[int, Option("channels", low=1)] = 16) -> Any:
                return object.__new__(cls)

        assert declared_options(Made)["width"].option.description == "channels"


@dataclass
class Plain:
    width: Annotated[int, Option("channels", low=1)] = 16


class TestValidateOptions:
    def test_checks_and_converts(self) -> None:
        checked = validate_options(Owner, {"classifier": 1, "decay": "1/2"}, where="trainer 'at'")
        assert checked == {"classifier": 1, "decay": 0.5}

    def test_unknown_name_says_the_nearest(self) -> None:
        with pytest.raises(OptionError, match=r"^trainer 'at' has no option 'decey'; did you mean 'decay'\?$"):
            validate_options(Owner, {"classifier": 1, "decey": 0.5}, where="trainer 'at'")

    def test_unknown_name_far_from_all_lists_them(self) -> None:
        with pytest.raises(OptionError, match=r"has no option 'zzz'; known: classifier, decay, mode, steps$"):
            validate_options(Owner, {"zzz": 0.5}, where="trainer 'at'")

    def test_no_options_at_all(self) -> None:
        class Bare:
            pass

        assert validate_options(Bare, {}, where="model 'm'") == {}
        with pytest.raises(OptionError, match=r"model 'm' has no option 'width'; known: none$"):
            validate_options(Bare, {"width": 1}, where="model 'm'")

    def test_missing_required(self) -> None:
        with pytest.raises(OptionError, match=r"^trainer 'at' needs classifier$"):
            validate_options(Owner, {"steps": 2}, where="trainer 'at'")

    def test_bad_value_names_owner_and_option(self) -> None:
        with pytest.raises(OptionError, match=r"^trainer 'at': steps must be >= 1, got 0$"):
            validate_options(Owner, {"classifier": 1, "steps": 0}, where="trainer 'at'")

    def test_unannotated_stranger_has_its_names_checked(self) -> None:
        def build(width, *, depth=3):
            return width, depth

        assert validate_options(build, {"width": "any", "depth": None}, where="model 'm'") == {"width": "any", "depth": None}
        with pytest.raises(OptionError, match=r"model 'm' has no option 'dept'; did you mean 'depth'\?"):
            validate_options(build, {"width": 1, "dept": 2}, where="model 'm'")

    def test_keyword_arguments_of_any_name(self) -> None:
        assert validate_options(loose, {"b": 1, "d": 4, "rest": 5}, where="model 'm'") == {"b": 1, "d": 4, "rest": 5}

    def test_keyword_only_never_takes_what_is_given_by_position(self) -> None:
        def attack(classifier, x, y, *, eps: Annotated[float, Option("budget", low=0)], **options: Any) -> Any: ...

        assert validate_options(attack, {}, where="attack 'a'", keyword_only=True) == {}
        assert validate_options(attack, {"eps": "8/255", "more": 1}, where="attack 'a'", keyword_only=True) == {
            "eps": 8 / 255,
            "more": 1,
        }
        with pytest.raises(OptionError, match=r"attack 'a' has no option 'x'; known: eps"):
            validate_options(attack, {"x": 1}, where="attack 'a'", keyword_only=True)

    def test_a_factory_without_signature_takes_what_it_takes(self) -> None:
        assert validate_options(dict, {"a": 1}, where="model 'm'") == {"a": 1}


class TestNearest:
    def test_close_ones_else_all(self) -> None:
        assert did_you_mean("cpfs", ["cfps", "uniform"]) == "did you mean 'cfps'?"
        assert did_you_mean("q", ["cfps", "uniform"]) == "known: cfps, uniform"
        assert did_you_mean("q", []) == "known: none"
