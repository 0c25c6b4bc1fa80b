from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairart import create
from fairart.errors import OptionError
from fairart.policies import EpsilonScheduler
from fairart.statistics import ConfusionMatrix, EpochStatistics

Statistics = Callable[..., EpochStatistics]
BASE, STEP = 8 / 255, 2 / 255
COUNTS = [[6, 2, 0], [5, 5, 0], [0, 4, 1]]


def started(name: str, nb_classes: int = 3, **options: Any) -> EpsilonScheduler:
    scheduler: EpsilonScheduler = create("epsilon_scheduler", name, **options)
    scheduler.start(nb_classes, BASE, STEP)
    return scheduler


@pytest.mark.parametrize("lambda1", [0.3, 0.5])
def test_golden_class_calibrated_margins(lambda1: float, golden_policies: dict[str, Any], make_statistics: Statistics):
    scheduler = started("ccm", len(golden_policies["confusion"]), lambda1=lambda1)
    scheduler.update(make_statistics(golden_policies["confusion"]))
    np.testing.assert_allclose(scheduler.current, golden_policies[f"ccm_eps_lambda{lambda1}_eps8"], atol=1e-6)
    np.testing.assert_allclose(scheduler.current_step, STEP)


def test_the_paper_s_lambda_is_the_default(golden_policies: dict[str, Any], make_statistics: Statistics):
    scheduler = started("ccm", len(golden_policies["confusion"]))
    scheduler.update(make_statistics(golden_policies["confusion"]))
    np.testing.assert_allclose(scheduler.current, golden_policies["ccm_eps_lambda0.5_eps8"], atol=1e-6)


@pytest.mark.parametrize("name", ["constant", "ccm"])
def test_the_first_epoch_has_the_base_budget(name: str):
    scheduler = started(name)
    assert scheduler.current.tolist() == [BASE] * 3
    assert scheduler.current_step.tolist() == [STEP] * 3


def test_constant_never_moves(make_statistics: Statistics):
    scheduler = started("constant")
    scheduler.update(make_statistics(COUNTS))
    assert scheduler.current.tolist() == [BASE] * 3


def test_an_absent_class_keeps_the_base_budget(make_statistics: Statistics):
    scheduler = started("ccm")
    scheduler.update(make_statistics([[6, 2, 0], [0, 0, 0], [0, 4, 1]]))
    np.testing.assert_allclose(scheduler.current, [(0.5 + 0.75) * BASE, BASE, (0.5 + 0.2) * BASE])


@pytest.mark.parametrize(("epoch", "moved"), [(0, False), (1, False), (2, True), (3, True)])
def test_start_epoch_is_the_first_epoch_with_class_wise_budgets(epoch: int, moved: bool, make_statistics: Statistics):
    scheduler = started("ccm", start_epoch=3)
    scheduler.update(make_statistics(COUNTS, epoch=epoch))
    expected = np.array([1.25, 1.0, 0.7]) * BASE if moved else np.full(3, BASE)
    np.testing.assert_allclose(scheduler.current, expected)


@pytest.mark.parametrize(
    ("scale_by", "score"),
    [("accuracy", [0.75, 0.5, 0.2]), ("cfps", [5 / 11, 6 / 11, 0]), ("cfns", [2 / 11, 5 / 11, 4 / 11])],
)
def test_other_scores_and_factors(scale_by: str, score: list[float], make_statistics: Statistics):
    scheduler = started("ccm", lambda1=0.3, scale_by=scale_by, factor=2.0)
    scheduler.update(make_statistics(COUNTS))
    np.testing.assert_allclose(scheduler.current, (0.3 + 2.0 * np.array(score)) * BASE, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(counts=st.integers(2, 6).flatmap(lambda k: arrays(np.int64, (k, k), elements=st.integers(0, 50))))
def test_budgets_stay_between_lambda_and_lambda_plus_one(counts: np.ndarray):
    scheduler = started("ccm", len(counts))
    scheduler.update(EpochStatistics(epoch=0, robust=ConfusionMatrix(counts)))
    assert ((scheduler.current >= 0.5 * BASE - 1e-12) & (scheduler.current <= 1.5 * BASE + 1e-12)).all()
    rates = ConfusionMatrix(counts).class_accuracy
    present = np.flatnonzero(~np.isnan(rates))
    order = present[np.argsort(rates[present], kind="stable")]
    assert (np.diff(scheduler.current[order]) >= -1e-12).all(), "a harder class never gets the larger budget"


def test_state_round_trip(make_statistics: Statistics):
    scheduler = started("ccm")
    scheduler.update(make_statistics(COUNTS))
    fresh: EpsilonScheduler = create("epsilon_scheduler", "ccm")
    fresh.load_state_dict(scheduler.state_dict())
    fresh.start(3, BASE, STEP)
    np.testing.assert_array_equal(fresh.current, scheduler.current)
    np.testing.assert_array_equal(fresh.current_step, scheduler.current_step)
    fresh.start(4, BASE, STEP)
    assert fresh.current.tolist() == [BASE] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda1": -0.1}, "lambda1 must be >= 0, got -0.1"),
        ({"scale_by": "recall"}, "scale_by expects 'accuracy' or 'cfps' or 'cfns', got 'recall'"),
        ({"start_epoch": 1.5}, "start_epoch expects int.*, got 1.5"),
        ({"lamda1": 0.5}, "has no option 'lamda1'; did you mean 'lambda1'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str):
    with pytest.raises(OptionError, match=f"epsilon_scheduler 'ccm'.*{message}"):
        create("epsilon_scheduler", "ccm", **options)


def test_a_scheduler_that_served_another_budget_begins_anew():
    scheduler = create("epsilon_scheduler", "constant")
    scheduler.start(3, 0.1, 0.02)
    scheduler.start(3, 0.3, 0.1)
    np.testing.assert_array_equal(scheduler.current, [0.3, 0.3, 0.3])
    np.testing.assert_array_equal(scheduler.current_step, [0.1, 0.1, 0.1])


def test_a_plan_read_back_is_kept_at_the_start():
    first, second = (create("epsilon_scheduler", "ccm") for _ in range(2))
    first.start(2, 0.1, 0.02)
    first.update(EpochStatistics(epoch=0, robust=ConfusionMatrix([[9, 1], [5, 5]])))
    second.load_state_dict(first.state_dict())
    second.start(2, 0.1, 0.02)
    np.testing.assert_allclose(second.current, [0.14, 0.1])
