"""Classes that every method leaves behind: the rule on constructed cases, chance by simulation, and the line in every format."""

import json

import numpy as np
import pytest

from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import FORMATS, render_comparison
from fairart.reporting.left_behind import left_behind
from fairart.reporting.page import render_page

NINE = [0.1, 0.2, 0.3, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9]


def test_only_classes_that_are_low_in_every_method_count():
    other = [0.3, 0.9, 0.2, 0.1, 0.7, 0.75, 0.8, 0.85, 0.95]
    found = left_behind({"at": NINE, "trades": other})
    assert (found.classes, found.lowest, found.nb_classes) == ((0, 2), 3, 9)
    assert left_behind({"at": NINE, "trades": NINE[::-1]}).classes == ()
    # Ranks are those within a method: a strong method whose lowest classes are better than all of the weak one's counts alike.
    assert left_behind({"at": NINE, "strong": [0.9 + rate / 20 for rate in NINE]}).classes == (0, 1, 2)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.1, 0.3, 0.3, 0.3, 0.7, 0.75, 0.8, 0.85, 0.9], (0,)),  # a tie across the border of the third
        ([0.1, 0.3, 0.3, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9], (0, 1, 2)),
        ([0.0, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97], (0,)),  # the second and third are above the mean of 0.83
        ([0.5] * 9, ()),
        ([0.1 + 0.2, 0.3, 0.3, 0.3, 0.7, 0.75, 0.8, 0.85, 0.9], ()),  # equal but for the last bit
    ],
)
def test_ties_and_classes_above_the_mean_are_not_left_behind(rates, expected):
    assert left_behind({"at": rates, "trades": rates}).classes == expected


def test_few_and_absent_classes():
    assert left_behind({"at": [0.2, 0.9], "trades": [0.3, 0.9]}).classes == (0,)
    found = left_behind({"at": [np.nan, 0.9, 0.1, 0.8], "trades": [np.nan, 0.9, 0.1, 0.8]})
    assert (found.classes, found.lowest, found.nb_classes) == ((2,), 1, 3)
    assert left_behind({"at": NINE}) is None
    assert left_behind({"at": [0.1], "trades": [0.2]}) is None
    assert left_behind({"at": [np.nan, 0.1], "trades": [0.2, 0.1]}) is None


def test_the_number_by_chance_is_that_of_random_orders():
    random = np.random.default_rng(0)
    number = [len(left_behind({"a": random.permutation(9), "b": random.permutation(9)}).classes) for _ in range(3000)]
    assert np.mean(number) == pytest.approx(left_behind({"a": NINE, "b": NINE}).by_chance, abs=0.05)
    assert left_behind({"a": NINE, "b": NINE}).by_chance == pytest.approx(9 / 9)
    assert left_behind({"a": NINE, "b": NINE}).text("abcdefghi", "pgd").endswith("pgd: a, b, c (by chance at most 1 class)")
    assert left_behind(dict.fromkeys("abc", NINE)).by_chance == pytest.approx(9 / 27)


@pytest.fixture
def runs(made):
    rates = {"clean": [0.9] * 5 + [0.95], "pgd": [0.5, 0.1, 0.2, 0.5, 0.6, 0.7]}
    lower = {"clean": [0.95] + [0.9] * 5, "pgd": [0.3, 0.1, 0.2, 0.25, 0.3, 0.4]}
    names = ("cat", "a_b & [c]", "|x|", "dog", "car", "ship")
    return [made.run("at", rates=rates, names=names), made.run("trades", rates=lower, names=names)]


LINE = "left behind by both methods, pgd: a_b & [c], |x| (by chance at most 0.67 classes)"


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("style", FORMATS)
def test_the_line_stands_once_under_its_table(style, classes, runs):
    text = render_comparison(compare_runs(runs), style=style, classes=classes)
    plain = [line.replace("\\", "").replace("$", "") for line in text.splitlines()]
    assert plain.count(LINE) == 1, text
    assert sum("left behind by both methods, clean: none (by chance at most 0.67 classes)" in line for line in plain) == 1
    notes = [line for line in plain if "left behind: among the lowest 2 of 6 classes of every method" in line]
    assert len(notes) == 1
    if classes:
        clean, pgd = (
            next(i for i, line in enumerate(plain) if f"behind by both methods, {attack}" in line) for attack in ("clean", "pgd")
        )
        assert any("ship" in line for line in plain[clean + 1 : pgd])  # the table of pgd


def test_page_notebook_and_json_name_the_classes(runs):
    found = compare_runs(runs)
    page = render_page(runs)
    assert page.count("Left behind by both methods, pgd: a_b &amp; [c], |x| (by chance at most 0.67 classes).") == 1
    assert "Left behind: among the lowest 2 of 6 classes" in page
    assert found._repr_html_().count("left behind by both methods, pgd: a_b &amp; [c], |x|") == 1
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))["left_behind"]
    assert plain["clean"]["classes"] == []
    assert plain["pgd"] == {
        "classes": ["a_b & [c]", "|x|"],
        "lowest": 2,
        "of": 6,
        "methods": ["at", "trades"],
        "by_chance_at_most": pytest.approx(2 / 3),
    }


def test_one_method_has_no_line(runs):
    assert "left behind" not in render_comparison(compare_runs(runs[:1]), classes=True)
    assert "eft behind" not in render_page(runs[:1])


def test_seeds_count_once_by_their_mean_and_methods_without_the_attack_not_at_all(made, runs):
    fewer = made.run("mart", rates={"clean": [0.9] * 6}, names=runs[0].result.class_names)
    found = compare_runs([*runs, fewer]).left_behind("pgd")
    assert found.methods == ("at", "trades")
    seeds = [made.run("at", seed, rates={"pgd": rates}) for seed, rates in enumerate(([0.0, 0.8, 0.9], [0.9, 0.5, 0.9]))]
    other = made.run("trades", rates={"pgd": [0.1, 0.5, 0.9]})
    assert compare_runs([*seeds, other]).left_behind("pgd").classes == (0,)  # 0.45 on average, below 0.65
