"""Methods side by side by group: means over seeds, and methods without the groups."""

import dataclasses

import numpy as np
import pytest

from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import render_comparison
from fairart.reporting.page import render_page

SITES = np.array(["north", "south", "south"] * 200)[:200]


def with_groups(run, values=SITES):
    return dataclasses.replace(run, result=run.result.grouped({"site": values}))


def test_seeds_are_averaged_and_the_worst_group_is_that_of_each_seed(made):
    runs = [with_groups(made.run("at", seed)) for seed in (0, 1, 2)]
    found = compare_runs(runs).by_group[0]
    cell = found.cells["at", "pgd"]
    rates = np.array(
        [
            [run.result["pgd"].correct[site == SITES].mean() for site in ("north", "south")]
            for run in runs
        ]
    )  # fmt: skip
    assert [spread.mean for spread in cell.groups] == pytest.approx(rates.mean(axis=0))
    assert [spread.std for spread in cell.groups] == pytest.approx(rates.std(axis=0, ddof=1))
    assert cell.worst.mean == pytest.approx(rates.min(axis=1).mean())
    assert cell.difference.mean == pytest.approx(np.ptp(rates, axis=1).mean())


def test_methods_without_the_groups_or_with_others_are_named(made):
    runs = [with_groups(made.run("at")), made.run("trades"), with_groups(made.run("fat"), SITES[::-1])]
    comparison = compare_runs(runs)
    assert comparison.by_group[0].left_out == ("trades", "fat")
    text = render_comparison(comparison)
    assert "evaluated without groups by site, or with others: trades, fat" in text
    assert "Evaluated without it, or with other groups: trades, fat." in render_page(runs)


def test_without_groups_nothing_is_said(made):
    comparison = compare_runs([made.run("at"), made.run("trades")])
    assert comparison.by_group == ()
    assert "by group" not in render_comparison(comparison)
    assert 'id="groups"' not in render_page([made.run("at")])


@pytest.mark.parametrize("style", ["markdown", "latex"])
def test_names_of_groups_are_escaped(made, style):
    values = np.where(SITES == "north", "<b>|a_b", "south")
    run = with_groups(made.run("at"), values)
    assert ("<b>|a_b" in render_comparison(compare_runs([run]), style=style)) is False
    assert "<b>|a_b" not in render_page([run])
