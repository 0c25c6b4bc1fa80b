"""Fairness metrics: hand-computed values, laws, and what is not defined."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from fairart import create, registered
from fairart.errors import OptionError
from fairart.evaluation.results.intervals import wilson_interval
from fairart.evaluation.results.metrics import rho
from fairart.statistics import ConfusionMatrix

# Class accuracies 0.9, 0.5, 0.1; class 3 is absent, and two samples of class 2 are taken for it.
MATRIX = ConfusionMatrix([[9, 1, 0, 0], [5, 5, 0, 0], [7, 0, 1, 2], [0, 0, 0, 0]])
RATES = np.array([0.9, 0.5, 0.1])

EXPECTED = {
    "balanced": 0.5,
    "worst-class": 0.1,
    "worst-decile": 0.1,
    "cfps-max": 12 / 15,
    "disparity": 0.8,
    "std": RATES.std(),
    "nsd": RATES.std() / 0.5,
    "gini": np.abs(RATES[:, None] - RATES).sum() / (2 * 9 * 0.5),
}

THIRDS = ("head", "middle", "tail")
COUNTS = st.integers(2, 7).flatmap(lambda k: hnp.arrays(np.int64, (k, k), elements=st.integers(0, 30)))


@pytest.mark.parametrize(("name", "value"), EXPECTED.items())
def test_values_by_hand_with_an_absent_class_left_out(name, value):
    assert create("fairness_metric", name)(MATRIX) == pytest.approx(value)


def test_every_registered_metric_has_a_value_by_hand():
    built_in = {name for name, entry in registered("fairness_metric").items() if entry.plugin == "fairart"}
    assert built_in == {*EXPECTED, *THIRDS, "rho"}


@pytest.mark.parametrize(("name", "value"), [("head", 0.1), ("middle", 0.9), ("tail", 0.5)])
def test_thirds_go_by_the_training_images(name, value):
    # Class 3 has no test samples: of the others, class 2 has the most training images, class 1 the fewest.
    assert create("fairness_metric", name, training_counts=[50, 7, 300, 9])(MATRIX) == pytest.approx(value)


@pytest.mark.parametrize("name", THIRDS)
def test_thirds_of_other_sizes(name):
    rates = np.arange(10) / 10
    matrix = ConfusionMatrix(np.diag((10 * rates).astype(int)) + np.roll(np.diag((10 - 10 * rates).astype(int)), 1, axis=1))
    expected = {"head": rates[:3].mean(), "middle": rates[3:7].mean(), "tail": rates[7:].mean()}[name]
    metric = create("fairness_metric", name, training_counts=list(range(100, 0, -10)))
    assert metric(matrix) == pytest.approx(expected)
    with pytest.raises(ValueError, match="training_counts must be one number a class, 10, got 3"):
        create("fairness_metric", name, training_counts=[3, 2, 1])(matrix)


@given(COUNTS.filter(lambda counts: (counts.sum(axis=1) > 0).all()))
def test_balanced_accuracy_is_scikit_learns(counts):
    true, predicted = np.nonzero(np.ones_like(counts))
    expected = balanced_accuracy_score(true, predicted, sample_weight=counts[true, predicted])
    assert create("fairness_metric", "balanced")(ConfusionMatrix(counts)) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_no_sample_at_all_gives_nan(name):
    assert math.isnan(create("fairness_metric", name)(ConfusionMatrix.zeros(3)))


@pytest.mark.parametrize("name", ["nsd", "gini"])
def test_relative_spread_of_a_model_that_is_always_wrong_is_not_defined(name):
    assert math.isnan(create("fairness_metric", name)(ConfusionMatrix([[0, 3], [3, 0]])))


@pytest.mark.parametrize("name", ["disparity", "std", "nsd", "gini"])
def test_equal_classes_have_no_spread(name):
    assert create("fairness_metric", name)(ConfusionMatrix([[3, 1], [2, 6]])) == pytest.approx(0)


@given(COUNTS, st.sampled_from(sorted(EXPECTED)), st.randoms(use_true_random=False))
def test_names_of_the_classes_do_not_matter(counts, name, random):
    order = list(range(len(counts)))
    random.shuffle(order)
    metric = create("fairness_metric", name)
    first, second = metric(ConfusionMatrix(counts)), metric(ConfusionMatrix(counts[np.ix_(order, order)]))
    assert first == pytest.approx(second, nan_ok=True)


@given(COUNTS)
def test_gini_is_the_mean_difference_over_twice_the_mean(counts):
    matrix = ConfusionMatrix(counts)
    rates = matrix.class_accuracy[matrix.support > 0]
    assume(len(rates) and rates.sum() > 0)
    expected = np.abs(rates[:, None] - rates).mean() / (2 * rates.mean())
    assert create("fairness_metric", "gini")(matrix) == pytest.approx(expected, abs=1e-12)
    assert expected < 1


def test_options_are_declared_and_checked():
    assert create("fairness_metric", "std", ddof=1)(MATRIX) == pytest.approx(RATES.std(ddof=1))
    assert create("fairness_metric", "worst-decile", fraction=0.5)(MATRIX) == pytest.approx(0.3)
    assert math.isnan(create("fairness_metric", "std", ddof=1)(ConfusionMatrix([[3, 1], [0, 0]])))
    with pytest.raises(OptionError, match="fraction must be > 0"):
        create("fairness_metric", "worst-decile", fraction=0)
    with pytest.raises(OptionError, match="expects one of 0, 1"):
        create("fairness_metric", "std", ddof=2)


def test_rho_is_the_gain_of_the_worst_class_less_the_loss_of_the_average():
    baseline = ConfusionMatrix([[9, 1], [8, 2]])  # worst 0.2, average 0.55
    better = ConfusionMatrix([[7, 3], [7, 3]])  # worst 0.3, average 0.5
    expected = (0.3 - 0.2) / 0.2 - (0.55 - 0.5) / 0.55
    assert rho(better, baseline=baseline) == pytest.approx(expected)
    assert create("fairness_metric", "rho", baseline=baseline)(better) == pytest.approx(expected)
    assert rho(baseline, baseline=baseline) == 0


def test_rho_without_a_sound_baseline():
    assert math.isnan(rho(MATRIX, baseline=ConfusionMatrix([[4, 0, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4])))
    with pytest.raises(ValueError, match="4 and 2 classes"):
        rho(MATRIX, baseline=ConfusionMatrix.zeros(2))


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # 0 of n gives z^2 / (n + z^2) above; 50 of 100 gives 0.5 -+ 0.0961685: both worked by hand.
    [(8, 10, 0.4901625, 0.9433178), (0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0), (50, 100, 0.4038315, 0.5961685)],
)
def test_wilson_interval(correct, total, low, high):
    np.testing.assert_allclose(wilson_interval(correct, total), [low, high], atol=1e-6)


def test_wilson_interval_without_trials_is_nan_and_widens_with_the_level():
    ends = wilson_interval([3, 0], [4, 0])
    assert ends.shape == (2, 2)
    assert np.isnan(ends[1]).all()
    wide = wilson_interval(3, 4, level=0.99)
    assert wide[0] < ends[0, 0] < 0.75 < ends[0, 1] < wide[1]


@pytest.mark.parametrize(
    ("correct", "total", "level", "message"),
    [(1, 2, 1.0, "level must be in"), (3, 2, 0.9, "0 <= correct <= total"), (-1, 2, 0.9, "0 <= correct <= total")],
)
def test_wilson_interval_refuses_nonsense(correct, total, level, message):
    with pytest.raises(ValueError, match=message):
        wilson_interval(correct, total, level=level)
