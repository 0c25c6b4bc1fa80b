import json
import re

import numpy as np
import pytest
from rich.console import Console

from fairart.reporting import Spread, class_table, render_rich, render_text


@pytest.fixture
def numbers(made):
    return {method: [made.rates(10 * index + seed) for seed in range(3)] for index, method in enumerate(("at", "fair-tat"))}


@pytest.fixture
def results(made, numbers):
    return {method: [made.evaluation(rates) for rates in runs] for method, runs in numbers.items()}


@pytest.fixture
def table(results):
    return class_table(results, difference=("fair-tat", "at"))


def drawn(table, **options):
    console = Console(width=100, **options)
    with console.capture() as capture:
        console.print(render_rich(table, title="the title"))
    return capture.get()


@pytest.mark.parametrize("attack", ["clean", "pgd"])
def test_means_and_spreads_are_those_of_numpy(table, numbers, attack):
    for method, runs in numbers.items():
        values = np.array([rates[attack] for rates in runs])
        for k in range(10):
            cell = table.cell(str(k), attack, method)
            assert cell.mean == pytest.approx(values[:, k].mean())
            assert cell.std == pytest.approx(values[:, k].std(ddof=1))
            assert cell.count == 3
        assert table.cell("overall", attack, method).mean == pytest.approx(values.mean())
        assert table.cell("overall", attack, method).std == pytest.approx(values.mean(axis=1).std(ddof=1))
        assert table.cell("worst", attack, method).mean == pytest.approx(values.min(axis=1).mean())
        assert table.cell("worst", attack, method).std == pytest.approx(values.min(axis=1).std(ddof=1))


def test_differences_pair_the_seeds(table, numbers):
    ours, theirs = (np.array([rates["pgd"] for rates in numbers[method]]) for method in ("fair-tat", "at"))
    cell = table.cell("4", "pgd", "difference")
    assert cell.mean == pytest.approx((ours - theirs)[:, 4].mean())
    assert cell.std == pytest.approx((ours - theirs)[:, 4].std(ddof=1))
    worst = ours.min(axis=1) - theirs.min(axis=1)
    assert table.cell("worst", "pgd", "difference").mean == pytest.approx(worst.mean())


def test_both_renderings_show_every_cell(table):
    plain, rich = render_text(table), drawn(table)
    for column in table.columns:
        for row in range(len(table.rows)):
            assert column.text(row) in plain
            assert column.text(row) in rich
    assert "the title" in rich
    for note in table.notes:
        assert note in plain
        assert note in " ".join(rich.split())


def test_lines_of_plain_text_fit_80_characters_and_columns_line_up(table):
    lines = render_text(table).split("\n")
    assert max(map(len, lines)) <= 80
    body = lines[3:13]
    assert len({len(line) for line in body}) == 1
    assert all(line.startswith(str(k)) for k, line in enumerate(body))


def test_the_worst_class_is_the_one_marked(table, numbers):
    column = next(c for c in table.columns if (c.attack, c.name) == ("pgd", "at"))
    assert column.worst == np.mean([rates["pgd"] for rates in numbers["at"]], axis=0).argmin()
    assert [column.text(row).startswith("*") for row in range(len(table.rows))].count(True) == 1


def test_cells_read_as_per_cent_with_spread_and_sign(made):
    runs = {"a": [made.evaluation({"pgd": [0.5, 0.9]}), made.evaluation({"pgd": [0.6, 0.9]})]}
    runs["b"] = [made.evaluation({"pgd": [0.4, 0.9]}), made.evaluation({"pgd": [0.6, 0.9]})]
    table = class_table(runs, difference=("b", "a"))
    a, _, difference = table.columns
    assert a.text(0) == "*55.0±7.1"
    assert a.text(1) == "90.0±0.0"
    assert difference.text(0) == "-5.0±7.1"
    assert difference.text(1) == "+0.0±0.0"


def test_one_seed_has_no_spread(made):
    table = class_table({"at": [made.evaluation({"clean": [0.5, 1.0]})]})
    assert np.isnan(table.cell("0", "clean", "at").std)
    assert table.columns[0].text(1) == "100.0"
    assert "one seed" in render_text(table)
    assert table.to_dict()["clean"]["at"]["0"] == {"mean": 0.5, "std": None, "seeds": 1}


def test_an_absent_class_is_a_dash_and_never_the_worst(made):
    table = class_table({"at": [made.evaluation({"clean": [np.nan, 0.5, 0.25]})] * 2})
    assert table.columns[0].text(0) == "-"
    assert table.columns[0].worst == 2
    assert table.cell("0", "clean", "at").count == 0
    json.dumps(table.to_dict(), allow_nan=False)


def test_many_classes_get_a_row_for_the_worst_tenth(made):
    rates = made.rates(0, nb_classes=30)
    table = class_table({"at": [made.evaluation(rates)]}, attacks=["pgd"])
    assert table.cell("worst 10 %", "pgd", "at").mean == pytest.approx(np.sort(rates["pgd"])[:3].mean())


def test_class_names_are_printed_as_they_are(made):
    table = class_table({"at": [made.evaluation({"clean": [0.5, 1.0]}, names=("[red]cat[/red]", "dog"))]})
    assert "[red]cat[/red]" in drawn(table)
    assert "[red]cat[/red]" in render_text(table)


def test_only_differences_beyond_their_spread_are_coloured(made):
    first = [made.evaluation({"pgd": rates}) for rates in ([0.5, 0.5, 0.1], [0.5, 0.6, 0.1])]
    second = [made.evaluation({"pgd": rates}) for rates in ([0.8, 0.4, 0.1], [0.7, 0.9, 0.1])]
    text = drawn(class_table({"a": first, "b": second}, difference=("b", "a")), force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[32m *\+25\.0", text)
    assert "+10.0" in text
    assert not re.search(r"\x1b\[3[12]m *\+10\.0", text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, made: r.update(at=[]), "at least one"),
        (lambda r, made: r.update(at=r["at"][:2]), "pairs seeds"),
        (lambda r, made: r.pop("fair-tat"), "no method 'fair-tat'"),
        (lambda r, made: r.update(at=[made.evaluation(made.rates(0), per_class=5)] * 3), "same test samples"),
        (lambda r, made: r.update({"fair-tat": [made.evaluation({"clean": made.rates(0)["clean"]})] * 3}), "no result 'pgd'"),
    ],
)
def test_what_cannot_be_compared_is_refused(results, made, change, message):
    change(results, made)
    with pytest.raises(ValueError, match=message):
        class_table(results, difference=("fair-tat", "at"))


def test_a_wrong_cell_is_named(table):
    with pytest.raises(KeyError, match="no cell"):
        table.cell("0", "clean", "nobody")


def test_spread_of_nothing():
    assert Spread.of([]).to_dict() == {"mean": None, "std": None, "seeds": 0}
