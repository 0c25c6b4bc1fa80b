"""Methods side by side on shifted test sets, and after temperature scaling."""

import dataclasses

import numpy as np
import pytest

from fairart.evaluation import AttackResult, EvaluationResult, ShiftResults
from fairart.evaluation.results.line import fitted_line, probit
from fairart.evaluation.results.temperature import ScaledResult, TemperatureResults, Temperatures
from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import render_comparison
from fairart.reporting.page import render_page


def with_shift(run, seed=0, *, number=300, temperature=False):
    labels = np.arange(number) % 10
    random = np.random.default_rng(seed)
    guesses = np.where(random.random(number) < 0.4, labels, (labels + 1) % 10)
    shifted = AttackResult("camera", labels, guesses, 10, {}, confidences=np.full(number, 0.5))
    scaled = None
    if temperature:
        fit = Temperatures(2.0, np.full(10, 2.0), np.full(10, 30), np.ones(10, dtype=bool))
        flat = {kind: np.full(number, 0.4) for kind in ("global", "per class")}
        clean = dataclasses.replace(run.result["clean"], confidences=np.full(len(run.result.labels), 0.9))
        again = {kind: np.full(len(run.result.labels), 0.8) for kind in ("global", "per class")}
        scaled = TemperatureResults(fit, [fit, fit], {"clean": ScaledResult(clean, again)}, {"<b>": ScaledResult(shifted, flat)})
    result = EvaluationResult(
        list(run.result.values()), config=run.result.config, shifts=ShiftResults({"camera": shifted}), temperature=scaled
    )
    return dataclasses.replace(run, result=result)


def test_seeds_are_averaged(made):
    runs = [with_shift(made.run("at", seed), seed) for seed in (0, 1, 2)]
    (found,) = compare_runs(runs).by_shift
    cell = found.cells["at"]
    shifted = np.array([run.result.shifts["camera"].accuracy for run in runs])
    clean = np.array([run.result["clean"].accuracy for run in runs])
    assert (cell.overall.mean, cell.overall.std) == pytest.approx((shifted.mean(), shifted.std(ddof=1)))
    assert cell.lost.mean == pytest.approx((clean - shifted).mean())
    assert cell.relative.mean == pytest.approx(((clean - shifted) / clean).mean())
    assert found.support == (30,) * 10


def test_the_line_goes_through_the_methods(made):
    runs = [with_shift(made.run(name), seed) for seed, name in enumerate(("at", "trades", "fat", "cfa"))]
    (found,) = compare_runs(runs).by_shift
    counts = [[int(one.correct.sum()) for one in (run.result["clean"], run.result.shifts["camera"])] for run in runs]
    clean, shifted = np.array(counts).T
    expected = fitted_line(probit(clean, [200] * 4), probit(shifted, [300] * 4))
    assert found.line == expected
    assert "line from clean to shifted accuracy over 4 methods" in render_comparison(compare_runs(runs))
    assert "Line over 4 methods" in render_page(runs)


def test_methods_without_the_shift_or_on_other_images_are_named(made):
    runs = [with_shift(made.run("at")), made.run("trades"), with_shift(made.run("fat"), number=200)]
    comparison = compare_runs(runs)
    assert comparison.by_shift[0].left_out == ("trades", "fat")
    assert comparison.to_dict()["shifts"][0]["left_out"] == ["trades", "fat"]
    assert "evaluated without camera, or on other images: trades, fat" in render_comparison(comparison)
    assert 'id="shifts"' not in render_page([made.run("at")])


def test_the_page_has_calibration_before_and_after(made):
    page = render_page([with_shift(made.run("at"), temperature=True), made.run("trades")])
    assert '<section id="temperature"' in page
    assert "shift &lt;b&gt;" in page
    assert "shift <b>" not in page
    assert 'id="temperature"' not in render_page([made.run("trades")])
