"""Plots of models, details and trainings: what they draw is what the results hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fairart.evaluation import AttackResult, CorruptionResults, EvaluationResult
from fairart.reporting import plots

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
        (lambda: plots.corruption_by_severity({"a": CorruptionResults()}), "expected corruptions of every method"),
        (lambda: plots.save_figure(plots.tradeoff(RESULTS), "plot.jpg"), r"is saved as \.png, \.svg, \.pdf, got 'plot.jpg'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
