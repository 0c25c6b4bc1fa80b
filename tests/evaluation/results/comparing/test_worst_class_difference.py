"""The paired test of two worst classes: small counts, simulated test sets with known accuracies, and the duality of its parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairart.evaluation import AttackResult
from fairart.evaluation.results.comparing import worst_class_difference
from fairart.evaluation.results.comparing.worst_class_difference import difference_interval

CELLS = st.lists(st.lists(st.integers(0, 15), min_size=4, max_size=4).filter(sum), min_size=2, max_size=5)
"""Of each class: samples that none, only the second, only the first, or both get right."""


def results(counts):
    """Two results with these counts."""
    counts = np.asarray(counts)
    labels = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
    cells = np.concatenate([np.repeat(np.arange(4), row) for row in counts])
    return tuple(
        AttackResult(
            label="pgd",
            labels=labels,
            predictions=np.where(right, labels, (labels + 1) % len(counts)),
            nb_classes=len(counts),
            config={},
        )
        for right in (cells >= 2, cells % 2 == 1)
    )


def test_one_sample_decides_nothing():
    first, second = results([[0, 0, 0, 20], [0, 0, 1, 0]])
    found = worst_class_difference(first, second)
    assert (found.test, found.difference, found.p_value) == ("worst-class-exact", 1, 1)
    low, high = found.interval
    assert low < 0 < high == 1


def test_the_same_predictions_differ_by_nothing_that_is_known_to_within_the_samples():
    first, _ = results([[8, 0, 0, 12], [4, 0, 0, 16]])
    found = worst_class_difference(first, first)
    assert (found.difference, found.p_value) == (0, 1)
    low, high = found.interval
    assert low == -high < 0


def test_a_clear_difference_in_a_class_that_is_clearly_the_lowest_is_found():
    found = worst_class_difference(*results([[45, 5, 30, 20], [2, 3, 3, 92]]))
    assert found.difference == pytest.approx(0.25)
    # The sign of the lowest class is tested as McNemar does, with half of the error of each side.
    assert found.p_value == pytest.approx(4 * stats.binomtest(5, 35, alternative="less").pvalue, rel=1e-5)
    assert 0 < found.interval[0] < 0.25 < found.interval[1]


@settings(deadline=None, max_examples=60)
@given(CELLS, st.sampled_from([0.8, 0.95, 0.99]))
def test_interval_and_p_value_agree_and_change_sides_with_the_methods(counts, level):
    first, second = results(counts)
    found, mirrored = worst_class_difference(first, second, level=level), worst_class_difference(second, first, level=level)
    low, high = found.interval
    assert -1 <= low <= found.difference <= high <= 1
    assert (found.p_value < 1 - level) == (low > 0 or high < 0)
    assert mirrored.interval == (-high, -low)
    assert (mirrored.difference, mirrored.p_value) == (-found.difference, found.p_value)


def test_absent_classes_are_left_out():
    first, second = results([[3, 1, 4, 10], [0, 0, 0, 0], [1, 2, 2, 9]])
    small = results([[3, 1, 4, 10], [1, 2, 2, 9]])
    assert worst_class_difference(first, second) == worst_class_difference(*small)


def drawn(first, second, samples, alike=0.5, repeats=400):
    """(repeats, K, 4) counts; with probability ``alike`` a sample is equally hard for both methods."""
    both = alike * np.minimum(first, second) + (1 - alike) * first * second
    cells = np.stack([1 - first - second + both, second - both, first - both, both], axis=-1)
    return np.random.default_rng(0).multinomial(samples, cells, size=(repeats, len(first)))


@pytest.mark.parametrize("nb_classes", [2, 10, 100])
@pytest.mark.parametrize("samples", [1, 4, 20, 100])
@pytest.mark.parametrize("kind", ["one low class", "another low class", "all alike", "gain"])
def test_it_keeps_its_level_and_covers_the_true_difference(nb_classes, samples, kind):
    first, second = np.full((2, nb_classes), 0.8 if kind != "all alike" else 0.5)
    first[0] = 0.5 if kind == "gain" else min(first[0], 0.3)
    second[1 if kind == "another low class" else 0] = 0.3
    if kind == "all alike":
        first[0] = second[0] = 0.5
    ends, truth = difference_interval(drawn(first, second, samples), error=0.05), first.min() - second.min()
    assert ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() >= 0.93
    if truth == 0:
        assert ((ends[:, 0] > 0) | (ends[:, 1] < 0)).mean() <= 0.06


def test_it_has_power_with_samples_enough():
    first, second = np.array([0.5, *[0.8] * 9]), np.array([0.2, *[0.8] * 9])
    ends = difference_interval(drawn(first, second, 100), error=0.05)
    assert (ends[:, 0] > 0).mean() > 0.98
