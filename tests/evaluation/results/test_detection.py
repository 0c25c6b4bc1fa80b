"""AUROC, AUPR and FPR at 95 % TPR against scikit-learn and scipy, ties and single samples included."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics

from fairart.evaluation.results.detection import (
    auroc,
    auroc_interval,
    average_precision,
    false_positive_rate,
    threshold_at,
)

# Whole numbers, so that there are many ties.
SCORES = hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(-6, 6).map(float))


def pooled(inliers, outliers):
    truth = np.repeat([1, 0], [len(inliers), len(outliers)])
    return truth, np.concatenate([inliers, outliers])


@given(SCORES, SCORES)
def test_the_numbers_of_scikit_learn(inliers, outliers):
    truth, scores = pooled(inliers, outliers)
    assert auroc(inliers, outliers) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-12)
    assert average_precision(inliers, outliers) == pytest.approx(metrics.average_precision_score(truth, scores), abs=1e-12)
    assert average_precision(-outliers, -inliers) == pytest.approx(metrics.average_precision_score(1 - truth, -scores), abs=1e-12)
    fpr, tpr, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert false_positive_rate(inliers, outliers) == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)


@given(SCORES, SCORES)
def test_the_area_is_the_statistic_of_mann_and_whitney(inliers, outliers):
    statistic = stats.mannwhitneyu(inliers, outliers).statistic
    assert auroc(inliers, outliers) == pytest.approx(statistic / len(inliers) / len(outliers), abs=1e-12)


@given(SCORES, SCORES)
def test_exchanging_the_two_mirrors_the_area(inliers, outliers):
    assert auroc(inliers, outliers) == pytest.approx(1 - auroc(outliers, inliers), abs=1e-12)
    assert auroc(inliers**3, outliers**3) == auroc(inliers, outliers)


@given(SCORES)
def test_the_threshold_keeps_95_per_cent_and_the_next_one_does_not(scores):
    at = threshold_at(scores)
    assert np.mean(scores >= at) >= 0.95 - 1e-12
    assert np.mean(scores > at) < 0.95


def test_nothing_to_compare_has_no_number():
    some, none = np.array([1.0, 2.0]), np.array([])
    for function in (auroc, average_precision, false_positive_rate):
        assert math.isnan(function(some, none))
        assert math.isnan(function(none, some))
    assert math.isnan(threshold_at(none))
    assert np.isnan(auroc_interval(math.nan, 0, 3)).all()


@settings(max_examples=50)
@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 500))
def test_the_ends_of_the_interval_solve_the_equation_of_newcombe(area, m, n):
    low, high = auroc_interval(area, m, n)
    assert 0 <= low <= area <= high <= 1
    for end in (low, high):
        more = (m + n) / 2 - 1
        variance = end * (1 - end) * (1 + more * (1 - end) / (2 - end) + more * end / (1 + end)) / (m * n)
        if 0 < end < 1:
            assert abs(area - end) == pytest.approx(1.959964 * math.sqrt(variance), abs=1e-6)


def test_the_interval_covers_and_is_not_empty_at_one():
    generator, theirs = np.random.default_rng(0), stats.norm.cdf(1.5 / math.sqrt(2))
    inside = 0
    for _ in range(400):
        low, high = auroc_interval(auroc(generator.normal(1.5, 1, 30), generator.normal(0, 1, 40)), 30, 40)
        inside += low <= theirs <= high
    assert 0.92 <= inside / 400 <= 0.99
    low, high = auroc_interval(1.0, 20, 20)
    assert 0.8 < low < 0.95
    assert high == 1
