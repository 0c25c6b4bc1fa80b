"""Plots of models, details and trainings: what they draw is what the results hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from fairart.evaluation import AttackResult, CorruptionResults, EvaluationResult
from fairart.reporting import plots
from fairart.reporting.across import rank_correlations

PAGE = (Path(__file__).parents[2] / "docs" / "plots.md").read_text(encoding="utf-8")


def evaluation(seed: int = 0, *, nb_classes: int = 4, number: int = 80, names: tuple[str, ...] | None = None) -> EvaluationResult:
    random = np.random.default_rng(seed)
    labels = np.arange(number) % nb_classes

    def result(label: str, wrong: float) -> AttackResult:
        predictions = np.where(random.random(number) < wrong, random.integers(0, nb_classes, number), labels)
        confidences = random.uniform(0.3, 1.0, number)
        return AttackResult(
            label=label, labels=labels, predictions=predictions, nb_classes=nb_classes, config={"attack": label, "options": {}},
            class_names=names, confidences=confidences,
        )  # fmt: skip

    corruptions = CorruptionResults({("fog", s): result(f"fog-{s}", 0.1 * s) for s in (1, 3, 5)})
    return EvaluationResult([result("clean", 0.1), result("pgd", 0.5)], corruptions=corruptions)


RESULTS = {"one": [evaluation(0), evaluation(1)], "other": [evaluation(2)]}


def test_every_public_plot_stands_on_the_page():
    missing = [name for name in plots.__all__ if f"`{name}`" not in PAGE]
    assert missing == []
    images = re.findall(r"\(images/(plot_\w+\.png)\)", PAGE)
    assert len(images) == 6
    for name in images:
        file = Path(__file__).parents[2] / "docs" / "images" / name
        assert file.stat().st_size < 80_000


def test_cfps_panels_hold_the_scores_in_the_order_of_accuracy():
    figure = plots.cfps_across_models(RESULTS)
    clean_scores, clean_accuracy, pgd_scores, pgd_accuracy = figure.axes
    accuracy = np.mean([np.mean([r["pgd"].class_accuracy for r in runs], axis=0) for runs in RESULTS.values()], axis=0)
    order = np.argsort(accuracy)
    assert [tick.get_text() for tick in pgd_accuracy.get_xticklabels()] == [str(k) for k in order]
    np.testing.assert_allclose(pgd_scores.lines[1].get_ydata(), RESULTS["other"][0]["pgd"].cfps[order])
    means = np.mean([r["pgd"].class_accuracy for r in RESULTS["one"]], axis=0)
    np.testing.assert_allclose(pgd_accuracy.lines[0].get_ydata(), 100 * means[order])
    assert pgd_scores.lines[2].get_ydata()[0] == 1 / 4
    assert (clean_scores.get_title("left"), clean_accuracy.get_title("left")) == ("clean", "clean")


def test_above_each_panel_stands_whether_models_rank_the_classes_alike():
    axes = plots.cfps_across_models(RESULTS, score="cfns").axes
    table = [np.mean([run["pgd"].confusion.cfns for run in runs], axis=0) for runs in RESULTS.values()]
    np.testing.assert_allclose(np.sort(axes[2].lines[0].get_ydata()), np.sort(table[0]))
    found = rank_correlations(RESULTS)
    assert found["pgd", "cfns"].mean == pytest.approx(spearmanr(*table).statistic)
    for place, key in enumerate([("clean", "cfns"), ("clean", "class_accuracy"), ("pgd", "cfns"), ("pgd", "class_accuracy")]):
        low, high = found[key].interval
        assert [text.get_text() for text in axes[place].texts] == [
            f"rank correlation {found[key].mean:.2f} [{low:.2f}, {high:.2f}]"
        ]
    assert axes[2].get_ylabel() == "false negative score"


@pytest.mark.parametrize(
    ("nb_classes", "number", "prefix"), [(2, 2, "m"), (10, 9, "Rebuffi2021Fixing_70_16_cutmix_extra"), (100, 3, "m")]
)
def test_headings_and_legend_stay_inside_and_apart(nb_classes, number, prefix):
    results = {f"{prefix} {index}": [evaluation(index, nb_classes=nb_classes, number=5 * nb_classes)] for index in range(number)}
    figure = plots.cfps_across_models(results)
    figure.draw_without_rendering()
    width, height = figure.get_window_extent().size
    legend = figure.legends[0].get_window_extent()
    assert 0 <= legend.x0 < legend.x1 <= width
    for axes in figure.axes:
        text = axes.texts[0].get_window_extent()
        title = axes._left_title.get_window_extent()
        assert 0 < text.x0 < text.x1 <= width
        assert text.y1 <= title.y0 + 1
        assert title.y1 <= height
        assert axes.xaxis.get_tightbbox().y0 >= legend.y1 - 1
        assert axes.get_window_extent().height > 200
    assert figure.axes[0].texts[0].get_window_extent().x1 < figure.axes[1].get_tightbbox().x0


def test_one_model_has_no_rank_correlation_and_equal_scores_have_none():
    figure = plots.cfps_across_models({"one": RESULTS["one"]})
    assert not any(axes.texts for axes in figure.axes)
    assert rank_correlations({"one": RESULTS["one"]}) == {}
    right = EvaluationResult([AttackResult(
        label="clean", labels=np.arange(8) % 4, predictions=np.arange(8) % 4, nb_classes=4, config={},
    )])  # fmt: skip
    axes = plots.cfps_across_models({"a": [right], "b": [right]}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["rank correlation none: equal scores"]


def test_a_class_without_samples_has_a_false_positive_score_only():
    labels = np.array([0, 0, 1, 1, 3, 3])
    results = {
        name: [EvaluationResult([AttackResult(label="clean", labels=labels, predictions=guesses, nb_classes=4, config={})])]
        for name, guesses in (("a", np.array([0, 2, 1, 1, 3, 0])), ("b", np.array([0, 2, 2, 1, 0, 0])))
    }
    found = rank_correlations(results)
    assert [found["clean", score].nb_classes for score in ("cfps", "cfns", "class_accuracy")] == [4, 3, 3]
    assert np.isnan(plots.cfps_across_models(results, score="cfns").axes[0].lines[0].get_ydata()[-1])


@pytest.mark.parametrize(("names", "title"), [(("fog",), "(1 corruption)"), (("fog", "snow"), "(2 corruptions)")])
def test_the_number_of_corruptions_is_written_in_words_that_fit(names, title):
    one = RESULTS["one"][0].corruptions["fog", 1]
    figure = plots.corruption_by_severity({"a": CorruptionResults({(name, 1): one for name in names})})
    assert figure.get_suptitle().endswith(title)


def test_tradeoff_points_are_mean_accuracies():
    axes = plots.tradeoff(RESULTS).axes[0]
    points = {
        line.get_label(): (line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.lines
        if not line.get_label().startswith("_")
    }
    other = RESULTS["other"][0]["pgd"]
    assert points["other"] == pytest.approx((100 * other.accuracy, 100 * other.worst_class_accuracy()))
    assert points["one"][0] == pytest.approx(100 * np.mean([r["pgd"].accuracy for r in RESULTS["one"]]))


@pytest.mark.parametrize("nb_classes", [3, 10, 100])
def test_confusion_cells_are_shares_of_the_true_class(nb_classes):
    result = evaluation(nb_classes=nb_classes, number=5 * nb_classes)["pgd"]
    axes = plots.confusion_matrix(result).axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), 100 * result.confusion.normalised())
    assert bool(axes.texts) == (nb_classes <= 15)
    assert len(axes.get_xticks()) <= 40


def test_reliability_lines_are_the_bins_that_hold_samples():
    result = RESULTS["one"][0]["clean"]
    axes = plots.reliability_diagram({"one": result}).axes[0]
    found = result.calibration()
    np.testing.assert_allclose(axes.lines[1].get_ydata(), found.accuracy[found.counts > 0])
    assert f"ECE {100 * found.ece:.1f} %" in axes.lines[1].get_label()


def test_corruptions_are_means_at_each_severity():
    found = RESULTS["one"][0].corruptions
    axes = plots.corruption_by_severity({"one": found}).axes[0]
    assert list(axes.lines[0].get_xdata()) == [1, 3, 5]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [100 * found["fog", s].accuracy for s in (1, 3, 5)])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [100 * found["fog", s].worst_class_accuracy() for s in (1, 3, 5)])


def test_names_that_mean_something_to_matplotlib_are_plain_text(tmp_path):
    names = ("$x", "a_b", "<b>", "50 %")
    result = evaluation(names=names)
    for figure in (plots.cfps_across_models({"a": [result]}), plots.confusion_matrix(result["pgd"])):
        plots.save_figure(figure, tmp_path / "plot.png")
        labels = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
        assert set(labels) == set(names)


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_figures_are_saved_alike_twice(ending, tmp_path):
    files = []
    for name in "ab":
        file = plots.save_figure(plots.tradeoff(RESULTS), tmp_path / f"{name}{ending}")
        files.append(file.read_bytes())
    assert files[0] == files[1]
    assert files[0].startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])


def test_figures_show_themselves_in_notebooks():
    assert plots.tradeoff(RESULTS)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.tradeoff({}), "expected at least one evaluation"),
        (
            lambda: plots.cfps_across_models(RESULTS, attacks=["cw"]),
            "attack 'cw' is not in every .* clean, pgd",
        ),
        (lambda: plots.cfps_across_models(RESULTS, score="recall"), "score must be one of cfps, cfns, got 'recall'"),
        (lambda: rank_correlations(RESULTS, scores=["recall"]), "score must be one of cfps, cfns, class_accuracy, got 'recall'"),
        (
            lambda: plots.cfps_across_models({"a": [evaluation()], "b": [evaluation(nb_classes=5)]}),
            "b has 5 classes and a has 4: they do not compare",
        ),
        (
            lambda: plots.cfps_across_models({"a": [evaluation(names=tuple("abcd"))], "b": [evaluation(names=tuple("abdc"))]}),
            "b and a have classes of other names",
        ),
        (lambda: plots.corruption_by_severity({"a": CorruptionResults()}), "expected corruptions of every method"),
        (lambda: plots.save_figure(plots.tradeoff(RESULTS), "plot.jpg"), r"is saved as \.png, \.svg, \.pdf, got 'plot.jpg'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
