"""Paired tests against scipy, their intervals against exact coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairart.evaluation import AttackResult
from fairart.evaluation.results.comparing import (
    mcnemar,
    mcnemar_counts,
    paired_t,
    sign_flip_p_value,
    worst_class_difference,
)


def made(labels, right, *, nb_classes=3):
    labels = np.asarray(labels)
    predictions = np.where(right, labels, (labels + 1) % nb_classes)
    return AttackResult(label="pgd", labels=labels, predictions=predictions, nb_classes=nb_classes, config={})


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 500))
def test_mcnemar_is_the_sign_test(first, second, both):
    found = mcnemar_counts(first, second, first + second + both)
    expected = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    low, high = found.interval
    assert -1 <= low <= found.difference <= high <= 1
    mirrored = mcnemar_counts(second, first, first + second + both)
    assert (mirrored.difference, mirrored.interval) == (-found.difference, (-high, -low))


def test_mcnemar_of_many_samples_neither_over_nor_underflows():
    assert mcnemar_counts(6000, 2000, 10_000).p_value == 0.0
    assert mcnemar_counts(2500, 2500, 10_000).p_value == 1.0


@pytest.mark.parametrize(
    ("only_first", "only_second", "total"), [(0.1, 0.1, 40), (0.25, 0.05, 40), (0.02, 0.3, 60), (0.02, 0.02, 60)]
)
def test_the_interval_covers_the_true_difference_as_often_as_it_says(only_first, only_second, total):
    covered = 0.0
    for first in range(total + 1):
        rest = total - first
        second = np.arange(rest + 1)
        weights = stats.binom.pmf(first, total, only_first) * stats.binom.pmf(second, rest, only_second / (1 - only_first))
        for number, weight in zip(second, weights, strict=True):
            low, high = mcnemar_counts(first, int(number), total).interval
            covered += weight * (low <= only_first - only_second <= high)
    assert 0.93 <= covered <= 0.998


def test_mcnemar_of_results_counts_what_only_one_gets_right():
    labels = np.arange(30) % 3
    first, second = made(labels, np.arange(30) < 20), made(labels, np.arange(30) % 2 == 0)
    found = mcnemar(first, second)
    assert found == mcnemar_counts(10, 5, 30)
    assert found.difference == pytest.approx(first.accuracy - second.accuracy)
    assert found.to_dict()["pairs"] == 30


numbers = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8).filter(
    lambda pairs: np.std([a - b for a, b in pairs]) > 1e-6
)


@settings(deadline=None, max_examples=60)
@given(numbers, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_t_test_is_that_of_scipy(pairs, level):
    first, second = np.array(pairs).T
    found, expected = paired_t(first, second, level=level), stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)
    ends = expected.confidence_interval(level)
    np.testing.assert_allclose(found.interval, (ends.low, ends.high), rtol=1e-7, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(numbers)
def test_sign_flips_are_those_of_scipy(pairs):
    first, second = np.array(pairs).T
    expected = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    # scipy doubles the smaller tail, which is the same: the distribution is symmetric.
    assert sign_flip_p_value(first, second) == pytest.approx(expected.pvalue)


def test_sign_flips_of_many_pairs_are_drawn_and_close_to_exact():
    generator = np.random.default_rng(0)
    gaps = generator.normal(0.2, 1, 30)
    drawn = sign_flip_p_value(gaps, np.zeros(30))
    assert drawn == sign_flip_p_value(gaps, np.zeros(30))
    assert drawn == pytest.approx(stats.ttest_rel(gaps, np.zeros(30)).pvalue, abs=0.03)


def test_equal_differences_leave_the_spread_unknown():
    found = paired_t([0.3, 0.4, 0.5], [0.2, 0.3, 0.4])
    assert found.difference == pytest.approx(0.1)
    assert np.isnan([*found.interval, found.p_value]).all()
    assert found.to_dict()["p_value"] is None
    assert sign_flip_p_value([0.3, 0.4, 0.5], [0.2, 0.3, 0.4]) == 2 / 8


def test_results_of_other_samples_are_refused():
    labels = np.arange(12) % 3
    good = made(labels, labels > 0)
    for other, message in (
        (made(labels[:9], labels[:9] > 0), "12 and 9 of them"),
        (made(labels, labels > 0, nb_classes=4), "3 and 4 classes"),
        (made(labels[::-1], labels > 0), r"labels differ, first at sample 0 \(class 0 and 2\)"),
    ):
        for test in (mcnemar, worst_class_difference):
            with pytest.raises(ValueError, match=f"not evaluated on the same samples: .*{message}"):
                test(good, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_t([0.1], [0.2]), "at least two"),
        (lambda: paired_t([0.1, 0.2], [0.2]), "as many numbers of both methods"),
        (lambda: sign_flip_p_value([0.1, np.nan], [0.2, 0.1]), "finite"),
        (lambda: paired_t([0.1, 0.2], [0.2, 0.1], level=95), r"level must be in \(0, 1\)"),
        (lambda: mcnemar_counts(3, 3, 5), "only_first"),
        (lambda: mcnemar_counts(0, 0, 0), "only_first"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
