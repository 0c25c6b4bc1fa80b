"""The corrected accuracy of the worst class: against exact expectations, and its bias by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairart.evaluation.results.expected_worst_class import expected_worst_class


def lowest(distributions):
    """Expected lowest share of independent classes; (n + 1,) probabilities of 0 to n right each, all of one n."""
    survival = np.prod([1 - np.cumsum(probabilities)[:-1] for probabilities in distributions], axis=0)
    return survival.sum() / len(survival)


def test_it_is_the_double_bootstrap_in_exact_numbers():
    number, right = 20, [8, 9, 15]
    transition = stats.binom.pmf(np.arange(number + 1), number, np.arange(number + 1)[:, None] / number)
    once = transition[right]
    wanted = 3 * 8 / number - 3 * lowest(once) + lowest(once @ transition)
    found = expected_worst_class(np.array([right]), np.full(3, number), draws=100_000)
    assert found.measured[0] == 8 / number
    assert found.corrected[0] == pytest.approx(wanted, abs=0.002)
    assert found.bias[0] == pytest.approx(8 / number - wanted, abs=0.002)


ALIKE, SLOPE, ONE = np.full(10, 0.5), np.linspace(0.5, 0.85, 10), np.array([0.5, *[0.72] * 9])


@pytest.mark.parametrize(
    ("shares", "number", "least_before", "most_after"),
    [(ALIKE, 45, 0.11, 0.070), (ALIKE, 200, 0.050, 0.034), (SLOPE, 45, 0.028, 0.015), (ONE, 45, 0.0, 0.025)],
)
def test_the_correction_takes_much_of_the_bias_away(shares, number, least_before, most_after):
    """The true lowest accuracy is 0.5. With one clearly worst class there is no bias to take away, and little is added."""
    right = np.random.default_rng(3).binomial(number, shares, (400, len(shares)))
    found = expected_worst_class(right, np.full(len(shares), number), draws=300)
    before, after = (found.measured - 0.5).mean(), (found.corrected - 0.5).mean()
    assert abs(after) < most_after
    assert least_before == 0 or before < -least_before


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted), min_size=1, max_size=6), st.integers(0, 3))
def test_classes_without_samples_change_nothing(classes, seed):
    right, total = np.array(classes).T
    if not total.any():
        return
    found = expected_worst_class(right[None], total, draws=50, seed=seed)
    alone = expected_worst_class(right[None, total > 0], total[total > 0], draws=50, seed=seed)
    assert found.measured[0] == (right[total > 0] / total[total > 0]).min()
    assert found.corrected[0] == alone.corrected[0]


def test_a_run_has_the_same_value_whatever_the_others_are():
    right, total = np.array([[30, 40], [20, 50], [30, 40]]), np.array([60, 60])
    found = expected_worst_class(right, total, draws=100).corrected
    assert found[0] == found[2] == expected_worst_class(right[:1], total, draws=100).corrected[0]
    assert expected_worst_class(right[:1], total, draws=100, seed=1).corrected[0] != found[0]


def test_one_class_has_no_bias():
    found = expected_worst_class(np.array([[30]]), np.array([60]))
    assert found.bias[0] == pytest.approx(0, abs=0.006)


@pytest.mark.parametrize(
    ("right", "total", "told"),
    [
        ([[3, 9]], [5, 5], "correct <= total"),
        ([[0, 0]], [0, 0], "no worst class"),
        ([3, 4], [5, 5], "whole counts"),
        ([[0.5, 1.0]], [5, 5], "whole counts"),
    ],
)
def test_bad_counts_are_refused(right, total, told):
    with pytest.raises(ValueError, match=told):
        expected_worst_class(np.array(right), np.array(total))
    with pytest.raises(ValueError, match="draws >= 1"):
        expected_worst_class(np.array([[1]]), np.array([2]), draws=0)
