"""Tables and files from results whose numbers are known."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest

from fairart.benchmark import grid_from_mapping
from fairart.benchmark.tables.by_class import class_tables, long_form
from fairart.benchmark.tables.entries import Entry, method_tables, metric_tables
from fairart.evaluation import AttackResult, CorruptionResults, EvaluationResult, SanityCheck
from fairart.reporting.grouped import grouped_table, to_latex, to_markdown
from fairart.reporting.tables import Spread

PER_CLASS = 20


def attack(label, rates, config=None):
    labels = np.repeat(np.arange(len(rates)), PER_CLASS)
    right = np.tile(np.arange(PER_CLASS), len(rates)) < np.rint(np.asarray(rates) * PER_CLASS)[labels]
    predictions = np.where(right, labels, (labels + 1) % len(rates))
    return AttackResult(
        label=label, labels=labels, predictions=predictions, nb_classes=len(rates), config=config or {"attack": "none"}
    )


def evaluation(clean, pgd, *, config=None, corruptions=None):
    shown = config or {"attack": "pgd", "options": {"eps": 0.1}}
    found = CorruptionResults({key: attack("c", rates) for key, rates in (corruptions or {}).items()}, source={"version": 1})
    return EvaluationResult([attack("clean", clean), attack("pgd", pgd, shown)], corruptions=found)


def entries(results, **parts):
    """One a cell, in the order of the grid; text is a failure."""
    cells = grid_from_mapping({"methods": ["at", "fair-tat"], "grid": {"seed": [0, 1]}, **parts}).cells
    return [
        Entry(cell, cell.config, failure=found) if isinstance(found, str) else Entry(cell, cell.config, result=found)
        for cell, found in zip(cells, results, strict=True)
    ]


AT = [evaluation([0.9, 0.8, 1.0], [0.5, 0.2, 0.8]), evaluation([0.8, 1.0, 1.0], [0.6, 0.4, 0.5])]
FAIR = [evaluation([0.9, 0.9, 0.9], [0.5, 0.5, 0.5]), evaluation([0.8, 0.9, 0.7], [0.4, 0.5, 0.6])]


def texts(table, row):
    return {column: table.cell(row, column).text for column in table.columns}


def test_numbers_with_failed_sanity_checks_are_marked_in_every_file():
    checks = (SanityCheck("steps", False, "more steps left more right", "pgd"),)
    doubted = EvaluationResult(list(AT[1].values()), checks=checks)
    found = entries([AT[0], doubted, *FAIR])
    (table,) = method_tables(found)
    assert {
        (row, column) for row in ("at", "fair-tat") for column in table.columns if table.cell(row, column).text.endswith(" !")
    } == {
        ("at", "pgd, overall"),
        ("at", "pgd, worst"),
    }
    assert table.notes[-1] == "! at, pgd: a sanity check failed, steps: more steps left more right"
    written = [to_markdown(table), to_latex(table)]
    for text in written:
        row = next(line for line in text.splitlines() if re.match(r"(\| )?at ", line))
        assert row.count(" !") == 2
    for classes in class_tables(found):
        marked = {(row, method) for row, _ in classes.rows for method in classes.columns if "!" in classes.cell(row, method).text}
        assert marked == ({(row, "at") for row, _ in classes.rows} if classes.title.endswith("pgd") else set())
    lines = list(csv.DictReader(io.StringIO(long_form(found))))
    assert {(line["seed"], line["attack"]) for line in lines if line["doubtful"] == "1"} == {("1", "pgd")}
    assert {line["doubtful"] for line in lines} == {"0", "1"}


def test_overall_and_worst_are_mean_and_deviation_over_seeds():
    (table,) = method_tables(entries([*AT, *FAIR]))
    assert table.columns == ("clean, overall", "clean, worst", "pgd, overall", "pgd, worst")
    rates = np.array([[0.5, 0.2, 0.8], [0.6, 0.4, 0.5]])
    overall, worst = 100 * rates.mean(axis=1), 100 * rates.min(axis=1)
    assert table.cell("at", "pgd, overall").text == f"{overall.mean():.1f} ± {overall.std(ddof=1):.1f}"
    assert table.cell("at", "pgd, worst").text == f"{worst.mean():.1f} ± {worst.std(ddof=1):.1f}" == "30.0 ± 14.1"


def test_the_best_of_a_column_is_marked_and_a_tie_is_none():
    (table,) = method_tables(entries([*AT, *FAIR]))
    marked = {column: [row for row, _ in table.rows if table.cell(row, column).best] for column in table.columns}
    assert marked == {"clean, overall": ["at"], "clean, worst": [], "pgd, overall": [], "pgd, worst": ["fair-tat"]}
    assert "**45.0 ± 7.1**" in to_markdown(table)
    assert r"\textbf{45.0 $\pm$ 7.1}" in to_latex(table)


def test_other_attacks_or_samples_do_not_compare():
    other = {"attack": "pgd", "options": {"eps": 0.2}}
    (table,) = method_tables(entries([*AT, *[evaluation([1, 1, 1], [0.9, 0.9, 0.9], config=other)] * 2]))
    assert not any(cell.best for _, cells in table.rows for cell in cells[2:])
    assert table.cell("fair-tat", "clean, worst").best
    assert any(note.startswith("pgd: options or test images differ") for note in table.notes)
    (table,) = method_tables(entries([*AT, *[evaluation([1, 1], [0.9, 0.9])] * 2]))
    assert not any(cell.best for _, cells in table.rows for cell in cells)


def test_failed_and_missing_cells_are_named_and_the_others_count():
    (table,) = method_tables(entries([AT[0], "ValueError: no luck", "OSError: disk", "OSError: disk"]))
    assert table.cell("at", "clean, overall").text == "90.0"
    assert set(texts(table, "fair-tat").values()) == {"-"}
    assert "failed: at, seed 1: ValueError: no luck" in table.notes
    assert "fewer seeds: fair-tat 0" in table.notes
    (empty,) = method_tables(entries([None] * 4))
    assert empty.columns == ()
    assert "no cell is finished" in empty.notes
    to_markdown(empty)
    to_latex(empty)


def test_data_sets_stand_apart_and_many_classes_get_their_worst_tenth():
    rates = np.linspace(0.05, 1.0, 20)
    many = evaluation(rates, rates)
    found = entries([AT[0], many] * 2, grid={"dataset": ["digits", "cifar100"]})
    digits, cifar = method_tables(found)
    assert digits.title.startswith("digits, small-cnn")
    assert "clean, worst 10 %" not in digits.columns
    assert cifar.cell("at", "clean, worst 10 %").text == f"{100 * rates[:2].mean():.1f}"


def test_corruptions_are_a_mean_and_mce_takes_the_reference_of_the_same_seed():
    def run(fog, snow):
        return evaluation([1, 1, 1], [0.5, 0.5, 0.5], corruptions={("fog", 1): fog, ("snow", 1): snow})

    found = entries(
        [run([0.5, 0.7, 0.9], [0.9, 0.5, 0.7]), run([0.4] * 3, [0.8] * 3), run([0.7] * 3, [0.7] * 3), run([0.7] * 3, [0.9] * 3)]
    )
    (table,) = method_tables(found)
    assert (
        table.cell("at", "corruptions, overall").text
        == f"{100 * np.mean([0.7, 0.6]):.1f} ± {100 * np.std([0.7, 0.6], ddof=1):.1f}"
    )
    assert table.cell("at", "corruptions, worst").text == "55.0 ± 7.1"
    (metrics,) = metric_tables(found, [], "at")
    ratios = [1.0, np.mean([0.3 / 0.6, 0.1 / 0.2])]
    assert metrics.cell("fair-tat", "corruptions, mCE").text == f"{np.mean(ratios):.3f} ± {np.std(ratios, ddof=1):.3f}"
    assert any("snow" in table.title or "corruptions" in table.title for table in class_tables(found))
    assert sum(line.startswith("fair-tat") for line in long_form(found).splitlines()) == 2 * 3 * 4


def test_metrics_with_a_baseline_compare_seed_by_seed():
    (table,) = metric_tables(entries([*AT, *FAIR]), ["disparity", "rho"], "at")
    gaps = [max(rates) - min(rates) for rates in ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6])]
    assert table.cell("fair-tat", "pgd, disparity").text == f"{np.mean(gaps):.3f} ± {np.std(gaps, ddof=1):.3f}"
    alone = [ours["pgd"].metrics(baseline=theirs["pgd"])["rho"] for ours, theirs in zip(FAIR, AT, strict=True)]
    assert table.cell("fair-tat", "pgd, rho").text == f"{np.mean(alone):.3f} ± {np.std(alone, ddof=1):.3f}"
    assert metric_tables(entries([*AT, *FAIR]), ["rho"], None)[0].cell("fair-tat", "pgd, rho").text == "-"
    assert metric_tables(entries([*AT, *FAIR]), [], None) == []


def test_every_class_has_a_row_and_every_number_a_line():
    found = entries([*AT, *FAIR])
    clean, pgd = class_tables(found)
    assert clean.columns == ("at", "fair-tat")
    assert pgd.cell("1", "at").text == f"{30.0:.1f} ± {100 * np.std([0.2, 0.4], ddof=1):.1f}"
    lines = list(csv.DictReader(io.StringIO(long_form(found))))
    assert len(lines) == 4 * 2 * 3
    for line in lines:
        seed, method = int(line["seed"]), {"at": AT, "fair-tat": FAIR}[line["method"]]
        result = method[seed][line["attack"]]
        assert float(line["accuracy"]) == pytest.approx(result.class_accuracy[int(line["class"])])
        assert int(line["correct"]) == round(float(line["accuracy"]) * PER_CLASS)
        assert int(line["n"]) == PER_CLASS


def test_what_varies_has_a_column():
    varied = entries([*AT, *FAIR], methods=["at"], grid={"seed": [0, 1], "epsilon_scheduler.lambda1": [0.3, 0.5]})
    assert {line["epsilon_scheduler.lambda1"] for line in csv.DictReader(io.StringIO(long_form(varied)))} == {"0.3", "0.5"}


def test_names_cannot_break_markdown_or_latex():
    rows = {r"a|b_{1} & 50 % \x": {("pgd<20>", "overall"): Spread.of([0.5])}}
    table = grouped_table(rows, title="50 % #1", corner="method")
    assert to_markdown(table).splitlines()[4] == r"| a\|b\_{1} & 50 % \\x | 50.0 |"
    tex = to_latex(table)
    assert r"a|b\_\{1\} \& 50 \% \textbackslash{}x & 50.0 \\" in tex
    assert r"\caption{50 \% \#1.}" in tex
    assert r"\multicolumn{1}{c}{pgd$<$20$>$}" in tex


def test_columns_of_a_group_stand_together_whoever_brings_them():
    one = Spread.of([1.0])
    table = grouped_table({"a": {("x", "1"): one, ("y", "1"): one}, "b": {("x", "2"): one}}, title="t", corner="c")
    assert table.groups == (("x", ("1", "2")), ("y", ("1",)))
    assert [cell.text for cell in dict(table.rows)["b"]] == ["-", "100.0", "-"]
