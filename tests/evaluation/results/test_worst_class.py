"""How sure the worst class is: against resampling of the samples themselves, and against exact sums."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairart.evaluation.results.worst_class import worst_class_interval, worst_class_probability


def exact(correct, total):
    """Sum over all outcomes of K independent binomials."""
    correct, total = np.asarray(correct), np.asarray(total)
    probability = np.zeros(len(total))
    mass = [stats.binom.pmf(np.arange(n + 1), n, c / n) for c, n in zip(correct, total, strict=True)]
    for outcome in itertools.product(*(range(n + 1) for n in total)):
        rates = [h / n for h, n in zip(outcome, total, strict=True)]
        weight = np.prod([mass[k][hits] for k, hits in enumerate(outcome)])
        lowest = [rate == min(rates) for rate in rates]
        probability += weight * np.array(lowest) / sum(lowest)
    return probability


@pytest.mark.parametrize(("correct", "total"), [((3, 4, 9), (6, 8, 12)), ((5, 5), (10, 10)), ((1, 2, 3), (3, 6, 9))])
def test_the_probability_is_the_exact_one(correct, total):
    np.testing.assert_allclose(worst_class_probability(correct, total, resamples=40_000), exact(correct, total), atol=0.01)


def test_binomials_stand_for_resampled_samples():
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [30, 50, 40])
    right = generator.random(120) < np.array([0.55, 0.6, 0.7])[labels]
    worst, lowest = np.zeros(3), []
    for _ in range(4000):
        rates = np.array([generator.choice(right[labels == k], size=(labels == k).sum()).mean() for k in range(3)])
        ties = rates == rates.min()
        worst += ties / ties.sum()
        lowest.append(rates.min())
    counts = np.bincount(labels[right], minlength=3), np.bincount(labels)
    np.testing.assert_allclose(worst_class_probability(*counts), worst / 4000, atol=0.03)
    np.testing.assert_allclose(worst_class_interval(*counts), np.quantile(lowest, [0.025, 0.975]), atol=0.02)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=6))
def test_probabilities_sum_to_one_and_absent_classes_have_none(pairs):
    correct, total = np.array(pairs).T
    if not total.any():
        with pytest.raises(ValueError, match="without a sample"):
            worst_class_probability(correct, total)
        return
    probability = worst_class_probability(correct, total, resamples=200)
    np.testing.assert_array_equal(np.isnan(probability), total == 0)
    assert np.nansum(probability) == pytest.approx(1)
    low, high = worst_class_interval(correct, total, resamples=200)
    assert 0 <= low <= high <= 1


def test_ties_are_shared_and_a_sure_case_is_sure():
    np.testing.assert_array_equal(worst_class_probability([0, 0, 4], [3, 7, 4]), [0.5, 0.5, 0])
    np.testing.assert_array_equal(worst_class_interval([0, 9], [9, 9]), [0, 0])


def test_one_seed_gives_the_same_numbers_whatever_the_blocks(monkeypatch):
    counts = ([30, 31, 40], [50, 50, 50])
    whole = worst_class_probability(*counts, seed=3)
    np.testing.assert_array_equal(worst_class_probability(*counts, seed=3), whole)
    assert (worst_class_probability(*counts, seed=4) != whole).any()
    monkeypatch.setattr("fairart.evaluation.results.worst_class._AT_ONCE", 100)
    np.testing.assert_allclose(worst_class_probability(*counts, seed=3), whole, rtol=1e-12)


def test_the_interval_of_one_class_is_that_of_its_binomial():
    low, high = worst_class_interval([60], [100], level=0.9, resamples=50_000)
    assert low == pytest.approx(stats.binom.ppf(0.05, 100, 0.6) / 100, abs=0.011)
    assert high == pytest.approx(stats.binom.ppf(0.95, 100, 0.6) / 100, abs=0.011)


@pytest.mark.parametrize(
    ("correct", "total", "options", "message"),
    [
        ([1, 2], [1], {}, "one shape"),
        ([0.5], [1], {}, "whole counts"),
        ([2], [1], {}, "0 <= correct <= total"),
        ([0], [0], {}, "no worst class"),
        ([1], [2], {"resamples": 0}, "resamples must be a whole number >= 1"),
        ([1], [2], {"seed": -1}, "seed must be a whole number >= 0"),
        ([1], [2], {"level": 1}, r"level must be in \(0, 1\)"),
    ],
)
def test_bad_input(correct, total, options, message):
    with pytest.raises(ValueError, match=message):
        worst_class_interval(correct, total, **options)
