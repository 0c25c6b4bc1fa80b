"""Which comparisons a grid plans: by default, as the file names them, and what it cannot mean."""

from __future__ import annotations

import pytest

from fairart.benchmark import grid_from_mapping
from fairart.benchmark.comparisons import power_warnings
from fairart.errors import OptionError

SEEDS = {"seed": [0, 1]}


def planned(comparisons=None, **document):
    more = {} if comparisons is None else {"comparisons": comparisons}
    return list(map(str, grid_from_mapping({**document, **more}).comparisons))


def test_every_method_meets_at_and_trades_where_they_are_in_the_grid():
    assert planned(methods=["fair-tat", "trades", "at", "dafa"]) == [
        "fair-tat against at",
        "fair-tat against trades",
        "trades against at",
        "dafa against at",
        "dafa against trades",
    ]
    assert planned(methods=["at", "dafa"]) == ["dafa against at"]
    assert planned(methods=["fair-tat", "dafa"]) == []


def test_a_baseline_is_known_by_its_label_or_as_the_only_one_of_its_trainer():
    assert planned(methods={"Madry": "at", "ours": "dafa"}) == ["ours against Madry"]
    two = {"Madry": "at", "small": {"trainer": "at", "eps": 0.01}, "ours": "dafa"}
    assert planned(methods=two) == []
    assert planned(methods={**two, "at": {"trainer": "at", "eps": 0.02}})[-1] == "ours against at"


def test_rows_are_compared_where_what_varies_in_both_is_the_same():
    axes = {"averaging": ["none", "ema"], **SEEDS}
    wanted = ["dafa (no averaging) against at (no averaging)", "dafa (ema) against at (ema)"]
    assert planned(methods=["at", "dafa"], grid=axes) == wanted
    assert planned([["dafa", "at"]], methods=["at", "dafa"], grid=axes) == wanted
    assert planned([["dafa (ema)", "at (ema)"]], methods=["at", "dafa"], grid=axes) == wanted[1:]
    assert planned(
        [["at (ema)", "at (no averaging)"]], methods=["at"], grid=axes
    ) == ["at (ema) against at (no averaging)"]  # fmt: skip
    # One row of AT stands beside all rows of a method with options of its own.
    lambdas = [{"method": "at", "epsilon_scheduler.lambda1": 0.3}]
    both = planned(methods=["at", "fair-tat"], grid={"epsilon_scheduler.lambda1": [0.3, 0.5]}, exclude=lambdas)
    assert both == ["fair-tat (lambda1 0.3) against at", "fair-tat (lambda1 0.5) against at"]


def test_each_data_set_has_the_same_comparisons_once():
    assert planned(methods=["at", "dafa"], grid={"dataset": ["digits", "cifar10"], **SEEDS}) == ["dafa against at"]


def test_none_at_all_may_be_planned():
    assert planned([], methods=["at", "dafa"]) == []


@pytest.mark.parametrize(
    ("comparisons", "told"),
    [
        ("at", "comparisons expects pairs of a method and a baseline"),
        ({"dafa": "at"}, "comparisons expects pairs"),
        (["at"], "expected a pair such as [fair-tat, at], got 'at'"),
        ([["dafa", "at", "trades"]], "expected a pair"),
        ([["dafa", 3]], "expected a pair"),
        ([["dafa", "trade"]], "there is no method or row 'trade'; did you mean 'trades'"),
        ([["dafa", "dafa"]], "'dafa' cannot be compared with itself"),
        ([["dafa", "at"], ["at", "dafa"]], "'at' and 'dafa' are compared twice"),
        ([["dafa", "at"], ["dafa", "at"]], "compared twice"),
    ],
)
def test_what_cannot_be_meant_is_refused(comparisons, told):
    with pytest.raises(OptionError, match=r"^my\.yaml: comparisons") as caught:
        grid_from_mapping({"methods": ["at", "trades", "dafa"], "comparisons": comparisons}, where="my.yaml")
    assert told in str(caught.value)


def test_rows_that_no_table_has_together_are_refused():
    apart = {"methods": ["at"], "include": [{"trainer": "dafa", "dataset": "cifar10"}], "comparisons": [["dafa", "at"]]}
    with pytest.raises(OptionError, match="no row of 'dafa' has the data set, model and settings of a row of 'at'"):
        grid_from_mapping(apart)


def warnings(methods, seeds):
    grid = grid_from_mapping({"methods": methods, "grid": {"seed": seeds}})
    return power_warnings(grid.comparisons, grid.cells)


def test_too_few_seeds_for_the_comparisons_are_told_before_anything_runs():
    many = ["at", "trades", "fat", "fair-tat", "cfa", "frl", "wat", "dafa", "faal", "csr"]
    (told,) = warnings(many, [0, 1, 2])
    assert told.startswith("digits, small-cnn: 3 seeds cannot carry 17 comparisons: to be found, a difference must be 4.")
    assert warnings(many, list(range(10))) == []
    assert warnings(["at", "dafa"], [0, 1, 2]) == []
    # One seed is another matter: its tests are about two networks.
    assert warnings(many, [0]) == []
