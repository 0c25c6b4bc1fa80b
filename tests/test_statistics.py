"""Class-wise statistics against golden values, scikit-learn and their own laws."""

import json
import math
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, recall_score

from fairart.statistics import (
    ConfusionMatrix,
    EpochStatistics,
    ValidationStatistics,
    class_accuracy,
    class_false_negative_score,
    class_false_positive_score,
    one_vs_rest_accuracy,
)

DATA = Path(__file__).parent / "data"

COUNTS = st.integers(1, 8).flatmap(lambda k: hnp.arrays(np.int64, (k, k), elements=st.integers(0, 50)))


@pytest.fixture(params=[10, 7])
def golden(request):
    return json.loads((DATA / f"statistics_{request.param}_classes.json").read_text())


def test_golden_values_of_the_authors_programs(golden):
    matrix = ConfusionMatrix(golden["confusion"])
    assert matrix.nb_classes == golden["num_classes"]
    np.testing.assert_allclose(matrix.class_accuracy, golden["class_accuracy"], atol=1e-6)
    np.testing.assert_allclose(matrix.cfps, golden["cfps"], atol=1e-6)
    np.testing.assert_allclose(matrix.cfns, golden["cfns"], atol=1e-6)
    assert matrix.worst_class_accuracy() == pytest.approx(golden["worst_class_accuracy"], abs=1e-6)
    assert matrix.class_accuracy[matrix.worst_class] == matrix.worst_class_accuracy()


@pytest.mark.parametrize("nb_classes", [2, 5, 12])
def test_counts_and_recall_agree_with_scikit_learn(nb_classes):
    random = np.random.default_rng(nb_classes)
    labels, predictions = random.integers(0, nb_classes, (2, 400))
    matrix = ConfusionMatrix.of(labels, predictions, nb_classes=nb_classes)
    classes = list(range(nb_classes))
    np.testing.assert_array_equal(matrix.counts, confusion_matrix(labels, predictions, labels=classes))
    np.testing.assert_allclose(matrix.class_accuracy, recall_score(labels, predictions, labels=classes, average=None))
    assert matrix.accuracy == pytest.approx((labels == predictions).mean())


@given(COUNTS)
def test_shares_of_errors_sum_to_one(counts):
    for score in (class_false_positive_score(counts), class_false_negative_score(counts)):
        assert score.sum() == pytest.approx(1.0)
        assert (score >= 0).all()


@given(COUNTS, st.randoms(use_true_random=False))
def test_renaming_the_classes_renames_the_statistics(counts, random):
    order = list(range(len(counts)))
    random.shuffle(order)
    renamed = counts[np.ix_(order, order)]
    for statistic in (class_accuracy, class_false_positive_score, class_false_negative_score, one_vs_rest_accuracy):
        np.testing.assert_allclose(statistic(renamed), statistic(counts)[order])


@given(COUNTS, COUNTS)
def test_counts_add_up(first, second):
    size = min(len(first), len(second))
    one, two = ConfusionMatrix(first[:size, :size]), ConfusionMatrix(second[:size, :size])
    assert (one + two).total == one.total + two.total
    np.testing.assert_array_equal((one + two).support, one.support + two.support)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40), st.integers(0, 40))
def test_updating_in_parts_equals_updating_at_once(pairs, cut):
    labels, predictions = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    whole = ConfusionMatrix.of(labels, predictions, nb_classes=4)
    parts = ConfusionMatrix.zeros(4)
    parts.update(labels[:cut], predictions[:cut]).update(labels[cut:], predictions[cut:])
    assert parts == whole
    assert whole.total == len(pairs)


def test_an_absent_class_is_nan_with_count_zero_and_shifts_no_other():
    matrix = ConfusionMatrix.of([0, 0, 2, 2], [0, 1, 2, 0], nb_classes=4)
    np.testing.assert_array_equal(matrix.support, [2, 0, 2, 0])
    np.testing.assert_array_equal(matrix.class_accuracy, [0.5, np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(matrix.one_vs_rest_accuracy, [0.5, np.nan, 0.75, np.nan])
    np.testing.assert_array_equal(matrix.cfps, [0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(matrix.cfns, [0.5, 0, 0.5, 0])
    assert np.isnan(matrix.normalised()[1]).all()
    np.testing.assert_array_equal(matrix.normalised()[2], [0.5, 0, 0.5, 0])
    assert matrix.worst_class in (0, 2)
    assert matrix.worst_class_accuracy() == 0.5


def test_one_vs_rest_counts_true_negatives_as_right():
    # Class 0: 3 right, 1 of it missed, 2 of others taken for it, of 10 samples in all.
    matrix = ConfusionMatrix([[3, 1, 0], [1, 2, 0], [1, 0, 2]])
    assert matrix.one_vs_rest_accuracy[0] == pytest.approx(1 - 3 / 10)


def test_nothing_misclassified_gives_uniform_scores():
    matrix = ConfusionMatrix(np.diag([3, 4, 5, 6]))
    np.testing.assert_array_equal(matrix.cfps, [0.25] * 4)
    np.testing.assert_array_equal(matrix.cfns, [0.25] * 4)


def test_an_empty_matrix_has_no_accuracy_and_no_worst_class():
    matrix = ConfusionMatrix.zeros(3)
    assert math.isnan(matrix.accuracy)
    assert math.isnan(matrix.worst_class_accuracy())
    assert np.isnan(matrix.one_vs_rest_accuracy).all()
    with pytest.raises(ValueError, match="empty confusion matrix"):
        matrix.worst_class  # noqa: B018


@pytest.mark.parametrize(
    ("nb_classes", "fraction", "expected"),
    [
        (10, 0.1, 0.0),
        (100, 0.1, 0.045),
        (20, 0.1, 0.025),
        (15, 0.1, 1 / 30),
        (30, 0.1, 1 / 30),
        (10, 1.0, 0.45),
        (3, 0.1, 0.0),
    ],
)
def test_worst_share_of_the_classes_is_rounded_up_to_whole_classes(nb_classes, fraction, expected):
    right = np.arange(nb_classes)
    counts = np.diag(right)
    counts[:, 0] += nb_classes - right
    counts[0, 0] = 0
    counts[0, 1 % nb_classes] = nb_classes
    assert ConfusionMatrix(counts).worst_class_accuracy(fraction) == pytest.approx(expected)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, math.nan])
def test_a_share_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\]"):
        ConfusionMatrix([[1]]).worst_class_accuracy(fraction)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 2]], r"square \(K, K\), got shape \(1, 2\)"),
        ([1, 2], "square"),
        (np.zeros((0, 0)), "square"),
        ([[0.5]], "whole numbers"),
        ([[math.nan]], "whole numbers"),
        ([[math.inf]], "whole numbers"),
        ([["a"]], "whole numbers"),
        ([[-1]], "no negative number"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(counts)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 1], [0], "one shape"),
        ([[0]], [[0]], r"one shape \(n,\)"),
        ([0, 3], [0, 0], r"every label in \[0, 3\), got 0 to 3"),
        ([0], [-1], r"every prediction in \[0, 3\)"),
        ([0.5], [0], "every label to be a whole number"),
        ([0], [math.nan], "every prediction to be a whole number"),
    ],
)
def test_what_are_no_classes_is_refused_and_counts_nothing(labels, predictions, message):
    matrix = ConfusionMatrix.zeros(3)
    with pytest.raises(ValueError, match=message):
        matrix.update(labels, predictions)
    assert matrix.total == 0


def test_matrices_of_different_sizes_do_not_add():
    with pytest.raises(ValueError, match="2 and 3 classes"):
        ConfusionMatrix.zeros(2) + ConfusionMatrix.zeros(3)


def test_a_matrix_keeps_its_own_counts():
    counts = np.eye(2, dtype=np.int64)
    matrix = ConfusionMatrix(counts).update([0], [1])
    np.testing.assert_array_equal(counts, np.eye(2))
    assert matrix.to_list() == [[1, 1], [0, 1]]
    assert "n=3" in repr(matrix)


def test_epoch_statistics_as_plain_numbers():
    clean, robust = ConfusionMatrix([[2, 0], [0, 2]]), ConfusionMatrix([[1, 1], [0, 2]])
    bare = EpochStatistics(epoch=3, robust=robust)
    assert bare.to_dict() == {"epoch": 3, "robust": [[1, 1], [0, 2]]}
    full = EpochStatistics(epoch=3, robust=robust, clean=clean, validation=ValidationStatistics(clean=clean, robust=robust))
    assert json.loads(json.dumps(full.to_dict())) == {
        "epoch": 3,
        "robust": [[1, 1], [0, 2]],
        "clean": [[2, 0], [0, 2]],
        "validation_clean": [[2, 0], [0, 2]],
        "validation_robust": [[1, 1], [0, 2]],
    }
