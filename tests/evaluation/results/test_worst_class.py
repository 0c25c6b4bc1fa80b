"""How sure the worst class is: probabilities against integrals, intervals against simulated test sets with known accuracies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fairart.evaluation.results.worst_class import lower_bound, upper_bound, worst_class_interval, worst_class_probability


def exact(correct, total):
    """Integral over the accuracy of one class: it is at x, and those of all others are above x."""
    posteriors = [stats.beta(c + 0.5, n - c + 0.5) for c, n in zip(correct, total, strict=True)]
    return [
        integrate.quad(lambda x: own.pdf(x) * np.prod([other.sf(x) for other in posteriors if other is not own]), 0, 1)[0]  # noqa: B023
        for own in posteriors
    ]


@pytest.mark.parametrize(("correct", "total"), [((3, 4, 9), (6, 8, 12)), ((5, 5), (10, 10)), ((0, 1, 30), (4, 1, 60))])
def test_the_probability_is_that_of_the_posterior(correct, total):
    np.testing.assert_allclose(worst_class_probability(correct, total, draws=40_000), exact(correct, total), atol=0.01)


def test_a_class_of_one_right_sample_may_still_be_the_worst():
    probability = worst_class_probability([1, 15], [1, 20])
    assert 0.2 < probability[0] < 0.5  # a bootstrap never draws it wrong


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=6))
def test_probabilities_sum_to_one_and_absent_classes_have_none(pairs):
    correct, total = np.array(pairs).T
    if not total.any():
        with pytest.raises(ValueError, match="without a sample"):
            worst_class_probability(correct, total)
        return
    probability = worst_class_probability(correct, total, draws=200)
    np.testing.assert_array_equal(np.isnan(probability), total == 0)
    assert np.nansum(probability) == pytest.approx(1)
    low, high = worst_class_interval(correct, total)
    assert 0 <= low <= high <= 1


def test_a_sure_case_is_sure():
    np.testing.assert_allclose(worst_class_probability([0, 50], [50, 50]), [1, 0])


def test_one_seed_gives_the_same_numbers_whatever_the_blocks(monkeypatch):
    counts = ([30, 31, 40], [50, 50, 50])
    whole = worst_class_probability(*counts, seed=3)
    np.testing.assert_array_equal(worst_class_probability(*counts, seed=3), whole)
    assert (worst_class_probability(*counts, seed=4) != whole).any()
    monkeypatch.setattr("fairart.evaluation.results.worst_class._AT_ONCE", 100)
    np.testing.assert_array_equal(worst_class_probability(*counts, seed=3), whole)


@pytest.mark.parametrize(("correct", "total", "level"), [(60, 100, 0.9), (0, 4, 0.95), (1, 1, 0.95), (20, 20, 0.99)])
def test_the_interval_of_one_class_is_clopper_pearson(correct, total, level):
    expected = stats.binomtest(correct, total).proportion_ci(level, method="exact")
    np.testing.assert_allclose(worst_class_interval([correct], [total], level=level), (expected.low, expected.high), atol=1e-12)


def test_a_worst_class_that_is_all_wrong_may_be_better_than_nothing():
    low, high = worst_class_interval([0, 4, 4], [4, 4, 4])
    assert low == 0
    assert high == pytest.approx(1 - (1 - 0.975 ** (1 / 3)) ** (1 / 4))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=6))
def test_the_interval_holds_the_lowest_accuracy_and_grows_with_the_level(pairs):
    correct, total = np.array(pairs).T
    low, high = worst_class_interval(correct, total)
    assert low <= (correct / total).min() <= high
    lower, higher = worst_class_interval(correct, total, level=0.99)
    assert lower <= low <= high <= higher


@pytest.mark.parametrize("nb_classes", [2, 10, 100])
@pytest.mark.parametrize("samples", [1, 4, 20, 100])
@pytest.mark.parametrize("others", [0.3, 0.9])
def test_the_interval_covers_the_true_worst_class(nb_classes, samples, others):
    rates = np.full(nb_classes, others)
    rates[0] = 0.3
    correct = np.random.default_rng(0).binomial(samples, rates, size=(1000, nb_classes))
    total = np.full(nb_classes, samples)
    low, high = lower_bound(correct, total, error=0.025), upper_bound(correct, total, error=0.025)
    assert ((low <= 0.3) & (high >= 0.3)).mean() >= 0.95 - 0.01  # three standard errors of an exact 98 %


@pytest.mark.parametrize(
    ("correct", "total", "options", "message"),
    [
        ([1, 2], [1], {}, "one shape"),
        ([0.5], [1], {}, "whole counts"),
        ([2], [1], {}, "0 <= correct <= total"),
        ([0], [0], {}, "no worst class"),
        ([1], [2], {"draws": 0}, "draws must be a whole number >= 1"),
        ([1], [2], {"seed": -1}, "seed must be a whole number >= 0"),
        ([1], [2], {"level": 1}, r"level must be in \(0, 1\)"),
    ],
)
def test_bad_input(correct, total, options, message):
    function = worst_class_interval if "level" in options else worst_class_probability
    with pytest.raises(ValueError, match=message):
        function(correct, total, **options)
