from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from fairart import create
from fairart.errors import OptionError, PolicyError
from fairart.policies import TargetSampler
from fairart.statistics import ConfusionMatrix, EpochStatistics

PLANNED = ["uniform", "cfps", "cfps-softmax", "confusion"]
"""Samplers that plan probabilities once an epoch."""

Statistics = Callable[..., EpochStatistics]


def started(name: str, nb_classes: int, **options: Any) -> TargetSampler:
    sampler: TargetSampler = create("target_sampler", name, **options)
    sampler.start(nb_classes)
    return sampler


def off_diagonal(weights: np.ndarray) -> np.ndarray:
    """Independent of the package: zero for the label, rows renormalised one by one."""
    size = weights.shape[-1]
    table = np.zeros((size, size))
    for label in range(size):
        row = (weights if weights.ndim == 1 else weights[label]).astype(float).copy()
        row[label] = 0.0
        table[label] = row / row.sum()
    return table


@pytest.mark.parametrize(("name", "key"), [("cfps", "cfps"), ("cfps-softmax", "cfps_softmax_scale2")])
def test_golden_probabilities(name: str, key: str, golden_policies: dict[str, Any], make_statistics: Statistics):
    sampler = started(name, len(golden_policies["confusion"]))
    statistics = make_statistics(golden_policies["confusion"])
    np.testing.assert_allclose(sampler.class_weights(statistics), golden_policies[key], atol=1e-6)
    sampler.update(statistics)
    np.testing.assert_allclose(sampler.probabilities, off_diagonal(np.array(golden_policies[key])), atol=1e-6)


def test_confusion_aims_where_each_class_is_mistaken(golden_policies: dict[str, Any], make_statistics: Statistics):
    counts = np.array(golden_policies["confusion"])
    sampler = started("confusion", len(counts))
    sampler.update(make_statistics(counts))
    np.testing.assert_allclose(sampler.probabilities, off_diagonal(counts), atol=1e-12)


def test_confusion_is_uniform_for_a_class_without_errors_and_for_an_absent_one(make_statistics: Statistics):
    sampler = started("confusion", 3)
    sampler.update(make_statistics([[5, 0, 0], [0, 0, 0], [3, 1, 9]]))
    np.testing.assert_allclose(sampler.probabilities, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.75, 0.25, 0]])


def test_softmax_scale(make_statistics: Statistics):
    statistics = make_statistics([[5, 3, 0], [1, 5, 0], [0, 4, 5]])
    sampler = started("cfps-softmax", 3, scale=7.0)
    weights = np.exp(7.0 * np.array([1, 7, 0]) / 8)
    np.testing.assert_allclose(sampler.class_weights(statistics), weights / weights.sum(), atol=1e-12)


@pytest.mark.parametrize("name", PLANNED)
def test_the_first_epoch_is_uniform_over_the_other_classes(name: str):
    np.testing.assert_allclose(started(name, 4).probabilities, off_diagonal(np.ones(4)))


@pytest.mark.parametrize("name", PLANNED)
def test_a_class_that_takes_all_errors_falls_back_to_uniform_for_itself(name: str, make_statistics: Statistics):
    sampler = started(name, 3)
    sampler.update(make_statistics([[4, 0, 3], [0, 6, 2], [0, 0, 5]]))
    np.testing.assert_allclose(sampler.probabilities[2], [0.5, 0.5, 0])
    if name in ("cfps", "confusion"):
        np.testing.assert_allclose(sampler.probabilities[:2], [[0, 0, 1], [0, 0, 1]])


def test_without_errors_cfps_is_uniform(make_statistics: Statistics):
    sampler = started("cfps", 3)
    sampler.update(make_statistics(np.diag([4, 5, 6])))
    np.testing.assert_allclose(sampler.probabilities, off_diagonal(np.ones(3)))


counts_of = st.integers(2, 6).flatmap(lambda size: arrays(np.int64, (size, size), elements=st.integers(0, 50)))


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(PLANNED), counts=counts_of, seed=st.integers(0, 1000))
def test_targets_never_equal_the_label_whatever_the_statistics(name: str, counts: np.ndarray, seed: int):
    size = len(counts)
    sampler = started(name, size)
    sampler.update(EpochStatistics(epoch=0, robust=ConfusionMatrix(counts)))
    labels = torch.arange(size).repeat(40)
    targets = sampler.sample(labels, generator=torch.Generator().manual_seed(seed))
    assert targets.dtype == torch.int64
    assert bool(((targets >= 0) & (targets < size) & (targets != labels)).all())
    np.testing.assert_allclose(sampler.probabilities.sum(axis=1), 1.0)


@pytest.mark.parametrize("name", PLANNED)
def test_with_two_classes_the_target_is_the_other_one(name: str, make_statistics: Statistics):
    sampler = started(name, 2)
    sampler.update(make_statistics([[3, 0], [2, 8]]))
    labels = torch.tensor([0, 1, 1, 0])
    assert sampler.sample(labels, generator=torch.Generator().manual_seed(0)).tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("name", PLANNED)
def test_sampled_frequencies_match_the_probabilities(name: str, golden_policies: dict[str, Any], make_statistics: Statistics):
    counts = np.array(golden_policies["confusion"])
    size, draws = len(counts), 20_000
    sampler = started(name, size)
    sampler.update(make_statistics(counts))
    generator = torch.Generator().manual_seed(7)
    for label in range(size):
        targets = sampler.sample(torch.full((draws,), label), generator=generator)
        seen = np.bincount(targets.numpy(), minlength=size)
        possible = sampler.probabilities[label] > 0
        assert seen[~possible].sum() == 0
        if possible.sum() > 1:
            # 17 rows times 4 samplers: a fair draw fails one of them once in 1 500 seeds.
            assert chisquare(seen[possible], draws * sampler.probabilities[label][possible]).pvalue > 1e-5


def test_classes_of_probability_zero_are_never_drawn(make_statistics: Statistics):
    sampler = started("cfps", 4)
    sampler.update(make_statistics([[9, 1, 0, 0], [0, 9, 0, 0], [0, 2, 9, 1], [0, 0, 0, 9]]))
    targets = sampler.sample(torch.zeros(50_000, dtype=torch.int64), generator=torch.Generator().manual_seed(3))
    assert set(targets.tolist()) == {1, 3}


def test_draws_follow_the_generator(make_statistics: Statistics):
    sampler, labels = started("uniform", 5), torch.arange(5).repeat(20)
    first, second, other = (sampler.sample(labels, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_draws_use_new_probabilities_at_once(make_statistics: Statistics):
    sampler, labels = started("cfps", 3), torch.zeros(200, dtype=torch.int64)
    assert set(sampler.sample(labels, generator=torch.Generator().manual_seed(0)).tolist()) == {1, 2}
    sampler.update(make_statistics([[9, 0, 1], [0, 9, 0], [0, 0, 9]]))
    assert set(sampler.sample(labels, generator=torch.Generator().manual_seed(0)).tolist()) == {2}


def test_runner_up_is_the_most_likely_wrong_class():
    sampler = started("runner-up", 3)
    logits = torch.tensor([[5.0, 2.0, 3.0], [5.0, 2.0, 3.0], [-9.0, -5.0, -7.0], [1.0, -1.0, -2.0]])
    before = logits.clone()
    assert sampler.sample(torch.tensor([0, 1, 1, 0]), logits=logits).tolist() == [2, 0, 2, 1]
    assert torch.equal(logits, before)


def test_runner_up_says_that_it_needs_logits():
    with pytest.raises(PolicyError, match=r"runner-up.*needs logits"):
        started("runner-up", 3).sample(torch.tensor([0]))


@pytest.mark.parametrize("name", PLANNED)
def test_state_round_trip(name: str, make_statistics: Statistics):
    sampler = started(name, 3)
    sampler.update(make_statistics([[5, 3, 0], [1, 5, 0], [0, 4, 5]]))
    fresh: TargetSampler = create("target_sampler", name)
    fresh.load_state_dict(sampler.state_dict())
    fresh.start(3)
    np.testing.assert_array_equal(fresh.probabilities, sampler.probabilities)
    labels = torch.arange(3).repeat(30)
    drawn = [one.sample(labels, generator=torch.Generator().manual_seed(5)) for one in (sampler, fresh)]
    assert torch.equal(*drawn)


def test_another_number_of_classes_begins_anew(make_statistics: Statistics):
    sampler = started("cfps", 3)
    sampler.update(make_statistics([[5, 3, 0], [1, 5, 0], [0, 4, 5]]))
    sampler.start(4)
    np.testing.assert_allclose(sampler.probabilities, off_diagonal(np.ones(4)))


def test_one_class_leaves_nothing_to_aim_at():
    with pytest.raises(PolicyError, match=r"'cfps' of plugin 'fairart'.*at least 2 classes, got 1"):
        create("target_sampler", "cfps").start(1)


def test_sampling_before_start_is_an_error():
    with pytest.raises(PolicyError, match=r"'cfps' of plugin 'fairart': sample\(\) before start"):
        create("target_sampler", "cfps").sample(torch.tensor([0]))


def test_unknown_option_names_the_nearest():
    with pytest.raises(OptionError, match=r"target_sampler 'cfps-softmax' has no option 'scael'.*'scale'"):
        create("target_sampler", "cfps-softmax", scael=1.0)
