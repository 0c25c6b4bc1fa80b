"""A run's norm: in its config, and in the attacks that evaluate it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fairart.errors import OptionError
from fairart.evaluation.attacks.specs import resolve_attacks
from fairart.runs.config import RunConfig
from fairart.runs.evaluation import Budget, choose_attacks

L2 = Budget(0.5, 0.1, 2)


@pytest.mark.parametrize(
    ("given", "norm", "eps"),
    [
        ({}, "inf", 8 / 255),
        ({"norm": "2"}, 2, 128 / 255),
        ({"norm": 2, "eps": "1/4"}, 2, 0.25),
        ({"norm": "L2"}, 2, 128 / 255),
        ({"norm": math.inf, "eps": 0}, "inf", 0),
    ],
)
def test_norm_and_budget_are_written_out(given: dict[str, Any], norm: Any, eps: float, tmp_path: Any):
    config = RunConfig.from_mapping({"trainer": "at", **given})
    assert (config.norm, config.eps) == (norm, eps)
    assert RunConfig.load(config.save(tmp_path / "run.yaml")) == config


@pytest.mark.parametrize("norm", ["1", 3, "l3", None])
def test_another_norm_is_refused(norm: Any):
    with pytest.raises(OptionError, match="norm expects"):
        RunConfig(trainer="at", norm=norm)


def test_a_recipe_in_linf_is_refused_in_l2():
    given = {"trainer": "trades", "dataset": "cifar10", "recipe": "paper"}
    with pytest.raises(OptionError, match=r"recipe: TRADES.* trains trades with a budget in L-inf, got norm 2"):
        RunConfig.from_mapping({**given, "norm": 2})
    assert RunConfig.from_mapping({**given, "norm": "inf"}).eps == 0.031
    assert RunConfig.from_mapping({**given, "trainer": "standard", "norm": 2}).eps == 128 / 255


def test_attacks_take_the_norm_and_the_budget_of_the_run():
    assert choose_attacks(L2, ["pgd", "fgsm", "autoattack"], {}) == [
        ("pgd", {"eps": 0.5, "eps_step": 0.1, "norm": 2}),
        ("fgsm", {"eps": 0.5, "norm": 2}),
        ("autoattack", {"eps": 0.5, "norm": 2}),
    ]
    # The step belongs to the run's eps, not to another one.
    assert choose_attacks(L2, ["pgd"], {"pgd": {"eps": 1.0}}) == [("pgd", {"eps": 1.0, "norm": 2})]
    linf = {"eps": 0.03, "norm": "inf"}
    assert choose_attacks(L2, [("pgd", linf)], {}) == [("pgd", linf)]
    assert choose_attacks(Budget(0.1), ["pgd"], {}) == [("pgd", {"eps": 0.1})]
    for spec in resolve_attacks(choose_attacks(L2, ["pgd", "fgsm"], {})):
        assert (spec.order, spec.radius) == (2, 0.5)


def test_an_attack_in_another_norm_needs_its_own_eps():
    with pytest.raises(
        OptionError, match=r"attack 'square': set eps.* 0\.5, is an L2 radius, and this attack has no option norm"
    ):
        choose_attacks(L2, ["square"], {})
    with pytest.raises(OptionError, match=r"attack 'pgd': set eps as well; .* 0\.5, is an L2 radius$"):
        choose_attacks(L2, ["pgd"], {"pgd": {"norm": "inf"}})
    with pytest.raises(OptionError, match=r"attack 'pgd': set eps as well; .* 0\.1, is an L-inf radius$"):
        choose_attacks(Budget(0.1), ["pgd"], {"pgd": {"norm": 2}})
    assert choose_attacks(L2, ["square"], {"square": {"eps": 0.03}}) == [("square", {"eps": 0.03})]
