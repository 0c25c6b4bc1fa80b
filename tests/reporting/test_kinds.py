"""Every kind of robustness side by side: the numbers are those of the evaluations, ranks and correlations those of scipy."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import roc_auc_score

from fairart.evaluation import AttackResult, CertificateResult
from fairart.evaluation.results.ood_results import OodResults, ScoredImages
from fairart.evaluation.results.shift_results import ShiftResults
from fairart.reporting import plots
from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import render_comparison
from fairart.reporting.kinds import Kind, by_kind
from fairart.reporting.kinds.measures import Gaps, Means, Redraws, placements
from fairart.reporting.page import render_page
from fairart.statistics import mean_agreement, rank_agreement
from fairart.statistics.rank_agreement import kendall, spearman

NB_CLASSES = 6
PER_CLASS = 20


def equipped(run, seed):
    """A run with a certificate, a shift and outliers, all random."""
    random = np.random.default_rng(seed)
    labels = run.result.labels
    guess = np.where(random.random(len(labels)) < 0.3, random.integers(0, NB_CLASSES, len(labels)), labels)
    radii = random.random(len(labels))
    config = {"certificate": "smoothing", "norm": 2, "options": {}, "subject": "the smoothed classifier", "radii": [0.0, 0.5]}
    run.result.certificates = {"smoothing": CertificateResult("smoothing", labels, guess, radii, NB_CLASSES, config)}
    elsewhere = np.repeat(np.arange(NB_CLASSES), 11)
    wrong = (elsewhere + (random.random(len(elsewhere)) < 0.4)) % NB_CLASSES
    shifted = AttackResult(label="camera", labels=elsewhere, predictions=wrong, nb_classes=NB_CLASSES, config={})
    run.result.shifts = ShiftResults({"camera": shifted})
    scores = [{"energy": np.round(random.normal(mean, 1, number), 1)} for mean, number in ((1, len(labels)), (0, 30))]
    inside = ScoredImages(guess, np.full(len(labels), 0.5), scores[0])
    outside = ScoredImages(np.zeros(30, dtype=np.int64), np.full(30, 0.5), scores[1])
    run.result.ood = OodResults(inside, {"noise": outside}, nb_classes=NB_CLASSES)
    return run


@pytest.fixture(scope="module")
def runs(made):
    options = {"nb_classes": NB_CLASSES, "confidences": 0.7, "corruptions": [("fog", 1), ("fog", 3)], "per_class": PER_CLASS}
    return [equipped(made.run(name, seed, **options), 10 * seed + len(name)) for name in ("at", "trades") for seed in (0, 1)]


@pytest.fixture(scope="module")
def comparison(runs):
    return compare_runs(runs)


def test_the_columns_are_the_numbers_of_the_evaluations(runs, comparison):
    found = comparison.by_kind
    names = [kind.name for kind in found.kinds]
    assert names == [
        "clean", "pgd", "certified (smoothing)", "corruptions (1 corruption x 2)", "shift camera", "ood noise", "calibration",
    ]  # fmt: skip
    mine = [run.result for run in runs[:2]]
    labels = mine[0].labels
    expected = [
        np.mean([one["clean"].class_accuracy for one in mine], axis=0),
        np.mean([one["pgd"].class_accuracy for one in mine], axis=0),
        np.mean([one.certificates["smoothing"].mean_radius for one in mine], axis=0),
        np.mean([one.corruptions.mean_class_accuracy() for one in mine], axis=0),
        np.mean([one.shifts["camera"].class_accuracy for one in mine], axis=0),
        np.mean([[auroc_of(one.ood, labels == k) for k in range(NB_CLASSES)] for one in mine], axis=0),
        np.mean([[cal.ece for cal in one["clean"].class_calibration()] for one in mine], axis=0),
    ]
    np.testing.assert_allclose(found.methods["at"].means, expected)


def auroc_of(ood, own):
    inside, outside = ood.inliers.scores["energy"][own], ood["noise"].scores["energy"]
    return roc_auc_score(np.repeat([1, 0], [len(inside), len(outside)]), np.concatenate([inside, outside]))


def test_correlations_are_those_of_scipy_and_a_low_calibration_error_is_good(comparison):
    found = comparison.by_kind.methods["at"]
    oriented = np.round(found.means * np.array([1, 1, 1, 1, 1, 1, -1])[:, None], 12)
    for first, second in ((0, 1), (2, 4), (1, 6)):
        assert found.agreement.spearman[first, second] == pytest.approx(spearmanr(oriented[first], oriented[second]).statistic)
        assert found.agreement.kendall[first, second] == pytest.approx(kendalltau(oriented[first], oriented[second]).statistic)
    both = [one.agreement.spearman for one in comparison.by_kind.methods.values()]
    np.testing.assert_allclose(comparison.by_kind.agreement.spearman, np.mean(both, axis=0))
    ends = comparison.by_kind.agreement.spearman_intervals
    assert (ends[..., 0] <= comparison.by_kind.agreement.spearman).all()
    assert (ends[..., 1] >= comparison.by_kind.agreement.spearman).all()
    assert found.of_seeds.shape == (2, 7, 7)


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(2, 6))
def test_rows_of_ranks_agree_with_scipy_whatever_the_ties(seed, nb_classes, levels):
    first, second = np.random.default_rng(seed).integers(0, levels, (2, 3, nb_classes)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of constant rows
        rho = [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
        tau = [kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second), rho, atol=1e-9)
    np.testing.assert_allclose(kendall(first, second), tau, atol=1e-9)


def test_classes_without_a_score_are_left_out_of_that_pair_only():
    scores = np.array([[1.0, 2, 3, 4], [1, 3, 2, np.nan], [4, 3, 2, 1]])
    draws = np.stack([scores, np.where(np.arange(4) == 0, np.nan, scores)])
    found = rank_agreement(scores, draws)
    assert found.spearman[0, 1] == pytest.approx(spearmanr([1, 2, 3], [1, 3, 2]).statistic)
    assert found.spearman[0, 2] == pytest.approx(-1)
    assert np.isnan(found.spearman_draws[1]).all()
    np.testing.assert_allclose(found.spearman_intervals[0, 2], [-1, -1])
    np.testing.assert_allclose(mean_agreement([found, found]).kendall, found.kendall)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["level"] == 0.95
    with pytest.raises(ValueError, match=r"expected scores \(S, K\) and draws \(R, S, K\), got \(4,\) and \(3, 4\)"):
        rank_agreement(scores[0], scores)


def test_draws_keep_the_classes_and_are_shared_by_equal_labels():
    labels = np.array([0, 0, 0, 1, 1, 2])
    redraws = Redraws(500, 0)
    weights = redraws.weights(labels)
    assert redraws.weights(labels.copy()) is weights
    np.testing.assert_array_equal(weights[:, :3].sum(axis=1), 3)
    np.testing.assert_array_equal(weights[:, 5], 1)
    assert weights.mean() == 1
    # The variance of the mean of a class: that of its samples, over their number.
    values = np.array([0.0, 1, 1, 0, 1, 1])
    drawn = Means(labels, values, 3).drawn(weights)
    assert drawn[:, 0].var() == pytest.approx((2 / 9) / 3, rel=0.15)
    assert (drawn[:, 2] == 1).all()


def test_calibration_of_a_draw_is_that_of_the_repeated_samples():
    random = np.random.default_rng(3)
    labels, guess = random.integers(0, 3, (2, 150))
    sure = random.random(150)
    result = AttackResult(label="clean", labels=labels, predictions=guess, nb_classes=4, config={}, confidences=sure)
    counts = random.integers(0, 3, 150)
    chosen = np.repeat(np.arange(150), counts)
    again = AttackResult(
        label="clean", labels=labels[chosen], predictions=guess[chosen], nb_classes=4, config={}, confidences=sure[chosen]
    )
    drawn = Gaps(result).drawn(counts[None].astype(float))[0]
    np.testing.assert_allclose(drawn, [one.ece for one in again.class_calibration()])
    assert np.isnan(drawn[3])


def test_placements_average_to_the_auroc_with_ties():
    random = np.random.default_rng(1)
    inside, outside = random.integers(0, 5, 40).astype(float), random.integers(0, 4, 30).astype(float)
    area = roc_auc_score(np.repeat([1, 0], [40, 30]), np.concatenate([inside, outside]))
    assert placements(inside, outside).mean() == pytest.approx(area)


def seeds_of(values, labels, noise=0.0):
    """A measure a seed: values (seeds, K) of the classes, and noise on the samples that all seeds share."""
    shared = np.random.default_rng(0).normal(0, noise, len(labels)) if noise else np.zeros(len(labels))
    return [Means(labels, row[labels] + shared, len(row)) for row in values]


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_intervals_hold_seeds_and_images(seeds):
    """The variance of the draws is the sum of that of a mean over seeds, s^2 / S, and that of a mean over images."""
    labels = np.repeat(np.arange(3), 200)
    values = np.random.default_rng(seeds).normal(0, 0.1, (seeds, 3))
    redraws = Redraws(6000, 0)

    def drawn(noise):
        measures = seeds_of(values, labels, noise)
        return redraws.over_seeds(np.stack([one.drawn(redraws.weights(labels)) for one in measures], axis=1)), measures

    alone, _ = drawn(0.0)
    of_seeds = values.var(axis=0, ddof=1) / seeds
    np.testing.assert_allclose(alone.mean(axis=0), values.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(alone.var(axis=0), of_seeds, rtol=0.08)
    both, measures = drawn(1.0)
    of_images = [measures[0].values[labels == index].var() / 200 for index in range(3)]
    np.testing.assert_allclose(both.var(axis=0), of_seeds + of_images, rtol=0.08)


def test_of_one_seed_intervals_are_about_the_images_alone():
    redraws = Redraws(50, 0)
    one = np.random.default_rng(0).random((50, 1, 4))
    np.testing.assert_array_equal(redraws.over_seeds(one), one[:, 0])


def test_seeds_and_samples_are_drawn_from_streams_of_their_own():
    """The second set of labels once had the stream of the seeds."""
    redraws = Redraws(200, 0)
    for number in (5, 7, 9):
        weights = redraws.weights(np.zeros(number, dtype=np.int64))
        first = np.random.default_rng([0, 1]).integers(0, number, (200, number))
        counts = np.stack([np.bincount(row, minlength=number) for row in first])
        assert not np.array_equal(weights, counts)


def test_seeds_that_disagree_widen_the_intervals_of_a_method_and_of_its_correlations(runs):
    found = compare_runs(runs).by_kind.methods["at"]
    assert found.intervals.shape == (7, NB_CLASSES, 2)
    assert (found.intervals[..., 0] <= found.means).all()
    assert (found.means <= found.intervals[..., 1]).all()
    plain = compare_runs(runs).to_dict()["kinds"]["methods"]["at"]["classes"]["pgd"]["2"]
    assert plain["interval"] == found.intervals[1, 2].tolist()
    assert plain["seeds"] == 2
    labels = np.repeat(np.arange(4), 30)
    values = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.2, 0.1, 0.4, 0.3]])
    steady = {Kind(f"kind {i}", "x"): seeds_of(np.tile(values[0], (3, 1)), labels) for i in range(3)}
    moving = {Kind(f"kind {i}", "x"): seeds_of(values if i else np.tile(values[0], (3, 1)), labels) for i in range(3)}
    ends = [by_kind({"at": one}, resamples=400).agreement.spearman_intervals[1, 0] for one in (steady, moving)]
    assert np.ptp(ends[0]) < 1e-9
    assert np.ptp(ends[1]) > 0.5


def columns(*rows, better=True):
    """A measure of one sample a class for each row."""
    labels = np.arange(len(rows[0]))
    return {
        Kind(f"kind {i}", "x", higher_is_better=better): [Means(labels, np.array(row), len(row))] for i, row in enumerate(rows)
    }


def test_the_worst_third_and_at_most_three_are_marked_without_ties_across_the_border():
    rows = [np.arange(10.0), np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1.0]), np.array([1, 0, 0, 0, 0, 1, 1, 1, 1, 1.0])]
    found = by_kind({"at": columns(*rows)}, resamples=100)
    marked = found.methods["at"].marked
    assert [np.flatnonzero(row).tolist() for row in marked] == [[0, 1, 2], [0, 1], []]
    np.testing.assert_array_equal(found.methods["at"].ranks[0], np.arange(1, 11))
    assert found.times_marked.tolist() == [2, 2, 1, 0, 0, 0, 0, 0, 0, 0]
    errors = by_kind({"at": columns(*rows, better=False)}, resamples=100)
    assert np.flatnonzero(errors.methods["at"].marked[0]).tolist() == [7, 8, 9]
    few = by_kind({"at": columns(*[np.arange(4.0)] * 3)}, resamples=100)
    assert few.methods["at"].marked.sum(axis=1).tolist() == [1, 1, 1]


def test_fewer_than_three_kinds_are_no_picture(made):
    assert by_kind({"at": columns(np.arange(3.0), np.arange(3.0))}) is None
    comparison = compare_runs([made.run("at", nb_classes=4)])
    assert comparison.by_kind is None
    assert "kinds" not in comparison.to_dict()
    assert 'id="kinds"' not in render_page([made.run("at", nb_classes=4)])
    with pytest.raises(ValueError, match="at least three kinds of robustness"):
        plots.kinds_of_robustness(None, ["a"])


def test_a_method_that_lacks_a_kind_has_no_numbers_there(runs, made):
    plain = made.run("mart", 5, nb_classes=NB_CLASSES, confidences=0.7, per_class=PER_CLASS)
    found = compare_runs([*runs, plain]).by_kind
    place = [kind.name for kind in found.kinds].index("shift camera")
    assert np.isnan(found.methods["mart"].means[place]).all()
    assert not np.isnan(found.methods["mart"].means[0]).any()
    assert not np.isnan(found.agreement.spearman).any()


def test_text_json_page_and_figure_say_the_same(runs, comparison):
    found = comparison.by_kind
    text = render_comparison(comparison, classes=True)
    assert "which classes every kind of robustness leaves behind: trades" in text
    line = next(line for line in text.split("leaves behind: at")[1].splitlines() if line.startswith(f"{found.order[0]} "))
    assert line.split()[-1] == str(int(found.methods["at"].marked[:, found.order[0]].sum()))
    assert "leaves behind" not in render_comparison(comparison)
    plain = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["kinds"]
    assert plain["methods"]["at"]["classes"]["pgd"]["0"]["mean"] == pytest.approx(found.methods["at"].means[1, 0])
    assert plain["worst_in"]["0"] == found.times_marked[0]
    page = render_page(runs)
    assert page.count("<b>") >= found.methods["at"].marked.sum()
    assert 'id="kinds"' in page
    value, (low, high) = found.agreement.spearman[1, 0], found.agreement.spearman_intervals[1, 0]
    figure = plots.kinds_of_robustness(found, comparison.classes)
    assert f"{value:.2f}\n[{low:.2f}, {high:.2f}]" in [text.get_text() for text in figure.axes[-1].texts]
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["at, mean of 2 seeds", "trades, mean of 2 seeds"]
    bold = [text for text in figure.axes[0].texts if text.get_fontweight() == "bold"]
    assert len(bold) == found.methods["at"].marked.sum()


def test_the_same_runs_give_the_same_intervals(runs, comparison):
    again = compare_runs(runs).by_kind
    np.testing.assert_array_equal(again.agreement.spearman_intervals, comparison.by_kind.agreement.spearman_intervals)
