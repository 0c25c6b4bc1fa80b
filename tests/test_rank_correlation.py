"""Spearman's correlation between models, against scipy and on cases whose answer is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from fairart.statistics import rank_correlation


@pytest.mark.parametrize("ties", [False, True])
def test_pairs_and_mean_agree_with_scipy(ties):
    random = np.random.default_rng(0)
    scores = random.integers(0, 5, (4, 12)) / 7 if ties else random.random((4, 12))
    found = rank_correlation(scores, resamples=50)
    np.testing.assert_allclose(found.pairs, spearmanr(scores, axis=1).statistic, atol=1e-12)
    expected = [spearmanr(scores[a], scores[b]).statistic for a in range(4) for b in range(a + 1, 4)]
    np.testing.assert_allclose(found.of_pairs, expected)
    assert found.mean == pytest.approx(np.mean(expected))


def test_the_interval_is_the_bootstrap_over_classes_that_scipy_would_make():
    random = np.random.default_rng(1)
    base = random.random(10)
    scores = base + 0.3 * random.random((3, 10))
    draws = np.random.default_rng(5).integers(0, 10, (300, 10))
    means = [np.mean([spearmanr(scores[a, d], scores[b, d]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]) for d in draws]
    found = rank_correlation(scores, resamples=300, seed=5)
    np.testing.assert_allclose(found.interval, np.quantile(means, [0.025, 0.975]))
    assert found.interval[0] < found.mean < found.interval[1]
    assert rank_correlation(scores, resamples=300, seed=5) == found
    assert rank_correlation(scores, resamples=300, seed=6).interval != found.interval


def test_few_classes_make_the_interval_wide():
    random = np.random.default_rng(2)
    base = random.random(200)
    scores = base + 0.5 * random.random((3, 200))
    widths = [np.diff(rank_correlation(scores[:, :number], resamples=500).interval)[0] for number in (8, 200)]
    assert widths[0] > 2 * widths[1]


@pytest.mark.parametrize("nb_classes", [10, 60])
def test_the_interval_covers_the_correlation_of_the_population(nb_classes):
    random = np.random.default_rng(0)
    population = random.normal(size=50_000) + 0.7 * random.normal(size=(4, 50_000))
    true = rank_correlation(population, resamples=2).mean
    covered = []
    for _ in range(200):
        classes = random.integers(0, 50_000, nb_classes)
        low, high = rank_correlation(population[:, classes], resamples=300).interval
        covered.append(low <= true <= high)
    assert 0.89 < np.mean(covered) <= 0.99


@pytest.mark.parametrize(
    ("scores", "mean", "interval"),
    [
        ([[1, 2, 3, 4], [10, 20, 30, 40], [0, 0.1, 0.2, 9]], 1.0, (1.0, 1.0)),
        ([[1, 2, 3, 4], [4, 3, 2, 1]], -1.0, (-1.0, -1.0)),
        ([[1, 2, 3, 4], [5, 5, 5, 5]], np.nan, (np.nan, np.nan)),
        ([[1, 2, 3, 4]], np.nan, (np.nan, np.nan)),
        ([[1], [2]], np.nan, (np.nan, np.nan)),
        ([[np.nan, np.nan], [2, 1]], np.nan, (np.nan, np.nan)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_cases_whose_answer_is_known(scores, mean, interval):
    found = rank_correlation(scores, resamples=200)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert found.interval == pytest.approx(interval, nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_a_constant_model_is_left_out_of_the_mean():
    scores = [[1, 2, 3, 4], [2, 3, 4, 5], [7, 7, 7, 7]]
    found = rank_correlation(scores, resamples=200)
    assert found.mean == pytest.approx(1.0)
    assert np.isnan(found.of_pairs).sum() == 2


def test_absent_classes_are_left_out_and_equal_means_are_ties():
    with_gap = [[1, np.nan, 3, 2], [1, 2, 3, 4]]
    found = rank_correlation(with_gap, resamples=20)
    assert (found.mean, found.nb_classes) == (pytest.approx(spearmanr([1, 3, 2], [1, 3, 4]).statistic), 3)
    almost = [[0.1 + 0.2, 0.3, 1.0], [1, 2, 3]]
    assert rank_correlation(almost, resamples=20).mean == pytest.approx(spearmanr([0.3, 0.3, 1.0], [1, 2, 3]).statistic)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"scores must be \(models, classes\), got shape \(3,\)"):
        rank_correlation([1, 2, 3])
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\), got 95"):
        rank_correlation([[1, 2], [2, 1]], level=95)
