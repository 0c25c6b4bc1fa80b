"""Every registered part passes the checks that plugin authors run, and the checks catch what they are there for."""

import numpy as np
import pytest
import torch

from fairart import create, registered
from fairart.errors import PolicyError
from fairart.policies import Averaging, ClassWeighting, EpsilonScheduler, TargetSampler
from fairart.testing import (
    check_averaging,
    check_class_weighting,
    check_epsilon_scheduler,
    check_fairness_metric,
    check_objective,
    check_target_sampler,
)

CHECKS = {
    "target_sampler": check_target_sampler,
    "epsilon_scheduler": check_epsilon_scheduler,
    "class_weighting": check_class_weighting,
    "averaging": check_averaging,
    "objective": check_objective,
}


def built_in(kind):
    return [name for name, entry in registered(kind).items() if entry.plugin == "fairart"]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CHECKS for name in built_in(kind)])
def test_built_ins_pass(kind, name):
    CHECKS[kind](create(kind, name))


NEEDS_MORE = ("rho", "nsd", "gini", "head", "middle", "tail")
"""A baseline, more than one class, or training counts: see tests/testing."""


@pytest.mark.parametrize("name", [name for name in built_in("fairness_metric") if name not in NEEDS_MORE])
def test_built_in_metrics_pass(name):
    check_fairness_metric(create("fairness_metric", name))


class NegativeSampler(TargetSampler):
    def class_weights(self, statistics):
        return -np.ones(statistics.robust.nb_classes)


class FloatTargets(TargetSampler):
    def sample(self, labels, *, logits=None, generator=None):
        return labels.float()


class GlobalRandomTargets(TargetSampler):
    def sample(self, labels, *, logits=None, generator=None):
        return torch.randint(self.nb_classes, labels.shape)


class AbsoluteEpsilon(EpsilonScheduler):
    def epsilons(self, base, statistics):
        return np.full(statistics.robust.nb_classes, 0.1)


class ForgetfulWeighting(ClassWeighting):
    def state_dict(self):
        return {**super().state_dict(), "seen": 1 if self.current is not None and self.current.any() else 0}

    def load_state_dict(self, state):
        pass


class GreedyAveraging(Averaging):
    def update(self, weights, statistics):
        for value in weights.values():
            value.zero_()
        return True


@pytest.mark.parametrize(
    ("check", "policy", "rule"),
    [
        (check_target_sampler, NegativeSampler(), "no negative number"),
        (check_target_sampler, FloatTargets(), "torch.int64"),
        (check_target_sampler, GlobalRandomTargets(), "same generator state"),
        (check_epsilon_scheduler, AbsoluteEpsilon(), "twice the base budget"),
        (check_class_weighting, ForgetfulWeighting(), "lost something"),
        (check_averaging, GreedyAveraging(), "must not change the given weights"),
    ],
)
def test_broken_policies_are_caught(check, policy, rule):
    with pytest.raises((AssertionError, PolicyError), match=rule):
        check(policy)


def test_a_metric_that_looks_at_the_order_of_classes_is_caught():
    with pytest.raises(AssertionError, match="order of the classes"):
        check_fairness_metric(lambda confusion: float(confusion.counts[0, 0]))


def test_a_policy_of_the_wrong_kind_is_caught():
    with pytest.raises(AssertionError, match=r"expected an instance of .*TargetSampler"):
        check_target_sampler(create("epsilon_scheduler", "ccm"))
