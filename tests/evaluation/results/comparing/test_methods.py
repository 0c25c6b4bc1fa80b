"""Two methods over seeds and samples: formulas where there are any, coverage by simulation where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fairart.evaluation import AttackResult
from fairart.evaluation.results.comparing import best_probability, compare_methods, paired_t, redrawing, score_runs
from fairart.evaluation.results.comparing.redrawing import redraw_samples, redraw_seeds


def made(right, labels):
    labels = np.asarray(labels)
    nb_classes = int(labels.max()) + 1
    predictions = np.where(right, labels, (labels + 1) % nb_classes)
    return AttackResult(label="pgd", labels=labels, predictions=predictions, nb_classes=nb_classes, config={})


def random_runs(count, shares, per_class, seed):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(shares)), per_class)
    return [made(generator.random(len(labels)) < np.asarray(shares)[labels], labels) for _ in range(count)]


def test_a_draw_has_as_many_samples_of_each_class_and_scores_all_runs_on_the_same_ones():
    labels = np.repeat([0, 1, 4], [30, 50, 20])
    right = np.random.default_rng(0).random((3, 100)) < 0.6
    found = redraw_samples(np.array([*right, right[0], np.ones(100, bool), labels == 4]), labels, draws=4000)
    np.testing.assert_array_equal(found.overall[:, 0], found.overall[:, 3])
    assert (found.overall[:, 4] == 1).all()
    assert (found.overall[:, 5] == 0.2).all()
    assert (found.worst[:, 5] == 0).all()
    # The variance of a stratified mean: each class's share of right samples times its share of wrong ones.
    shares = np.array([right[0, labels == name].mean() for name in (0, 1, 4)])
    wanted = (np.array([30, 50, 20]) * shares * (1 - shares)).sum() / 100**2
    assert found.overall[:, 0].var() == pytest.approx(wanted, rel=0.1)
    lowest = np.random.default_rng(1).binomial([30, 50, 20], shares, (4000, 3)) / [30, 50, 20]
    assert stats.ks_2samp(found.worst[:, 0], lowest.min(axis=1)).pvalue > 0.001


def test_draws_depend_on_the_seed_and_on_nothing_else(monkeypatch):
    labels = np.arange(60) % 3
    right = np.random.default_rng(0).random((4, 60)) < 0.5
    whole = redraw_samples(right, labels, draws=50, seed=7)
    np.testing.assert_array_equal(redraw_samples(right[1:2], labels, draws=50, seed=7).worst, whole.worst[:, 1:2])
    assert (redraw_samples(right, labels, draws=50, seed=8).overall != whole.overall).any()
    monkeypatch.setattr(redrawing, "_AT_ONCE", 130)
    np.testing.assert_array_equal(redraw_samples(right, labels, draws=50, seed=7).overall, whole.overall)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_redrawn_seeds_vary_as_a_mean_over_other_seeds_would(count):
    values = np.random.default_rng(count).normal(size=count)
    means = values[redraw_seeds(count, draws=20_000)].mean(axis=1)
    assert means.var() == pytest.approx(values.var(ddof=1) / count, rel=0.05)


def test_seeds_that_agree_on_every_sample_say_no_more_than_one():
    first, second = random_runs(2, [0.5, 0.6], 100, seed=0)
    alone = compare_methods([first] * 2, [second] * 2)["average"]
    many = compare_methods([first] * 9, [second] * 9)["average"]
    gaps = first.correct.astype(float) - second.correct
    wanted = math.sqrt(sum(100 * gaps[first.labels == name].var() for name in (0, 1)) / 200**2)
    assert alone.standard_error == pytest.approx(wanted, rel=0.06)
    assert many.standard_error == pytest.approx(wanted, rel=0.06)
    assert many.degrees == pytest.approx(199, abs=1)
    assert many.p_value == pytest.approx(2 * stats.t.sf(abs(gaps.mean()) / many.standard_error, many.degrees))


def test_samples_without_chance_leave_the_t_test_over_seeds():
    """Both methods are wrong on whole classes, so that re-drawing the samples of a class changes nothing."""
    labels = np.repeat(np.arange(6), 20)
    first = [made(np.isin(labels, kept), labels) for kept in ([0, 1, 2], [0, 1], [0, 1, 2, 3, 4], [0, 1, 2])]
    second = [made(np.isin(labels, kept), labels) for kept in ([0], [0, 1], [0, 1], [2])]
    found = compare_methods(first, second, draws=20_000)["average"]
    expected = paired_t([run.accuracy for run in first], [run.accuracy for run in second])
    assert found.difference == pytest.approx(expected.difference)
    assert found.interval == pytest.approx(expected.interval, abs=0.01)
    assert found.p_value == pytest.approx(expected.p_value, rel=0.1)


def test_the_other_way_round_is_the_negative_and_a_seed_repeats_it():
    first, second = random_runs(3, [0.5, 0.7, 0.8], 40, seed=1), random_runs(3, [0.6, 0.6, 0.8], 40, seed=2)
    found, mirrored = compare_methods(first, second), compare_methods(second, first)
    for part in ("average", "worst class"):
        low, high = found[part].interval
        assert -1 <= low <= found[part].difference <= high <= 1
        assert (low, high) == pytest.approx((-mirrored[part].interval[1], -mirrored[part].interval[0]), abs=0.02)
        assert 0 <= found[part].p_value <= 1
        assert found[part].detectable(comparisons=5) > found[part].detectable() > found[part].standard_error
    assert compare_methods(first, second) == found
    assert compare_methods(first, second, seed=1) != found
    assert found["average"].difference == pytest.approx(
        np.mean([run.accuracy for run in first]) - np.mean([run.accuracy for run in second])
    )
    assert found["average"].to_dict()["degrees_of_freedom"] == found["average"].degrees


def test_methods_that_are_the_same_and_methods_that_nothing_moves():
    runs = random_runs(3, [0.5, 0.7], 30, seed=4)
    for found in compare_methods(runs, runs).values():
        assert (found.difference, found.p_value) == (0.0, 1.0)
        assert np.isnan(found.interval).all()
    labels = np.arange(20) % 2
    right, wrong = [made(np.full(20, value), labels) for value in (True, False)]
    for found in compare_methods([right] * 2, [wrong] * 2).values():
        assert found.difference == 1
        assert np.isnan([*found.interval, found.p_value, found.detectable()]).all()
        assert found.to_dict()["p_value"] is None


def simulated(generator, starts, nb_seeds, per_class):
    """Runs of two methods, and the true worst class of each: samples are hard for all, for one method, or for one run."""
    labels = np.repeat(np.arange(len(starts[0])), per_class)
    hard = math.sqrt(0.6) * generator.normal(size=len(labels))
    runs = []
    for start in starts:
        mine = hard + math.sqrt(0.15) * generator.normal(size=len(labels))
        levels = start + 0.05 * generator.normal(size=(nb_seeds, len(start)))
        noise = 0.5 * generator.normal(size=(nb_seeds, len(labels)))
        runs.append([made(found > 0, labels) for found in levels[:, labels] + mine + noise])
    return runs


def test_intervals_cover_the_true_difference_and_those_of_seeds_alone_do_not():
    """Both methods have the same worst class on average; the first has ten classes alike, the second one that is worst."""
    starts = np.zeros(10), np.array([0.0, *[0.6] * 9])
    levels = np.random.default_rng(0).normal(0, 0.05, (20_000, 10))
    truth = {
        "average": np.mean([stats.norm.cdf(start + levels).mean() * sign for start, sign in zip(starts, (1, -1), strict=True)])
        * 2,
        "worst class": sum(
            stats.norm.cdf(start + levels).min(axis=1).mean() * sign for start, sign in zip(starts, (1, -1), strict=True)
        ),
    }
    generator, covered, naive = np.random.default_rng(5), {"average": 0, "worst class": 0}, 0
    repeats = 80
    for _ in range(repeats):
        first, second = simulated(generator, starts, nb_seeds=5, per_class=60)
        for part, found in compare_methods(first, second, draws=200).items():
            covered[part] += found.interval[0] <= truth[part] <= found.interval[1]
        low, high = paired_t(*([run.worst_class_accuracy() for run in runs] for runs in (first, second))).interval
        naive += low <= truth["worst class"] <= high
    assert covered["average"] >= 0.91 * repeats
    assert covered["worst class"] >= 0.88 * repeats
    assert naive < 0.75 * repeats


def test_the_probability_of_being_the_best_is_that_of_the_draws():
    """One seed, one class: the winner of a draw follows from how often it has samples that only one method gets right."""
    labels = np.zeros(30, dtype=int)
    only_first, only_second = 5, 3
    place = np.arange(30)
    runs = [
        AttackResult(label="a", labels=labels, predictions=np.where(right, 0, 1), nb_classes=2, config={})
        for right in (place < only_first, (place >= only_first) & (place < only_first + only_second))
    ]
    scores = score_runs(runs, draws=20_000)["average"]
    first = np.arange(31)[:, None]
    ways = stats.multinomial.pmf(
        np.stack(np.broadcast_arrays(first, first.T, 30 - first - first.T), axis=-1), 30, [5 / 30, 3 / 30, 22 / 30]
    )
    wanted = ways[first > first.T].sum() + ways[first == first.T].sum() / 2
    found = best_probability(scores, [np.array([0]), np.array([1])])
    assert found == pytest.approx([wanted, 1 - wanted], abs=0.015)


def test_classes_that_are_alike_do_not_cost_a_method_its_place():
    """Both methods have a worst class of 60 %; a draw of the alike classes is lower by far, and is moved back."""
    labels = np.repeat(np.arange(10), 50)
    place = np.tile(np.arange(50), 10)
    alike, one_low = made(place < 30, labels), made(place < np.where(labels == 0, 30, 48), labels)
    scores = score_runs([alike, one_low])["worst class"]
    np.testing.assert_allclose(scores.redrawn.mean(axis=0), scores.estimated)
    found = best_probability(scores, [np.array([0]), np.array([1])])
    assert found[0] > 0.5
    assert scores.measured[0] == scores.measured[1] == 0.6


def test_the_best_of_several_methods_over_seeds():
    worse, better = random_runs(3, [0.5, 0.8], 200, seed=0), random_runs(3, [0.75, 0.8], 200, seed=1)
    scores = score_runs([*worse, *better, *better])
    places = [np.arange(3), np.arange(3, 6), np.arange(6, 9)]
    for part in ("average", "worst class"):
        found = best_probability(scores[part], places)
        assert found.sum() == pytest.approx(1)
        assert found[0] < 0.01
        # A method that is in twice shares every draw with itself.
        if part == "average":
            assert found[1] == found[2]
    assert best_probability(scores["average"], [np.array([0])]) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda a, b: compare_methods(a[:1], b[:1]), "same two or more seeds"),
        (lambda a, b: compare_methods(a, b[:2]), "got 3 and 2 results"),
        (lambda a, b: compare_methods(a, b, level=0), "level must be in"),
        (lambda a, b: compare_methods(a, b, draws=1), "draws must be a whole number >= 2"),
        (lambda a, b: compare_methods(a, b, seed=-1), "seed must be"),
        (lambda a, b: compare_methods(a, random_runs(3, [0.5, 0.5], 31, seed=1)), "not evaluated on the same samples"),
        (lambda a, b: score_runs([]), "at least one result"),
        (lambda a, b: redraw_samples(a[0].correct, a[0].labels), r"expected correct \(runs, n\)"),
        (lambda a, b: redraw_seeds(1), "count must be a whole number >= 2"),
        (lambda a, b: best_probability(score_runs(a)["average"], []), "same seeds of every method"),
    ],
)
def test_bad_input_is_refused(call, told):
    first, second = random_runs(3, [0.5, 0.5], 30, seed=0), random_runs(3, [0.5, 0.5], 30, seed=1)
    with pytest.raises(ValueError, match=told):
        call(first, second)
