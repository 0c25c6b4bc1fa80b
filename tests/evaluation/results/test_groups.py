"""Results by group, against fairlearn, scikit-learn, statsmodels-free formulas and counts by hand."""

import json
import math
import warnings

import fairlearn.metrics as fairlearn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import accuracy_score, recall_score

from fairart.evaluation import AttackResult, DamagedFileError, EvaluationResult, evaluate
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.groups import SMALL, GroupedResult, Groups, gaps, resolve_groups
from fairart.statistics import ConfusionMatrix


def outcome(labels, predictions, *, nb_classes=3, label="clean", confidences=None):
    return AttackResult(label, np.asarray(labels), np.asarray(predictions), nb_classes, {}, confidences=confidences)


def drawn(seed, *, n=400, nb_classes=3, groups="abcd"):
    generator = np.random.default_rng(seed)
    labels = generator.integers(nb_classes, size=n)
    predictions = np.where(generator.random(n) < 0.6, labels, generator.integers(nb_classes, size=n))
    values = generator.choice(list(groups), n)
    return labels, predictions, values


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_accuracy_and_its_gaps_are_those_of_a_metric_frame(seed):
    labels, predictions, values = drawn(seed)
    found = GroupedResult(outcome(labels, predictions), Groups.of(values))
    frame = fairlearn.MetricFrame(metrics=accuracy_score, y_true=labels, y_pred=predictions, sensitive_features=values)
    assert found.groups.names == tuple(frame.by_group.index)
    assert found.accuracy == pytest.approx(frame.by_group.to_numpy())
    assert found.result.accuracy == pytest.approx(frame.overall)
    of = found.gaps
    assert (of.group_min, of.group_max) == pytest.approx((frame.group_min(), frame.group_max()))
    assert of.difference == pytest.approx(frame.difference(method="between_groups"))
    assert of.difference_to_overall == pytest.approx(frame.difference(method="to_overall"))
    assert of.ratio == pytest.approx(frame.ratio(method="between_groups"))
    assert of.ratio_to_overall == pytest.approx(frame.ratio(method="to_overall"))
    own = found.metric_frame()
    assert own.by_group["accuracy"].to_numpy() == pytest.approx(found.accuracy)
    assert own.by_group.index.name == "group"


@pytest.mark.parametrize(
    "name",
    [
        f"{metric}_{kind}"
        for metric in ("demographic_parity", "equal_opportunity", "equalized_odds")
        for kind in ("difference", "ratio")
    ],
)
def test_gaps_of_each_class_are_those_of_fairlearn(name):
    labels, predictions, values = drawn(3)
    found = GroupedResult(outcome(labels, predictions), Groups.of(values)).gaps
    expected = [getattr(fairlearn, name)(labels == k, predictions == k, sensitive_features=values) for k in range(3)]
    assert getattr(found, name) == pytest.approx(expected)


def test_a_class_within_a_group_has_the_recall_of_scikit_learn():
    labels, predictions, values = drawn(4)
    found = GroupedResult(outcome(labels, predictions), Groups.of(values))
    for place, group in enumerate("abcd"):
        inside = values == group
        expected = recall_score(labels[inside], predictions[inside], average=None, labels=[0, 1, 2])
        assert found.class_accuracy[place] == pytest.approx(expected)
        assert found.class_support[place].tolist() == [int((labels[inside] == k).sum()) for k in range(3)]


def test_a_cell_without_samples_is_left_out_and_not_zero():
    # Group b has no sample of class 1, where fairlearn takes a recall of 0.
    labels, predictions = [0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]
    found = GroupedResult(outcome(labels, predictions, nb_classes=2), Groups.of(["a"] * 4 + ["b"] * 2))
    np.testing.assert_array_equal(found.class_accuracy, [[0.5, 1.0], [1.0, math.nan]])
    assert found.gaps.equal_opportunity_difference.tolist() == [0.5, 0.0]
    assert found.worst_cell == (0, 0)
    assert np.isnan(found.class_confidence_interval[1, 1]).all()


def test_among_equal_cells_the_worst_is_the_one_with_most_samples():
    found = GroupedResult(outcome([0, 1, 1, 0, 0], [1, 0, 0, 0, 0], nb_classes=2), Groups.of(["a"] * 3 + ["b"] * 2))
    assert found.class_accuracy[0].tolist() == [0, 0]
    assert found.worst_cell == (0, 1)
    assert found.worst_cell_name == ("a", "1")


def test_the_interval_of_the_worst_group_is_the_exact_one_corrected_for_the_choice():
    # 30 of 40 and 5 of 10 are right.
    labels = np.zeros(50, dtype=int)
    predictions = np.array([0] * 30 + [1] * 10 + [0] * 5 + [1] * 5)
    found = GroupedResult(outcome(labels, predictions, nb_classes=2), Groups.of([1] * 40 + [2] * 10))
    assert (found.worst_group, found.worst_group_name) == (1, "2")
    each = 1 - (1 - 0.025) ** (1 / 2)
    lower = min(beta.ppf(0.025, 30, 11), beta.ppf(0.025, 5, 6))
    upper = min(beta.ppf(1 - each, 31, 10), beta.ppf(1 - each, 6, 5))
    assert found.worst_group_interval == pytest.approx([lower, upper])
    assert found.worst_group_probability.sum() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from("xyz")), min_size=1, max_size=60))
def test_groups_add_up_to_all_and_do_not_depend_on_their_names(samples):
    labels, predictions, values = map(np.array, zip(*samples, strict=True))
    result = outcome(labels, predictions)
    found = GroupedResult(result, Groups.of(values))
    assert sum(found.confusion, ConfusionMatrix.zeros(3)).to_list() == result.confusion.to_list()
    assert found.correct.sum() == result.correct.sum()
    assert found.gaps.group_min <= result.accuracy + 1e-12 <= found.gaps.group_max + 1e-9
    turned = GroupedResult(result, Groups.of(np.char.translate(values, str.maketrans("xyz", "zyx"))))
    for name, value in vars(found.gaps).items():
        np.testing.assert_allclose(getattr(turned.gaps, name), value)


def test_equal_groups_have_no_gaps():
    one = ConfusionMatrix([[3, 1], [2, 4]])
    found = gaps([one, one, one], one.accuracy)
    assert (found.difference, found.difference_to_overall, found.ratio, found.ratio_to_overall) == (0, 0, 1, 1)
    assert found.equalized_odds_difference.tolist() == [0, 0]
    assert found.equalized_odds_ratio.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([10, 9, 10], ("9", "10")),
        ([True, False, True], ("False", "True")),
        (["", "x", "x"], ("(none)", "x")),
        (np.array(["b", "a", "b"], dtype=object), ("a", "b")),
        ([b"b", b"a", b"b"], ("a", "b")),
    ],
)
def test_groups_are_in_the_order_of_their_values(values, names):
    found = Groups.of(values)
    assert found.names == names
    assert len(found) == 2
    assert found.counts.sum() == 3


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.5, 1.5, 2.5], "expected texts or whole numbers, got float64; sort measured values into ranges first"),
        ([0, 1], "expected 3 values, one a sample, got 2"),
        ([[0], [1], [2]], r"expected 3 values, one a sample, got shape \(3, 1\)"),
        (np.array(["a", 1, "b"], dtype=object), "got values of several types"),
        ("site", "expects one value a sample, or name -> values, got 'site'"),
        ({"": [0, 1, 1]}, "name -> values"),
    ],
)
def test_bad_groups_are_one_error(values, told):
    with pytest.raises(ValueError, match=told):
        resolve_groups(values, 3)


def test_a_column_that_numbers_the_samples_is_refused():
    with pytest.raises(ValueError, match="1001 different values among 1001 samples; expected 1000 groups or fewer"):
        Groups.of(np.arange(1001))


def made(values=None, *, corruptions=False, own_labels=False, n=120):
    labels, clean, _ = drawn(5, n=n)
    _, attacked, _ = drawn(6, n=n)
    sure = np.full(n, 0.75)
    results = [outcome(labels, clean, confidences=sure), outcome(labels, attacked, label="pgd", confidences=sure)]
    corrupted = {("fog", 1): results[0], ("fog", 5): results[1]} if corruptions else {}
    return EvaluationResult(
        results, corruptions=CorruptionResults(corrupted, source={"own_labels": own_labels}), groups=values
    )  # fmt: skip


def test_a_file_brings_groups_back_and_wrong_counts_are_damage(tmp_path):
    values = {"site": ["a", "b"] * 55 + ["c"] * 10, "sensor": [1, 2, 2] * 40}
    result = made(values, corruptions=True)
    path = result.save(tmp_path / "evaluation.json")
    back = EvaluationResult.load(path)
    assert back.to_dict() == result.to_dict()
    assert back.by_group("pgd", "site").accuracy.tolist() == result.by_group("pgd", "site").accuracy.tolist()
    assert back.table() == result.table()
    plain = json.loads(path.read_text())
    assert [entry["name"] for entry in plain["groups"]] == ["site", "sensor"]
    assert [entry["severity"] for entry in plain["groups"][0]["corruptions"]] == [1, 5]
    plain["groups"][0]["of_samples"][0] = 1
    path.write_text(json.dumps(plain))
    with pytest.raises(DamagedFileError, match="the counts by 'site' of 'clean' are not those of its predictions"):
        EvaluationResult.load(path)


def test_files_without_groups_read_as_before(tmp_path):
    path = made().save(tmp_path / "evaluation.json")
    plain = json.loads(path.read_text())
    assert "groups" not in plain
    assert EvaluationResult.load(path).groups == {}


def test_small_cells_are_marked_and_not_hidden():
    values = np.array(["big"] * 100 + ["few"] * 20)
    table = made(values).table()
    assert "few *" in table
    assert f"* fewer than {SMALL} samples" in table
    found = made(values).by_group("clean")
    for k in range(3):
        assert f"{100 * found.class_accuracy[1, k]:.1f} * (n={found.class_support[1, k]})" in table


def test_many_cells_are_listed_from_the_lowest():
    result = made(np.arange(120) % 101)
    lines = result.table().split("\n")
    assert "of 303 classes within groups the 20 lowest are listed; evaluation.json has all" in lines
    start = next(place for place, line in enumerate(lines) if line.startswith("class  group  n  pgd"))
    listed = [float(line.split()[3]) for line in lines[start + 2 : start + 22]]
    assert listed == sorted(listed)


def test_corruptions_by_group_only_if_they_are_of_the_same_samples():
    values = ["a", "b"] * 60
    assert "worst group" in made(values, corruptions=True).table().split("corruption")[-1]
    assert made(values, corruptions=True, own_labels=True).to_dict()["groups"][0]["corruptions"] == []


def test_which_attribute_must_be_clear():
    result = made({"site": ["a", "b"] * 60, "sensor": [1, 2, 2] * 40})
    with pytest.raises(ValueError, match=r"name one attribute of the samples: there are \['site', 'sensor'\]"):
        result.by_group("pgd")
    with pytest.raises(KeyError, match="no attribute 'sit'; did you mean 'site'"):
        result.by_group("pgd", "sit")
    with pytest.raises(ValueError, match="there are none"):
        made().by_group("pgd")
    other = outcome([0, 1], [0, 1], label="elsewhere")
    with pytest.raises(ValueError, match="'elsewhere' is of other samples"):
        result.by_group(other, "site")
    assert result.by_group(result.worst_case(), "site").accuracy.shape == (2,)


def test_a_frame_has_a_row_for_every_cell():
    result = made(["a", "b", "b"] * 40)
    frame = result.to_frame(by="group")
    assert len(frame) == 2 * 2 * 3
    inside = frame[(frame.attack == "pgd") & (frame.group == "b")]
    found = result.by_group("pgd")
    assert inside.accuracy.to_numpy() == pytest.approx(found.class_accuracy[1])
    assert inside.small.tolist() == [count < SMALL for count in found.class_support[1]]


def test_evaluate_gives_the_same_numbers_with_groups_and_without(classifier, digits, tmp_path):
    values = np.where(digits.x.mean(axis=(1, 2, 3)) > 0.3, "thick", "thin")
    common = {"attacks": [("pgd", {"max_iter": 2, "eps": 0.1})], "sanity_samples": 0, "verbose": False}
    plain = evaluate(classifier, digits.x, digits.y, **common)
    with warnings.catch_warnings():
        # Partial results do not depend on the groups: what is kept serves with others too.
        warnings.simplefilter("error")
        evaluate(classifier, digits.x, digits.y, checkpoint=tmp_path / "kept", **common)
        grouped = evaluate(classifier, digits.x, digits.y, groups={"stroke": values}, checkpoint=tmp_path / "kept", **common)
    without = grouped.to_dict()
    assert without.pop("groups")[0]["name"] == "stroke"
    assert without == plain.to_dict()
    assert plain.grouped({"stroke": values}).to_dict() == grouped.to_dict()
    right = grouped["pgd"].correct[values == "thin"].mean()
    assert grouped.by_group("pgd").accuracy[1] == pytest.approx(right)


def test_evaluate_refuses_groups_of_another_length(classifier, digits):
    with pytest.raises(ValueError, match="expected 120 values, one a sample, got 119"):
        evaluate(classifier, digits.x, digits.y, groups=np.zeros(119, dtype=int), attacks=[])
