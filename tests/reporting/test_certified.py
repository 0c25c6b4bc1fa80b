"""Certificates of several runs: which compare, mean over seeds, and what tables, JSON and the page show."""

import json

import numpy as np
import pytest

from fairart.evaluation import CertificateResult, EvaluationResult
from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import render_comparison
from fairart.reporting.page import render_page


def certified(run, radii, *, sigma=0.25, shown=(0.0, 0.2), label="smoothing", abstain=0):
    """The run with a certificate: class k has the radius ``radii[k]`` in all its samples."""
    labels = run.result.labels
    predictions = labels.copy()
    predictions[:abstain] = -1
    config = {
        "certificate": "smoothing",
        "options": {"sigma": sigma, "alpha": 0.001, "radii": None},
        "norm": 2,
        "deterministic": False,
        "subject": "the smoothed classifier, not the model itself",
        "radii": list(shown),
    }
    one = CertificateResult(
        label=label,
        labels=labels,
        predictions=predictions,
        radii=np.asarray(radii)[labels] * (predictions >= 0),
        nb_classes=10,
        config=config,
        class_names=run.result.class_names,
    )
    result = run.result
    whole = EvaluationResult(list(result.values()), certificates=[one], config=result.config, checks=result.checks)
    return type(run)(**{**vars(run), "result": whole})


@pytest.fixture
def runs(made):
    rising, falling = np.linspace(0.05, 0.5, 10), np.linspace(0.05, 0.5, 10)[::-1]
    return [
        certified(made.run("at", 0), rising, abstain=20),
        certified(made.run("at", 1), rising + 0.1, shown=(0.0, 0.3)),
        certified(made.run("trades", 0), falling),
    ]


def test_numbers_are_means_over_seeds_at_the_radii_of_all(runs):
    found = compare_runs(runs).certificates
    assert list(found) == [("at", "smoothing"), ("trades", "smoothing")]
    means = found["at", "smoothing"]
    assert means.radii == (0.0, 0.2, 0.3)
    # Seven and nine of ten classes reach 0.2.
    assert means.overall(0.2).mean == pytest.approx(0.8)
    assert means.overall(0.2).std == pytest.approx(np.std([0.7, 0.9], ddof=1))
    assert means.worst(0.0).mean == pytest.approx(0.5)
    np.testing.assert_allclose(
        [spread.mean for spread in means.median_radius()], [0.075, *(np.linspace(0.05, 0.5, 10) + 0.05)[1:]]
    )
    assert means.abstained.mean == pytest.approx(0.05)


def test_tables_and_json_say_what_is_certified(runs):
    found = compare_runs(runs)
    text = render_comparison(found)
    row = next(line for line in text.splitlines() if line.startswith("smoothing, radius 0.2"))
    assert row.split()[3:] == ["at", "2", "80.0", "±", "14.1", "0.0", "±", "0.0"]
    assert "smoothing: certified in L2, of the smoothed classifier, not the model itself" in text
    plain = json.loads(json.dumps(found.to_dict()))["certificates"]["trades"]["smoothing"]
    assert [at["radius"] for at in plain["at"]] == [0.0, 0.2, 0.3]
    assert plain["at"][1]["overall"]["mean"] == pytest.approx(0.7)
    assert len(plain["at"][1]["classes"]) == 10
    assert "certificates" not in compare_runs(runs, attacks=["clean"]).to_dict()


def test_other_options_have_rows_of_their_own(made):
    flat = np.full(10, 0.1)
    found = compare_runs([certified(made.run("at"), flat), certified(made.run("trades"), flat, sigma=0.5), made.run("mart")])
    assert list(found.certificates) == [("at", "smoothing (sigma=0.25)"), ("trades", "smoothing (sigma=0.5)")]


def test_a_method_whose_seeds_have_other_options_is_left_out(made):
    flat = np.full(10, 0.1)
    runs = [certified(made.run("at", 0), flat), certified(made.run("at", 1), flat, sigma=0.5), certified(made.run("mart"), flat)]
    assert list(compare_runs(runs).certificates) == [("mart", "smoothing")]
    without = [certified(made.run("at", 0), flat), made.run("at", 1)]
    assert compare_runs(without).certificates == {}


def test_the_page_has_a_section_with_a_curve_and_the_weakest_class(runs, made):
    page = render_page(runs)
    section = page[page.index('<section id="certificates"') :]
    section = section[: section.index("</section>")]
    assert "smoothing: L2, of the smoothed classifier, not the model itself" in section
    assert section.count('class="line m0"') == 1
    assert section.count('class="line m1 dashed"') == 1
    names = compare_runs(runs).classes
    assert f"smallest median radius class {names[0]} (0.075)" in section
    assert f"smallest median radius class {names[9]} (0.05)" in section
    assert 'href="#certificates"' in page
    assert "certificates-h" not in render_page([made.run("at")])


def test_a_certificate_that_certifies_nothing_is_shown_too(made):
    page = render_page([certified(made.run("at"), np.zeros(10))])
    assert "certificates-h" in page
