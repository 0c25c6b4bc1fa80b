"""Numbers over seeds against scipy, Holm's correction against the closed test that it is short for, power by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairart.statistics.over_seeds import detectable_difference, holm, mean_interval, price_of_comparisons

shares = st.floats(0, 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(shares, min_size=2, max_size=8).filter(lambda values: np.std(values) > 1e-6), st.sampled_from([0.8, 0.95]))
def test_the_interval_is_that_of_scipy(values, level):
    found = mean_interval(values, level=level)
    expected = stats.t.interval(level, len(values) - 1, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(found.interval, expected, rtol=1e-9, atol=1e-12)
    assert (found.mean, found.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    low, high = mean_interval(values, level=level, limits=(0, 1)).interval
    assert (low, high) == (max(0, found.interval[0]), min(1, found.interval[1]))


def test_what_was_not_measured_is_left_out_and_no_spread_gives_no_interval():
    assert mean_interval([0.25, math.nan, 0.75]).interval == mean_interval([0.25, 0.75]).interval
    assert mean_interval([0.25, math.nan, 0.75]).count == 2
    for values in ([], [0.5], [0.1 + 0.2, 0.3, 0.3]):
        assert np.isnan(mean_interval(values).interval).all()
    assert math.isnan(mean_interval([]).mean)
    assert mean_interval([0.5]).to_dict()["seeds"] == 1


def closed_test(p_values):
    """A comparison is a finding if every set of comparisons that it is in is one by Bonferroni's test (Marcus et al., 1976)."""
    places = range(len(p_values))
    sets = [chosen for size in range(1, len(p_values) + 1) for chosen in itertools.combinations(places, size)]
    of_set = {chosen: min(1.0, len(chosen) * min(p_values[place] for place in chosen)) for chosen in sets}
    return [max(value for chosen, value in of_set.items() if place in chosen) for place in places]


@settings(deadline=None)
@given(st.lists(shares, min_size=1, max_size=6))
def test_holm_is_the_closed_test(p_values):
    np.testing.assert_allclose(holm(p_values), closed_test(p_values), rtol=1e-12)


def test_a_planned_test_that_could_not_be_made_still_counts():
    np.testing.assert_allclose(holm([0.01, math.nan, 0.02]), [0.03, math.nan, 0.04])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("degrees", [1, 2, 3.7, 30])
@pytest.mark.parametrize("comparisons", [1, 18])
def test_the_power_is_that_of_the_noncentral_t_distribution(degrees, comparisons):
    found = detectable_difference(2.0, degrees, comparisons=comparisons, power=0.8)
    threshold = stats.t.isf(0.025 / comparisons, degrees)
    assert stats.nct.sf(threshold, degrees, found / 2.0) == pytest.approx(0.8, abs=1e-6)


def test_a_difference_of_that_size_is_found_as_often_as_it_says():
    nb_seeds, spread = 5, 0.01
    shift = detectable_difference(spread / math.sqrt(nb_seeds), nb_seeds - 1, comparisons=3)
    gaps = np.random.default_rng(0).normal(shift, spread, (20_000, nb_seeds))
    found = stats.ttest_1samp(gaps, 0, axis=1).pvalue < 0.05 / 3
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_few_seeds_pay_more_for_many_comparisons():
    prices = [price_of_comparisons(count, 18) for count in (2, 3, 5, 10, 50)]
    assert prices == sorted(prices, reverse=True)
    assert prices[1] > 4
    assert prices[-1] < 1.5
    assert price_of_comparisons(3, 1) == 1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: mean_interval([[0.5]]), r"shape \(1, 1\)"),
        (lambda: mean_interval([0.5, math.inf]), "finite"),
        (lambda: mean_interval([0.5, 0.6], level=1), "level must be in"),
        (lambda: holm([0.5, 1.5]), r"in \[0, 1\]"),
        (lambda: holm([[0.5]]), "shape"),
        (lambda: detectable_difference(-1.0, 4), "standard_error >= 0"),
        (lambda: detectable_difference(1.0, 0), "degrees > 0"),
        (lambda: detectable_difference(1.0, 4, comparisons=0), "comparisons must be"),
        (lambda: detectable_difference(1.0, 4, power=1), "power must be"),
        (lambda: price_of_comparisons(1, 3), "at least two seeds"),
    ],
)
def test_bad_input_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()
    assert math.isnan(detectable_difference(math.nan, 4))
