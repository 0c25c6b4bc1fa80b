"""Runs as they are grouped into methods: names and labels are unique, whatever users call things."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.reporting.comparison import compare_runs
from fairart.reporting.page import render_page
from fairart.reporting.run_results import Run, group_methods

NAMES = st.sampled_from(["at", "at [b]", "at [b] [b]", "b", "at (eps=0.1)"])


def test_two_runs_of_one_name_are_refused(made):
    runs = [made.run("at", name="same", rates={"clean": [1, 1]}), made.run("trades", name="same", rates={"clean": [0, 0]})]
    for use in (group_methods, compare_runs, render_page):
        with pytest.raises(ValueError, match="a name of its own for each run, but 2 runs are named 'same'"):
            use(runs)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=6))
def test_no_run_is_lost_whatever_the_trainers_are_called(trainers):
    runs = [
        Run(name=f"{'b' if place == 0 else place}", trainer=trainer, config={"eps": place} if configured else {})
        for place, (trainer, configured) in enumerate(trainers)
    ]
    found = group_methods(runs)
    assert sorted(run.name for group in found.values() for run in group) == sorted(run.name for run in runs)


def test_runs_without_a_config_are_told_apart_by_their_names():
    runs = [Run(name="a", trainer="at [b]"), Run(name="b", trainer="at"), Run(name="c", trainer="at", config={"eps": 1})]
    assert [group[0].name for group in group_methods(runs).values()] == ["a", "b", "c"]
