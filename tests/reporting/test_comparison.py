"""Methods side by side: grouping, pairing, tests, and three ways to write them."""

import json
import re

import numpy as np
import pytest

from fairart.evaluation import SanityCheck
from fairart.evaluation.results.comparing import mcnemar, paired_t, worst_class_difference
from fairart.reporting.comparison import WORST_CASE, compare_runs
from fairart.reporting.comparison_text import p_text, points, render_comparison
from fairart.reporting.page import render_page
from fairart.reporting.run_results import Run, group_methods, paired


def test_runs_that_differ_in_the_seed_are_one_method(made):
    runs = [made.run("at", 0), made.run("fair-tat", 0), made.run("at", 1, settings={"device": "cuda"})]
    groups = group_methods(runs)
    assert {label: [found.name for found in group] for label, group in groups.items()} == {
        "at": ["runs/at-0", "runs/at-1"],
        "fair-tat": ["runs/fair-tat-0"],
    }


def test_methods_of_one_trainer_are_told_apart_by_what_differs(made):
    runs = [
        made.run("at", 0),
        made.run("at", 0, settings={"eps": 0.2}, name="b"),
        made.run("at", 0, settings={"options": {"averaging": {"decay": 0.9}}}, name="c"),
    ]
    assert list(group_methods(runs)) == [
        "at (eps=0.1, options=none)",
        "at (eps=0.2, options=none)",
        "at (eps=0.1, options=averaging.decay=0.9)",
    ]
    bare = [Run(name="x/evaluation.json", trainer="at", config={"seed": 0}), made.run("at", 0)]
    assert len(set(group_methods(bare))) == 2


def test_one_method_and_seed_twice_is_refused(made):
    with pytest.raises(ValueError, match="runs/at-0 and copy are of one method, with the same settings and seed 0"):
        group_methods([made.run("at", 0), made.run("at", 0, name="copy")])


def test_pairs_go_by_seed(made):
    first, second = [made.run("at", seed) for seed in (0, 1, 2)], [made.run("trades", seed) for seed in (2, 0)]
    pairs, note = paired(first, second)
    assert [(a.seed, b.seed) for a, b in pairs] == [(0, 0), (2, 2)]
    assert note == "tested on the 2 seeds in common"
    assert paired(first[:2], [made.run("trades", 5), made.run("trades", 6)]) == ([], "not tested: no seed in common")
    assert len(paired(first[:1], [made.run("trades", 7)])[0]) == 1  # one run each: over samples
    unknown = [Run(name=str(number), trainer="x") for number in range(2)]
    assert paired(unknown, first[:2]) == (list(zip(unknown, first, strict=False)), "seeds unknown, paired in the order given")
    assert paired(unknown, first)[0] == []


def test_one_run_each_is_tested_over_samples(made):
    runs = [made.run("at"), made.run("trades")]
    found = compare_runs(runs)
    contrast = found.contrasts["trades", "pgd"]
    pair = runs[1].result["pgd"], runs[0].result["pgd"]
    assert contrast.overall == mcnemar(*pair)
    assert contrast.worst == worst_class_difference(*pair)
    assert contrast.sign_flip is None


def test_several_seeds_are_tested_over_seeds(made):
    runs = [made.run(trainer, seed) for trainer in ("at", "trades") for seed in range(3)]
    found = compare_runs(runs)
    overall = [[single.result["pgd"].accuracy for single in group] for group in (runs[3:], runs[:3])]
    worst = [[single.result["pgd"].worst_class_accuracy() for single in group] for group in (runs[3:], runs[:3])]
    contrast = found.contrasts["trades", "pgd"]
    assert contrast.overall.p_value == paired_t(*overall).p_value
    assert contrast.worst.difference == pytest.approx(np.mean(worst[0]) - np.mean(worst[1]))
    assert all(p in (0.25, 0.5, 0.75, 1.0) for p in contrast.sign_flip)
    cell = found.cells["at", "pgd"]
    assert (cell.worst.mean, cell.worst.std, cell.worst.count) == (
        pytest.approx(np.mean(worst[1])),
        pytest.approx(np.std(worst[1], ddof=1)),
        3,
    )
    assert 0 < cell.worst_probability <= 1


def test_intervals_of_two_seeds_stay_within_what_a_difference_can_be(made):
    shares = [{"clean": [0.5, 0.5], "pgd": [value, value]} for value in (0.1, 0.9, 0.5, 0.45)]
    runs = [
        made.run(name, seed, rates=shares[2 * place + seed]) for place, name in enumerate(("at", "trades")) for seed in (0, 1)
    ]
    assert compare_runs(runs).contrasts["trades", "pgd"].overall.interval == (-1, 1)


def test_the_worst_case_joins_in_where_all_runs_had_the_same_attacks(made):
    three = {"clean": [0.9, 0.8], "fgsm": [0.5, 0.6], "pgd": [0.4, 0.7]}
    alike = {"rates": three, "options": {"eps": 0.1}}
    found = compare_runs([made.run("at", **alike), made.run("trades", **alike)])
    assert found.attacks == ("clean", "fgsm", "pgd", WORST_CASE)
    np.testing.assert_allclose(found.cells["at", WORST_CASE].classes[0].mean, 0.4)
    fewer = compare_runs([made.run("at", **alike), made.run("trades", rates={"clean": [0.9, 0.8], "pgd": [0.3, 0.6]})])
    assert fewer.attacks == ("clean", "fgsm", "pgd")
    assert ("trades", "fgsm") not in fewer.cells
    assert "fgsm was not run on runs/trades-0" in fewer.notices


def test_the_worst_case_leaves_out_attacks_of_another_budget_and_says_so(made):
    rates = {"clean": [0.9, 0.8], "fgsm": [0.5, 0.6], "pgd": [0.4, 0.7], "spatial": [0.1, 0.1]}
    own = {"fgsm": {"eps": 0.1}, "pgd": {"eps": 0.1}, "spatial": {"max_rotation": 30.0}}
    runs = [made.run(name, rates=rates, options=own) for name in ("at", "trades")]
    found = compare_runs(runs)
    np.testing.assert_allclose([spread.mean for spread in found.cells["at", WORST_CASE].classes], [0.4, 0.6])
    notice = "worst-case combines clean, fgsm, pgd, of one norm and eps; left out, as they have another budget: spatial"
    assert found.notices == (notice,)
    assert f"note: {notice}" in render_comparison(found)
    assert compare_runs(runs, attacks=["clean", "pgd"]).notices == ()
    # The same labels, but not the same attacks in one budget.
    other = {**own, "fgsm": {"eps": 0.2}, "spatial": {"eps": 0.1}}
    assert WORST_CASE not in compare_runs([runs[0], made.run("trades", rates=rates, options=other)]).attacks
    apart = {**own, "fgsm": {"eps": 0.2}}
    assert WORST_CASE not in compare_runs([made.run("at", rates=rates, options=apart)]).attacks


def test_other_options_of_an_attack_are_told(made):
    runs = [made.run("at", options={"eps": 0.1, "max_iter": 20}), made.run("trades", options={"eps": 0.1, "max_iter": 50})]
    assert compare_runs(runs).notices[-1] == (
        "pgd was run with different options, so its numbers do not compare: runs/at-0 max_iter=20; runs/trades-0 max_iter=50"
    )


def test_an_attack_with_other_options_has_rows_of_its_own(made):
    shares = [{"clean": [0.9, 0.9], "pgd": [value, value]} for value in (0.6, 0.2)]
    options = [{"clean": {}, "pgd": {"eps": eps, "max_iter": 20}} for eps in (0.1, 0.3)]
    runs = [made.run(name, rates=rates, options=own) for name, rates, own in zip(("at", "trades"), shares, options, strict=True)]
    found = compare_runs(runs)
    assert found.attacks == ("clean", "pgd (eps=0.1)", "pgd (eps=0.3)")
    assert ("at", "pgd (eps=0.3)") not in found.cells
    assert list(found.contrasts) == [("trades", "clean")]  # no test of numbers that do not compare
    rows = [line.split() for line in render_comparison(found).splitlines()]
    assert ["trades", "0", "-", "-"] in rows
    assert compare_runs(runs, attacks=["pgd"]).attacks == ("pgd (eps=0.1)", "pgd (eps=0.3)")
    assert compare_runs(runs, attacks=["pgd (eps=0.3)"]).attacks == ("pgd (eps=0.3)",)


def test_unknown_options_are_told(made):
    found = compare_runs([made.run("at", options={"eps": 0.1}), made.run("trades")], attacks=["pgd"])
    assert found.notices == ("the options of pgd are not known for runs/trades-0, so its numbers may not compare",)


def test_other_corruptions_have_rows_of_their_own(made):
    three, one = [("fog", 1), ("snow", 1), ("blur", 1)], [("fog", 1)]
    found = compare_runs([made.run("at", corruptions=three), made.run("trades", corruptions=one), made.run("mart")])
    rows = [line.rstrip() for line in render_comparison(found).splitlines()]
    for heading, with_numbers in (("3 corruptions x 1", "at"), ("1 corruption x 1", "trades")):
        start = next(place for place, line in enumerate(rows) if line.startswith(heading))
        block = [rows[start].removeprefix(heading).split(), *(line.split() for line in rows[start + 1 : start + 3])]
        assert [cells[0] for cells in block] == ["at", "trades", "mart"]
        assert [cells[0] for cells in block if cells[2] != "-"] == [with_numbers]


def test_sets_of_as_many_corruptions_are_told_apart_by_their_names(made):
    runs = [made.run(name, corruptions=[(kind, 1)]) for name, kind in (("at", "fog"), ("trades", "snow"), ("mart", "fog"))]
    labels = {method: means.label for method, means in compare_runs(runs).corruptions.items()}
    assert labels == {"at": "1 corruption x 1, fog", "trades": "1 corruption x 1, snow", "mart": "1 corruption x 1, fog"}


def test_a_method_whose_runs_have_other_corruptions_has_no_mean(made):
    runs = [made.run("at", 0, corruptions=[("fog", 1)]), made.run("at", 1, corruptions=[("snow", 1)])]
    assert compare_runs(runs).corruptions == {}
    assert "overall: mean -" in render_page(runs)


FLAGS = {
    "pgd": {"pgd", WORST_CASE},
    "fgsm": {"fgsm", WORST_CASE},
    "clean": {"clean", WORST_CASE},
    "spatial": {"spatial"},
    None: {"fgsm", "pgd", "spatial", WORST_CASE},
}
"""Attack of a failed check -> results that it makes doubtful."""


@pytest.mark.parametrize("attack", FLAGS)
def test_failed_checks_mark_the_same_numbers_in_every_format(made, attack):
    rates = {"clean": [0.9, 0.8], "fgsm": [0.5, 0.6], "pgd": [0.4, 0.7], "spatial": [0.1, 0.1]}
    own = {"clean": {}, "fgsm": {"eps": 0.1}, "pgd": {"eps": 0.1}, "spatial": {"max_rotation": 30.0}}
    checks = [SanityCheck("steps", False, "more left right", attack), SanityCheck("other", True, "fine", "clean")]
    run = made.run("at", rates=rates, options=own, checks=checks)
    found = compare_runs([run, made.run("trades", rates=rates, options=own)])
    assert {key for key, _ in found.failed.items()} == {("at", label) for label in FLAGS[attack]}
    plain = found.to_dict()["accuracy"]
    assert {label for label, cell in plain["at"].items() if cell["failed_checks"]} == FLAGS[attack]
    assert not any(cell["failed_checks"] for cell in plain["trades"].values())
    for style, start in (("text", ""), ("markdown", "| "), ("latex", "")):
        text = render_comparison(found, style=style, classes=True)
        first = [line.removeprefix(start) for line in text.splitlines() if re.match(rf"{re.escape(start)}\S+ +[|&]* *at ", line)]
        assert {line.split()[0] for line in first if line.count(" !") == 2} == FLAGS[attack], style
        assert {line.split()[0] for line in first} == set(rates) | {WORST_CASE}
        assert text.count("steps: more left right (runs/at-0)") == len(FLAGS[attack])
    # Its own table and the page follow the same rule.
    overall = next(line for line in run.result.table(intervals=False).splitlines() if line.startswith("overall"))
    heads = run.result.table().splitlines()[0].split()[2:]
    cells = re.findall(r"\d+\.\d(?: !)?", overall)
    assert {label for label, cell in zip(heads, cells, strict=True) if cell.endswith("!")} == FLAGS[attack]
    assert render_page([run]).count('class="flag"') == 2 * len(FLAGS[attack])


def test_corruptions_are_summed_up_where_they_are_the_same(made):
    both = [("fog", 1), ("fog", 2)]
    found = compare_runs(
        [made.run("at", 0, corruptions=both), made.run("at", 1, corruptions=both), made.run("trades", corruptions=both[:1])]
    )
    means = found.corruptions["at"]
    assert means.label == "1 corruption x 2"
    assert means.overall.count == 2
    assert any("different corruptions" in notice for notice in found.notices)
    assert found.to_dict()["corruptions"]["trades"]["of"] == "1 corruption x 1"


def test_what_cannot_be_compared_is_refused(made):
    with pytest.raises(ValueError, match=r"runs/trades-0 and runs/at-0 were not evaluated on the same samples: 200 and 400"):
        compare_runs([made.run("at", per_class=40), made.run("trades")])
    with pytest.raises(ValueError, match="at least one run that was evaluated"):
        compare_runs([made.run("at", result=False)])
    with pytest.raises(ValueError, match="no run has a result 'fgsm'; there are clean, pgd"):
        compare_runs([made.run("at")], attacks=["fgsm"])


def test_text_holds_every_number_once(made):
    runs = [made.run(trainer, seed) for trainer in ("at", "trades") for seed in range(2)]
    found = compare_runs(runs)
    text = render_comparison(found, classes=True)
    cell = found.cells["trades", "pgd"]
    row = next(line for line in text.splitlines() if line.split()[:1] == ["trades"] and f"{100 * cell.overall.mean:.1f}" in line)
    assert f"{100 * cell.worst.mean:.1f} ± {100 * cell.worst.std:.1f}" in row
    assert points(found.contrasts["trades", "pgd"].overall.difference) in row
    assert "the p-value of a sign-flip test is at least 0.5 for 2 seeds" in text
    assert sum("*" in line for line in text.splitlines()[:-5]) >= 4  # the lowest class of both under both
    assert "difference" not in render_comparison(compare_runs([made.run("at")]))


NAMES = ("a|b", "100% & <i>_x_</i>", "[1]", "plain")


def test_markdown_is_a_table_whatever_the_names(made):
    shares = {"clean": [0.5, 0.6, 0.7, 0.8]}
    text = render_comparison(compare_runs([made.run("at", rates=shares, names=NAMES)]), style="markdown", classes=True)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| a\\|b | 20 | \\*50.0 |" in rows
    assert {line.replace("\\|", "").count("|") for line in rows[4:]} == {4}
    assert "<i>" not in text.replace("\\<i>", "")


def test_latex_escapes_what_it_must_and_rules_are_booktabs(made):
    shares = {"clean": [0.5, 0.6, 0.7, 0.8]}
    text = render_comparison(compare_runs([made.run("at", rates=shares, names=NAMES)]), style="latex", classes=True)
    assert r"100\% \& $<$i$>$\_x\_$<$/i$>$ & 20 & 60.0 \\" in text
    assert "\n{}[1] & 20" in text  # after a line break, a bracket would be its argument
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    with pytest.raises(ValueError, match="style must be one of text, markdown, latex, got 'html'"):
        render_comparison(compare_runs([made.run("at")]), style="html")


def test_latex_compiles_where_there_is_latex(made, tmp_path):
    import shutil
    import subprocess

    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    body = render_comparison(compare_runs([made.run("at", names=tuple("0123456[*&"))]), style="latex", classes=True)
    page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}" + body + "\n\\end{document}"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    subprocess.run(["pdflatex", "-halt-on-error", "page.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_json_is_plain(made):
    found = compare_runs([made.run("at"), made.run("trades")])
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["baseline"] == "at"
    assert plain["accuracy"]["trades"]["pgd"]["overall"]["mean"] == pytest.approx(found.cells["trades", "pgd"].overall.mean)
    assert plain["differences"]["trades"]["pgd"]["overall"]["test"] == "mcnemar-exact"


def test_an_absent_class_is_a_dash(made):
    found = compare_runs(
        [made.run("at", rates={"clean": [0.5, np.nan, 0.25]}), made.run("trades", rates={"clean": [0.5, np.nan, 0.5]})]
    )
    text = render_comparison(found, classes=True)
    assert [line.split() for line in text.splitlines() if line.startswith("1 ")] == [["1", "0", "-", "-", "-"]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.50"),
        (0.0951, "0.10"),
        (0.049, "0.049"),
        (0.0049, "0.005"),
        (0.0009, "<0.001"),
        (float("nan"), "-"),
        (1.0, "1.00"),
    ],
)
def test_p_values_are_short(value, text):
    assert p_text(value) == text


def test_small_differences_have_no_negative_zero():
    assert points(-0.0001) == "+0.0"


def test_evaluations_alone_are_compared_too(made):
    alone = [Run(name=name, trainer=name, result=made.evaluation({"clean": [0.5, 0.6]})) for name in ("mine", "theirs")]
    assert "theirs" in render_comparison(compare_runs(alone))


def test_evaluations_from_before_an_attack_had_a_norm_are_in_linf(made):
    given = {"eps": 0.1, "max_iter": 20}
    runs = [made.run("at", options=given), made.run("trades", options={**given, "norm": "inf"})]
    assert not any("different options" in notice for notice in compare_runs(runs).notices)
    assert "norm='inf'" in compare_runs([runs[0], made.run("fat", options={**given, "norm": 2})]).notices[-1]
