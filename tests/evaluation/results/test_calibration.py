"""Calibration against scikit-learn and scipy, and where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve

from fairart.evaluation.results.calibration import calibration_by_class, reliability


@pytest.fixture
def outcomes():
    generator = np.random.default_rng(0)
    labels, predictions = generator.integers(0, 4, (2, 700))
    return labels, np.where(generator.random(700) < 0.6, labels, predictions), generator.beta(4, 2, 700)


def independent_ece(right, sure, bins=15):
    accuracy, _, place = stats.binned_statistic(sure, right.astype(float), bins=bins, range=(0, 1))
    confidence = stats.binned_statistic(sure, sure, bins=bins, range=(0, 1)).statistic
    weight = np.bincount(place - 1, minlength=bins) / len(sure)
    return np.nansum(weight * np.abs(accuracy - confidence))


def test_bins_and_ece_are_those_of_other_libraries(outcomes):
    labels, predictions, sure = outcomes
    found = reliability(labels == predictions, sure)
    accuracy, confidence = calibration_curve(labels == predictions, sure, n_bins=15, strategy="uniform")
    full = found.counts > 0
    np.testing.assert_allclose(found.accuracy[full], accuracy)
    np.testing.assert_allclose(found.confidence[full], confidence)
    assert found.ece == pytest.approx(independent_ece(labels == predictions, sure))
    assert found.overconfidence == pytest.approx(sure.mean() - (labels == predictions).mean())
    assert found.mce == pytest.approx(np.abs(accuracy - confidence).max())


@pytest.mark.parametrize("by", ["predicted", "true"])
def test_classes_are_grouped_by_what_is_asked(outcomes, by):
    labels, predictions, sure = outcomes
    group = predictions if by == "predicted" else labels
    found = calibration_by_class(labels, predictions, sure, nb_classes=5, by=by)
    for index in range(4):
        inside = group == index
        assert found[index].ece == pytest.approx(independent_ece((labels == predictions)[inside], sure[inside]))
    assert found[4].total == 0
    assert np.isnan([found[4].ece, found[4].mce, found[4].overconfidence]).all()


def test_by_the_predicted_class_a_calibrated_model_has_no_gap_and_by_the_true_class_it_has():
    generator = np.random.default_rng(0)
    chances = generator.dirichlet([1, 2, 3], size=60_000)
    labels = (generator.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    predictions, sure = chances.argmax(axis=1), chances.max(axis=1)
    assert reliability(labels == predictions, sure).ece < 0.012
    assert max(found.ece for found in calibration_by_class(labels, predictions, sure, nb_classes=3)) < 0.03
    assert max(found.ece for found in calibration_by_class(labels, predictions, sure, nb_classes=3, by="true")) > 0.2


def test_an_edge_belongs_to_the_bin_below():
    found = reliability([True] * 4, [0.0, 0.5, np.nextafter(0.5, 1), 1.0], nb_bins=2)
    np.testing.assert_array_equal(found.counts, [2, 2])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60), st.integers(1, 20))
def test_ece_is_within_its_bounds(samples, nb_bins):
    right, sure = (np.array(column) for column in zip(*samples, strict=True))
    found = reliability(right, sure, nb_bins=nb_bins)
    assert found.counts.sum() == len(samples)
    assert abs(found.overconfidence) <= found.ece + 1e-12
    assert found.ece <= found.mce + 1e-12
    assert found.mce <= 1


@pytest.mark.parametrize(
    ("right", "sure", "options", "message"),
    [
        ([True], [0.5, 0.6], {}, "one shape"),
        ([1.0], [0.5], {}, "true or false"),
        ([True], [1.2], {}, r"in \[0, 1\]"),
        ([True], [np.nan], {}, r"in \[0, 1\]"),
        ([True], [0.5], {"nb_bins": 0}, "nb_bins must be a whole number >= 1"),
    ],
)
def test_bad_input(right, sure, options, message):
    with pytest.raises(ValueError, match=message):
        reliability(right, sure, **options)


def test_bad_grouping():
    with pytest.raises(ValueError, match="by must be 'predicted' or 'true', got 'both'"):
        calibration_by_class([0], [0], [0.5], nb_classes=1, by="both")
    with pytest.raises(ValueError, match="one shape"):
        calibration_by_class([0], [0, 1], [0.5], nb_classes=2)
