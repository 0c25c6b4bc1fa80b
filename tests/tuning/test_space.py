"""What can be searched, and what is refused before any work."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairart.errors import OptionError, UnknownNameError
from fairart.tuning import Choice, Range, Space, tuning_from_mapping
from fairart.tuning.check import check_tuning
from fairart.tuning.space import read_space


class Dice:
    """Draws evenly."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def choose(self, name: str, values: tuple[Any, ...]) -> Any:
        return self.random.choice(values)

    def number(self, name: str, low: float, high: float, *, whole: bool, log: bool, step: float | None) -> float | int:
        return self.random.randint(int(low), int(high)) if whole else self.random.uniform(low, high)


def test_a_file_is_read_as_written() -> None:
    space = read_space(
        {
            "lr": {"low": "1/100", "high": 0.3, "log": True},
            "batch_size": [64, 128],
            "epsilon_scheduler": {"lambda1": [0.3, 0.5]},
            "options": {"objective": {"beta": {"low": 1, "high": 8}}},
        },
        where="file",
    )
    assert space.fields == {
        "lr": Range(low=0.01, high=0.3, log=True),
        "batch_size": Choice(values=(64, 128)),
        "epsilon_scheduler.lambda1": Choice(values=(0.3, 0.5)),
        "objective.beta": Range(low=1, high=8),
    }
    assert space.fields["objective.beta"].whole  # type: ignore[union-attr]
    assert not space.fields["lr"].whole  # type: ignore[union-attr]


@given(st.integers(0, 10**6))
def test_an_option_is_drawn_only_where_a_part_has_it(seed: int) -> None:
    space = Space(
        fields={
            "objective.beta": Range(low=1.0, high=8.0),
            "epsilon_scheduler.lambda1": Choice(values=(0.3, 0.5)),
            "trainer": Choice(values=("at", "trades", "cfa")),
            "epsilon_scheduler": Choice(values=("none", "ccm", "dafa")),
        }
    )
    picked = space.pick({}, Dice(seed))
    assert ("objective.beta" in picked) == (picked["trainer"] != "at")
    assert ("epsilon_scheduler.lambda1" in picked) == (picked["epsilon_scheduler"] == "ccm")
    assert 1 <= picked.get("objective.beta", 1) <= 8


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (None, "expects 'field: a list of values"),
        ({"lr": {"low": 0.3, "high": 0.1}}, "lr: low must be below high, got low 0.3 and high 0.1"),
        ({"lr": {"low": 0, "high": 0.1, "log": True}}, "lr: a range on a log scale begins above 0, got low 0"),
        ({"lr": {"low": 0.1}}, "lr: a range needs low and high"),
        ({"lr": {"low": "x", "high": 1}}, "lr: low expects a number, got 'x'"),
        ({"lr": {"low": 0.1, "high": 1, "lgo": True}}, "lr: a range has no 'lgo'; did you mean 'low' or 'log'"),
        ({"lr": {"low": 0.1, "high": 1, "log": "yes"}}, "lr: log expects true or false, got 'yes'"),
        ({"lr": {"low": 0.1, "high": 1, "step": -1}}, "lr: step must be above 0"),
        ({"lr": [0.1]}, "lr expects a list of values, .* a single value goes under 'base'"),
        ({"lr": [0.1, 0.1]}, "lr lists 0.1 twice"),
        ({"lr": {"low": -1, "high": 1}}, "lr"),
        ({"lrr": [0.1, 0.2]}, "no field 'lrr'; did you mean 'lr'"),
        ({"objektive.beta": [1, 2]}, "no field 'objektive.beta'"),
        ({"seed": [0, 1]}, "seed is part of the task, not of the search"),
        ({"dataset.split_seed": [0, 1]}, "dataset.split_seed is part of the task"),
        ({"eps": [0.1, 0.2]}, "eps is part of the task"),
    ],
)
def test_what_is_no_space_is_refused(space: Any, message: str) -> None:
    with pytest.raises(OptionError, match=f"^file: space.*{message}"):
        read_space(space, where="file: space")


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"trainer 'fairtat'.*fair-tat"):
        read_space({"trainer": ["at", "fairtat"]}, where="file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spaces": {}}, "has no part 'spaces'; did you mean 'space'"),
        ({"lr": 0.1}, "has no part 'lr'; settings of all trials go under 'base'"),
        ({"base": {"lr": 0.1}}, "lr stands under 'base' and under 'space'; which of them"),
        ({"base": {"seed": 3}}, "base: seed is set by the search: write search: seed"),
        ({"base": {"validation_share": 0.1}}, "validation_share is set by the search: write search: held_out"),
        ({"base": [1]}, "base expects 'field: value' lines"),
        ({"search": {"held_out": "test"}}, "held_out is a share of the training images, got 'test'"),
        ({"search": {"held_out": 0.7}}, "search.*held_out"),
        ({"search": {"trails": 3}}, "search.*no option 'trails'; did you mean 'trials'"),
        ({"search": {"objective": "best"}}, "search.*objective"),
        ({"search": {"objective": "pareto", "pruner": "median"}}, "search: a pruner needs one number"),
        ({"search": {"objective": "pareto", "floor": 0.3}}, "search: a floor needs one number"),
        ({"output": 3}, "output expects a folder, got 3"),
    ],
)
def test_what_is_no_search_is_refused(document: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^file: ?.*{message}"):
        tuning_from_mapping({**document, **changes}, where="file:")


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("search", {"trials": 1}, "trials 1: a field of the space has 2 values, and each needs a trial"),
        ("space", {"objective.gamma": [1, 2]}, "no objective of the search has an option 'gamma'; it has .*beta"),
        (
            "space",
            {"epsilon_scheduler.lambda1": [0.3, 0.5]},
            "no epsilon_scheduler of the search has an option 'lambda1'; there is no",
        ),
        ("space", {"objective.beta": {"low": -1.0, "high": 8.0}}, "objective.beta.*-1"),
        ("base", {"devices": 2}, "a trial is one process, got devices 2"),
        ("base", {"per_class": 10_000}, "10000"),
    ],
)
def test_what_cannot_run_is_refused_before_any_trial(
    document: dict[str, Any], part: str, changes: dict[str, Any], message: str
) -> None:
    made = copy.deepcopy(document)
    made[part].update(changes)
    with pytest.raises((OptionError, ValueError), match=message):
        check_tuning(tuning_from_mapping(made, where="file"))


def test_no_method_is_refused(document: dict[str, Any]) -> None:
    del document["space"]["trainer"]
    with pytest.raises(OptionError, match="names no method"):
        check_tuning(tuning_from_mapping(document, where="file"))
