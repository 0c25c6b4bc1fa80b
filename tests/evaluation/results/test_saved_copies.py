"""A result and its saved copy compare and print alike, whatever the options are."""

import dataclasses
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.evaluation import AttackResult, EvaluationResult, SanityCheck
from fairart.evaluation.results.canonical import canonical
from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import FORMATS, render_comparison
from fairart.reporting.page.setup import attacks
from fairart.reporting.run_results import Run

SIMPLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from([np.float32(0.1), np.int64(3), np.bool_(True), np.array([1.5, math.inf]), math.inf, Path("a")]),
)
VALUES = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.lists(inner, max_size=3), max_leaves=6)
OPTIONS = st.dictionaries(st.sampled_from(["eps", "norm", "steps", "bounds", "range"]), VALUES, max_size=4)


def evaluated(first, second):
    labels = np.array([0, 0, 1, 1, 1, 2])
    results = [
        AttackResult(
            label=label,
            labels=labels,
            predictions=np.roll(labels, place),
            nb_classes=3,
            config={"attack": label, "options": options, "notes": {"tried": (1, math.inf)}},
        )
        for place, (label, options) in enumerate((("clean", {}), ("pgd", first), ("square", second)))
    ]
    checks = (SanityCheck("steps", passed=False, detail="fewer", attack="pgd"),)
    return EvaluationResult(results, config={"clip_values": (0.0, math.inf), "seed": np.int64(1)}, checks=checks)


def run(result, *, name="a", config=None):
    return Run(name=name, trainer="at", config={} if config is None else config, result=result)


@settings(deadline=None, max_examples=60)
@given(OPTIONS, OPTIONS)
def test_a_result_and_its_saved_copy_compare_and_print_alike(tmp_path_factory, first, second):
    result = evaluated(first, second)
    copy = EvaluationResult.load(result.save(tmp_path_factory.mktemp("saved") / "evaluation.json"))
    assert copy.table() == result.table()
    assert copy.to_dict() == result.to_dict()
    assert copy.combined == result.combined
    assert attacks({"at": [run(copy)]}) == attacks({"at": [run(result)]})
    for style in FORMATS:
        texts = [render_comparison(compare_runs([run(one)]), style=style, classes=True) for one in (result, copy)]
        assert texts[0] == texts[1]
    both = compare_runs([run(result), run(copy, name="b", config={"eps": 1})])
    assert not [notice for notice in both.notices if "different" in notice]


@given(VALUES)
def test_the_canonical_form_is_its_own(value):
    once = canonical(value)
    assert canonical(once) == once


def test_settings_of_a_run_compare_in_their_canonical_form(made):
    run = made("at", 0, settings={"clip_values": (0, math.inf)})
    other = made("at", 1, settings={"clip_values": [0, "inf"]})
    assert len(compare_runs([run, other]).methods) == 1
    assert dataclasses.replace(other, name="x").settings == run.settings


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("made", Path(__file__).parents[2] / "reporting" / "_made.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run
