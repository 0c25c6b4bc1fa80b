"""Comparisons of a grid from results that are made by hand: the numbers of the tests, their correction, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from fairart.benchmark import grid_from_mapping
from fairart.benchmark.tables.compared import compare_entries
from fairart.benchmark.tables.comparison_tables import comparison_csv, comparison_tables, comparisons_markdown
from fairart.benchmark.tables.entries import Entry
from fairart.evaluation import AttackResult, EvaluationResult, SanityCheck
from fairart.evaluation.results.comparing import compare_methods, mcnemar, worst_class_difference
from fairart.reporting.grouped import to_latex
from fairart.statistics.over_seeds import holm, mean_interval

SEEDS = [0, 1, 2, 3, 4]
LABELS = np.repeat(np.arange(3), 60)


def attack(label, shares, seed, config=None, labels=LABELS):
    right = np.random.default_rng([seed, round(1000 * sum(shares))]).random(len(labels)) < np.asarray(shares)[labels]
    predictions = np.where(right, labels, (labels + 1) % 3)
    return AttackResult(label=label, labels=labels, predictions=predictions, nb_classes=3, config=config or {"attack": label})


def evaluation(shares, seed, **options):
    return EvaluationResult([attack("clean", [0.9, 0.9, 0.95], seed), attack("pgd", shares, seed, **options)])


SHARES = {"at": [0.5, 0.6, 0.7], "trades": [0.5, 0.55, 0.7], "dafa": [0.8, 0.8, 0.85]}


def made(results=None, *, seeds=SEEDS, **parts):
    """(entries, planned comparisons); a text is a failure."""
    grid = grid_from_mapping({"methods": list(SHARES), "grid": {"seed": seeds}, **parts})
    found = results or [evaluation(shares, seed) for shares in SHARES.values() for seed in seeds]
    entries = [
        Entry(cell, cell.config, failure=result) if isinstance(result, str) else Entry(cell, cell.config, result=result)
        for cell, result in zip(grid.cells, found, strict=True)
    ]
    return entries, grid.comparisons


def of_method(entries, name, label="pgd"):
    return [entry.result[label] for entry in entries if entry.cell.method == name and entry.result is not None]


def test_every_planned_comparison_has_the_numbers_of_the_test_and_is_corrected_with_its_column():
    entries, planned = made()
    compared = compare_entries(entries, planned)
    assert len(compared.findings) == 3 * 2 * 2
    for part in ("average", "worst class"):
        column = [found for found in compared.findings if (found.attack, found.part) == ("pgd", part)]
        assert [(found.method, found.baseline) for found in column] == [("trades", "at"), ("dafa", "at"), ("dafa", "trades")]
        for found in column:
            alone = compare_methods(of_method(entries, found.method), of_method(entries, found.baseline))[part]
            assert found.test == alone
            assert found.planned == 3
            assert found.detectable == alone.detectable(comparisons=3)
        np.testing.assert_allclose(
            [found.adjusted for found in column], holm([found.test.p_value for found in column]), rtol=1e-12
        )
        assert [found.verdict for found in column] == ["not shown", "better", "better"]
    mirrored = compare_entries(entries, grid_from_mapping({"methods": list(SHARES), "comparisons": [["at", "dafa"]]}).comparisons)
    assert {found.verdict for found in mirrored.findings if found.attack == "pgd"} == {"worse"}
    assert all(found.planned == 1 and found.adjusted == found.test.p_value for found in mirrored.findings)


def test_methods_have_their_interval_over_seeds_and_their_probability_of_being_best():
    compared = compare_entries(*made())
    entries, _ = made()
    shown = {found.method: found for found in compared.methods if found.attack == "pgd"}
    for name, found in shown.items():
        worst = [result.worst_class_accuracy() for result in of_method(entries, name)]
        assert found.worst == mean_interval(worst, limits=(0, 1))
        assert found.average.mean == pytest.approx(np.mean([result.accuracy for result in of_method(entries, name)]))
        assert 0 <= found.expected <= 1
    assert sum(found.best for found in shown.values()) == pytest.approx(1)
    assert shown["dafa"].best > 0.95
    # Three classes that are nearly alike: the lowest one is measured too low.
    assert shown["dafa"].expected > shown["dafa"].worst.mean


def test_with_one_seed_the_exact_tests_speak_of_two_networks():
    entries, planned = made(seeds=[4])
    compared = compare_entries(entries, planned)
    for found in compared.findings:
        one, other = (of_method(entries, name, found.attack)[0] for name in (found.method, found.baseline))
        assert found.test == (mcnemar if found.part == "average" else worst_class_difference)(one, other)
        assert found.verdict.endswith("(one seed)")
        assert math.isnan(found.detectable)
    table, methods, *_ = comparison_tables(compared, entries)["digits, small-cnn"]
    assert methods.notes[-1] == "best: one seed; it is about these networks, over test images alone"
    assert any("say nothing about training again" in note for note in table.notes)
    assert not any("80 %" in note for note in table.notes)


def test_seeds_that_only_one_has_are_left_out_and_failed_methods_still_count():
    results = [evaluation(shares, seed) for shares in SHARES.values() for seed in SEEDS]
    results[2:10] = ["OSError: disk"] * 8
    entries, planned = made(results)
    compared = compare_entries(entries, planned)
    against_at, against_trades = (
        next(found for found in compared.findings if (found.method, found.baseline) == ("dafa", base))
        for base in ("at", "trades")
    )
    assert against_at.test.count == 2
    assert against_at.note == "on the 2 seeds in common"
    assert (against_trades.test, against_trades.verdict, against_trades.note) == (None, "not tested", "no result")
    # Planned is planned: three comparisons, though only one could be made.
    assert against_at.planned == 3
    assert against_at.adjusted == pytest.approx(min(1, 3 * against_at.test.p_value))
    table, methods = comparison_tables(compared, entries)["digits, small-cnn"][:2]
    assert "dafa against at: on the 2 seeds in common" in table.notes
    assert "dafa against trades: not tested, no result" in table.notes
    assert table.cell("dafa against trades", "average, difference").text == "-"
    assert "best: on the 2 seeds that all methods have" in methods.notes


def test_what_was_measured_in_another_way_is_not_compared():
    other = {"config": {"attack": "pgd", "options": {"eps": 0.3}}}
    results = [evaluation(SHARES[name], seed, **(other if name == "dafa" else {})) for name in SHARES for seed in SEEDS]
    entries, planned = made(results)
    compared = compare_entries(entries, planned)
    apart = [found for found in compared.findings if found.attack == "pgd" and found.method == "dafa"]
    assert {(found.verdict, found.note) for found in apart} == {("not tested", "options or test images differ")}
    assert all(found.test for found in compared.findings if found.attack == "clean" or found.method == "trades")
    assert all(math.isnan(found.best) for found in compared.methods if found.attack == "pgd")
    short = LABELS[:-1]
    results[-1] = EvaluationResult([attack("clean", [0.9, 0.9, 0.9], 0, labels=short), attack("pgd", [0.5] * 3, 0, labels=short)])
    assert not any(found.test for found in compare_entries(*made(results)).findings)


def test_numbers_with_failed_sanity_checks_are_marked():
    results = [evaluation(shares, seed) for shares in SHARES.values() for seed in SEEDS]
    check = SanityCheck("steps", False, "more steps left more right", "pgd")
    results[0] = EvaluationResult(list(results[0].values()), checks=(check,))
    entries, planned = made(results)
    compared = compare_entries(entries, planned)
    doubted = {(found.attack, found.method, found.baseline) for found in compared.findings if found.doubtful}
    assert doubted == {("pgd", "trades", "at"), ("pgd", "dafa", "at")}
    *_, table, methods = comparison_tables(compared, entries)["digits, small-cnn"]
    assert table.cell("dafa against at", "average, verdict").text == "better !"
    assert methods.cell("at", "worst class, measured").text.endswith(" !")
    assert not methods.cell("dafa", "worst class, measured").text.endswith(" !")


def test_the_section_says_the_same_in_every_format():
    entries, planned = made(seeds=SEEDS)
    compared = compare_entries(entries, planned)
    tables = comparison_tables(compared, entries)["digits, small-cnn"]
    assert [table.title for table in tables] == [
        "digits, small-cnn: comparisons, clean",
        "digits, small-cnn: methods over seeds, clean",
        "digits, small-cnn: comparisons, pgd",
        "digits, small-cnn: methods over seeds, pgd",
    ]
    found = next(f for f in compared.findings if (f.attack, f.part, f.method, f.baseline) == ("pgd", "worst class", "dafa", "at"))
    low, high = found.test.interval
    cell = tables[2].cell("dafa against at", "worst class, difference")
    assert cell.text == f"{100 * found.test.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    assert cell.best
    markdown = comparisons_markdown(tables, planned, finished=True)
    assert markdown.startswith("## Comparisons\n\n### digits, small-cnn: comparisons, clean\n")
    assert "**better**" in markdown
    assert r"\textbf{better}" in to_latex(tables[2])
    lines = list(csv.DictReader(io.StringIO(comparison_csv(compared))))
    assert len(lines) == len(compared.findings)
    wanted = {"attack": "pgd", "part": "worst class", "method": "dafa", "baseline": "at"}
    (line,) = [line for line in lines if wanted.items() <= line.items()]
    assert (float(line["low"]), float(line["high"]), float(line["p_holm"])) == (low, high, found.adjusted)
    assert (line["verdict"], line["planned"], line["pairs"]) == ("better", "3", "5")
    plain = json.loads(json.dumps(compared.to_dict()))
    assert plain["planned"] == [["trades", "at"], ["dafa", "at"], ["dafa", "trades"]]
    assert json.loads(json.dumps(found.to_dict())) in plain["findings"]


def test_without_plan_nothing_is_computed_and_before_the_end_nothing_is_shown():
    entries, _ = made()
    nothing = compare_entries(entries, ())
    assert (nothing.findings, nothing.methods, comparison_tables(nothing, entries)) == ((), (), {})
    assert comparisons_markdown([], (), finished=True) == ""
    _, planned = made()
    assert "Made when every cell has ended" in comparisons_markdown([], planned, finished=False)
    assert comparison_csv(nothing).count("\n") == 1
