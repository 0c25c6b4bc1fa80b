from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fairart.errors import PolicyError
from fairart.plugins import PluginManager
from fairart.policies import Averaging, ClassWeighting, EpsilonScheduler, TargetSampler
from fairart.statistics import EpochStatistics

Statistics = Callable[..., EpochStatistics]
COUNTS = [[5, 3, 0], [1, 5, 0], [0, 4, 5]]
NAN = [1.0, np.nan, 1.0]


class Rogue(TargetSampler):
    answer: Any = None

    def class_weights(self, statistics: EpochStatistics) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class RogueEpsilons(EpsilonScheduler):
    answer: Any = None

    def epsilons(self, base: float, statistics: EpochStatistics) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class RogueWeights(ClassWeighting):
    answer: Any = None

    def weights(self, statistics: EpochStatistics) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def sampler(answer: Any) -> TargetSampler:
    policy = Rogue()
    policy.answer = answer
    policy.start(3)
    return policy


def scheduler(answer: Any) -> EpsilonScheduler:
    policy = RogueEpsilons()
    policy.answer = answer
    policy.start(3, 0.1, 0.02)
    return policy


def weighting(answer: Any) -> ClassWeighting:
    policy = RogueWeights()
    policy.answer = answer
    policy.start(3)
    return policy


KINDS = [
    pytest.param(sampler, r"Rogue: class_weights\(\)", id="target_sampler"),
    pytest.param(scheduler, r"RogueEpsilons: epsilons\(\)", id="epsilon_scheduler"),
    pytest.param(weighting, r"RogueWeights: weights\(\)", id="class_weighting"),
]

BROKEN = [
    pytest.param([1.0, 1.0], r"must give an array of shape \(3,\).*, got \(2,\)", id="too short"),
    pytest.param(1.0, r"must give an array of shape \(3,\).*, got \(\)", id="a number"),
    pytest.param(np.ones((2, 3)), r"must give an array of shape \(3,\).*, got \(2, 3\)", id="rows missing"),
    pytest.param(NAN, "must give finite numbers, got NaN or infinity", id="NaN"),
    pytest.param([1.0, np.inf, 1.0], "must give finite numbers, got NaN or infinity", id="infinity"),
    pytest.param([1.0, -0.5, 1.0], "must give no negative number, got -0.5", id="negative"),
    pytest.param(None, r"must give (finite numbers|numbers|an array)", id="None"),
    pytest.param("text", "must give numbers, got str", id="text"),
    pytest.param(KeyError("gone"), "raised KeyError: 'gone'", id="raises"),
]


@pytest.mark.parametrize(("make", "named"), KINDS)
@pytest.mark.parametrize(("answer", "rule"), BROKEN)
def test_a_bad_answer_is_reported_under_the_class_and_the_method(
    make: Callable[[Any], Any], named: str, answer: Any, rule: str, make_statistics: Statistics
):
    with pytest.raises(PolicyError, match=f"{named}.*{rule}"):
        make(answer).update(make_statistics(COUNTS))


@pytest.mark.parametrize(("make", "named"), [KINDS[0], KINDS[2]])
def test_zeros_everywhere_are_no_weights(make: Callable[[Any], Any], named: str, make_statistics: Statistics):
    with pytest.raises(PolicyError, match=f"{named} must give at least one positive number, got zeros everywhere"):
        make(np.zeros(3)).update(make_statistics(COUNTS))


@pytest.mark.parametrize(("make", "named"), KINDS)
def test_a_refused_answer_leaves_the_plan_as_it_was(make: Callable[[Any], Any], named: str, make_statistics: Statistics):
    policy = make(NAN)
    before = policy.state_dict()
    with pytest.raises(PolicyError, match=named):
        policy.update(make_statistics(COUNTS))
    assert policy.state_dict() == before


def test_targets_may_have_a_row_for_each_class(make_statistics: Statistics):
    policy = sampler([[7, 1, 3], [0, 9, 0], [0, 2, 0]])
    policy.update(make_statistics(COUNTS))
    np.testing.assert_allclose(policy.probabilities, [[0, 0.25, 0.75], [0.5, 0, 0.5], [0, 1, 0]])


def test_an_answer_is_copied(make_statistics: Statistics):
    answer = np.array([1.0, 2.0, 3.0])
    for make in (sampler, scheduler, weighting):
        make(answer).update(make_statistics(COUNTS))
    assert answer.tolist() == [1.0, 2.0, 3.0]


def test_steps_of_an_epsilon_scheduler_are_checked_too(make_statistics: Statistics):
    class Steps(EpsilonScheduler):
        def epsilons(self, base: float, statistics: EpochStatistics) -> Any:
            return np.full(3, base)

        def steps(self, base_step: float, epsilons: np.ndarray) -> Any:
            return [base_step]

    policy = Steps()
    policy.start(3, 0.1, 0.02)
    with pytest.raises(PolicyError, match=r"Steps: steps\(\) must give an array of shape \(3,\), got \(1,\)"):
        policy.update(make_statistics(COUNTS))


def test_an_averaging_that_raises_is_named(make_statistics: Statistics):
    class Broken(Averaging):
        def accepts(self, statistics: EpochStatistics) -> bool:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(PolicyError, match=r"Broken: accepts\(\) raised ZeroDivisionError: division by zero"):
        Broken(start_epoch=0).update({}, make_statistics(COUNTS))


def test_a_plugin_is_named_in_place_of_the_class(monkeypatch: pytest.MonkeyPatch, make_statistics: Statistics):
    from fairart import hookimpl, plugins

    class Plugin:
        @hookimpl
        def fairart_register_target_samplers(self, register: Any) -> None:
            register("rogue", Rogue)

    manager = PluginManager(entry_points=False, strict=True)
    manager.register(Plugin(), "strangers")
    monkeypatch.setattr(plugins.manager, "_manager", manager)
    with pytest.raises(PolicyError, match=r"target_sampler 'rogue' of plugin 'strangers': class_weights\(\) must give finite"):
        sampler(NAN).update(make_statistics(COUNTS))
