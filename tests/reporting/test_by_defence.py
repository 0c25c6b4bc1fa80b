"""Input defences of several runs: which compare, mean over seeds, and what tables, JSON and the page show."""

import json

import numpy as np
import pytest

from fairart.evaluation import AttackResult, EvaluationResult
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack
from fairart.evaluation.sanity.defences import check_defences
from fairart.reporting.comparison import compare_runs
from fairart.reporting.comparison_text import render_comparison
from fairart.reporting.page import render_page


def outcome(base, label, right):
    """A result in which the first ``right`` samples of every class are right."""
    place = np.zeros(len(base.labels), dtype=np.int64)
    for k in range(10):
        own = base.labels == k
        place[own] = np.arange(own.sum())
    predictions = np.where(place < right, base.labels, (base.labels + 1) % 10)
    return AttackResult(
        label=label,
        labels=base.labels,
        predictions=predictions,
        nb_classes=10,
        config={"defence": "jpeg"},
        class_names=base.class_names,
    )


def defended(run, naive, bpda, *, quality=50):
    """The run behind a defence: so many samples of every class are right, naively and by BPDA."""
    clean, pgd = run.result["clean"], run.result["pgd"]
    pair = DefendedAttack(pgd, outcome(clean, "jpeg: pgd, naive", naive), outcome(clean, "jpeg: pgd, BPDA", bpda))
    config = {"defence": "jpeg", "options": {"quality": quality}, "random": False, "stand_in": "identity"}
    one = DefenceResult("jpeg", config, outcome(clean, "jpeg: clean", 18), [pair])
    checks = [*run.result.checks, *check_defences([one])]
    whole = EvaluationResult(list(run.result.values()), config=run.result.config, checks=checks, defences=[one])
    return type(run)(**{**vars(run), "result": whole})


@pytest.fixture
def runs(made):
    return [
        defended(made.run("standard", 0), 15, 1),
        defended(made.run("standard", 1), 13, 1),
        defended(made.run("at", 0), 10, 10),
    ]


def test_numbers_are_means_over_seeds(runs):
    (found,) = compare_runs(runs).by_defence
    assert (found.name, found.attack, list(found.cells)) == ("jpeg", "pgd", ["standard", "at"])
    cell, size = found.cells["standard"], np.bincount(runs[0].result.labels)[0]
    assert cell.overall("naive").mean == pytest.approx(14 / size)
    assert cell.overall("naive").std == pytest.approx(np.std([15, 13], ddof=1) / size)
    assert cell.worst("bpda").mean == pytest.approx(1 / size)
    assert cell.illusion.mean == pytest.approx(13 / size)
    assert cell.doubtful
    assert not found.cells["at"].doubtful


def test_tables_and_json_have_both_numbers_and_the_mark(runs):
    comparison = compare_runs(runs)
    text = render_comparison(comparison)
    (line,) = [line for line in text.splitlines() if line.startswith("jpeg, pgd")]
    naive, bpda = (100 * right / np.bincount(runs[0].result.labels)[0] for right in (14, 1))
    assert f"{naive:.1f} ± " in line
    assert " !" in line
    assert f"{bpda:.1f} ± 0.0" in line
    assert "robust only while the attack does not know of the defence" in text
    for style in ("markdown", "latex"):
        assert "input defences" in render_comparison(comparison, style=style)
    (plain,) = json.loads(json.dumps(comparison.to_dict()))["defences"]
    assert plain["methods"]["standard"]["naive_is_doubtful"] is True
    assert plain["methods"]["at"]["illusion"]["mean"] == pytest.approx(0)


def test_other_options_do_not_compare(made):
    runs = [defended(made.run("standard", 0), 15, 1), defended(made.run("at", 0), 10, 10, quality=20)]
    found = compare_runs(runs).by_defence
    assert [(one.name, list(one.cells)) for one in found] == [("jpeg (quality=50)", ["standard"]), ("jpeg (quality=20)", ["at"])]
    # Seeds of one method with other options are no method behind a defence.
    mixed = [defended(made.run("at", 0), 15, 1), defended(made.run("at", 1), 15, 1, quality=20)]
    assert compare_runs(mixed).by_defence == ()


def test_the_page_has_a_section_with_the_mark(runs, made):
    page = render_page(runs)
    assert '<section id="defences"' in page
    section = page.split('<section id="defences"')[1].split("</section>")[0]
    assert section.count("<details") == 2
    assert section.count('class="flag"') == 1
    assert "In place of the defence in the gradient: identity." in section
    assert 'id="defences"' not in render_page([made.run("at", 0)])
