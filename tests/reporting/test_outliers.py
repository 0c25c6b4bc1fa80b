"""Outliers in comparisons and on the page: numbers of the runs, spread over seeds, and nothing that does not compare."""

import copy
import re

import numpy as np
import pytest

from fairart.evaluation.results.ood_results import AttackedScores, OodResults, ScoredImages
from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import render_comparison
from fairart.reporting.page import render_page

NB_CLASSES = 4


def images(generator, number, shift, scores):
    predictions = np.arange(number) % NB_CLASSES
    values = {name: np.round(generator.normal(shift, 1, number), 6) for name in scores}
    return ScoredImages(predictions, np.full(number, 0.9), values)


def outliers(seed, *, temperature=1.0, digest="a"):
    generator, scores = np.random.default_rng(seed), ("energy", "msp")
    sets = {"noise": {"source": "uniform noise", "samples": 60}, "mine": {"source": "given images", "images": digest}}
    sets["fooling"] = {"source": "noise driven to each class in turn", "targets": "each class in turn"}
    return OodResults(
        images(generator, 80, 2, scores),
        {name: images(generator, 60, shift, scores) for name, shift in (("noise", 0), ("mine", 1), ("fooling", 3))},
        nb_classes=NB_CLASSES,
        attacked={
            "energy": AttackedScores(
                images(generator, 80, 1, ("energy",)), {name: images(generator, 60, 2, ("energy",)) for name in ("noise", "mine")}
            )
        },
        config={"temperature": temperature, "sets": sets, "attack": {"scores": ["energy"], "eps": 0.1}},
    )


@pytest.fixture
def runs(made):
    found = [made.run(trainer, seed, nb_classes=NB_CLASSES) for trainer in ("at", "trades") for seed in (0, 1)]
    for number, run in enumerate(found):
        run.result.ood = outliers(number)
    return found


def test_means_and_spread_over_seeds(runs):
    comparison = compare_runs(runs)
    key = ("noise", "energy", "none")
    found = [run.result.ood.detection("noise", "energy") for run in runs[:2]]
    cell = comparison.outliers[key]["at"]
    assert cell.auroc.mean == pytest.approx(np.mean([one.auroc for one in found]))
    assert cell.auroc.std == pytest.approx(np.std([one.auroc for one in found], ddof=1))
    assert cell.worst.mean == pytest.approx(np.mean([one.worst_class_auroc for one in found]))
    for place in range(NB_CLASSES):
        assert cell.class_fpr[place].mean == pytest.approx(np.mean([one.class_fpr[place] for one in found]))
    assert set(comparison.outliers) == {
        *(("noise", "energy", attacked) for attacked in ("none", "outliers", "inliers", "both")),
        *(("mine", "energy", attacked) for attacked in ("none", "outliers", "inliers", "both")),
        *(("fooling", "energy", attacked) for attacked in ("none", "inliers")),
        *((name, "msp", "none") for name in ("noise", "mine", "fooling")),
    }
    assert all(set(cells) == {"at", "trades"} for cells in comparison.outliers.values())
    plain = next(
        entry for entry in comparison.to_dict()["outliers"] if tuple(entry[name] for name in ("set", "score")) == key[:2]
    )
    assert plain["methods"]["at"]["auroc"]["mean"] == pytest.approx(cell.auroc.mean)
    assert "target_rates" not in plain["methods"]["at"]


def test_the_text_has_the_first_score(runs):
    comparison = compare_runs(runs)
    text = render_comparison(comparison)
    cell = comparison.outliers["noise", "energy", "both"]["at"]
    assert re.search(rf"ood noise: energy, both +at +2 +{100 * cell.auroc.mean:.1f} ± {100 * cell.auroc.std:.1f}", text)
    assert "ood noise: msp" not in text
    assert "ood: AUROC of a score" in text
    assert "ood" not in render_comparison(compare_runs(runs, attacks=["pgd"]))


def test_other_outliers_or_options_do_not_stand_beside_each_other(runs):
    for run, options in zip(runs[2:], ({"temperature": 2.0}, {"temperature": 2.0}), strict=True):
        run.result.ood = outliers(5, **options)
    comparison = compare_runs(runs)
    assert set(comparison.outliers["noise", "energy", "none"]) == {"at"}
    assert set(comparison.outliers["noise", "msp", "none"]) == {"at", "trades"}
    assert sum("outliers noise of runs/trades-0, runs/trades-1" in notice for notice in comparison.notices) == 1
    for run in runs[2:]:
        run.result.ood = outliers(5, digest="b")
    comparison = compare_runs(runs)
    assert set(comparison.outliers["mine", "msp", "none"]) == {"at"}
    assert set(comparison.outliers["noise", "msp", "none"]) == {"at", "trades"}


def test_a_run_without_outliers_is_named(runs):
    runs[1].result.ood = OodResults()
    comparison = compare_runs(runs)
    assert all(set(cells) == {"trades"} for cells in comparison.outliers.values())
    assert "outliers noise were not scored on runs/at-1" in comparison.notices
    for run in runs:
        run.result.ood = OodResults()
    assert compare_runs(runs).outliers == {}


def test_the_page_shows_numbers_classes_and_settings(runs):
    page = render_page(runs)
    section = page[page.index('<section id="outliers"') : page.index("</section>", page.index('<section id="outliers"'))]
    assert '<a href="#outliers">' in page
    cell = compare_runs(runs).outliers["noise", "msp", "none"]["trades"]
    assert f"{100 * cell.auroc.mean:.1f} ± {100 * cell.auroc.std:.1f}" in section
    assert "fooling, by the class that they are driven to" in section
    assert section.count("Settings and outliers of") == 4
    assert "noise: uniform noise; " in section
    # 4 conditions of two sets and 2 of one under the score that was attacked, 3 under the other, for two methods.
    assert section.count('<tr><th scope="row"') == 2 * (4 + 4 + 2 + 3) + 3 * NB_CLASSES


def test_one_run_has_intervals_and_several_have_a_spread(runs):
    one, several = render_page(runs[:1]), render_page(runs[:2])
    found = runs[0].result.ood.detection("noise", "energy")
    for low, high in (found.auroc_interval, found.class_fpr_interval[2], found.predicted_share_interval[1]):
        text = f"<small>{100 * low:.1f} to {100 * high:.1f}</small>"
        assert text in one
        assert text not in several[several.index('<section id="outliers"') :]


def test_names_are_escaped_on_the_page(runs):
    run = copy.copy(runs[0])
    ood = outliers(0)
    bad = "<u>&1"
    run.result.ood = OodResults(
        ood.inliers, {bad: ood["noise"]}, nb_classes=NB_CLASSES, config={"sets": {bad: {"source": "<script>"}}}
    )
    page = render_page([run])
    assert bad not in page
    assert "<script>;" not in page
    assert "&lt;u&gt;&amp;1" in page
    assert "&lt;script&gt;;" in page


def test_without_outliers_there_is_no_section(made):
    assert "outliers" not in render_page([made.run("at")]).split("</style>")[1]
