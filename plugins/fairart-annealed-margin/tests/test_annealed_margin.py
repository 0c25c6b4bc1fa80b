import numpy as np
import pytest
from fairart_annealed_margin import AnnealedMargin

from fairart import create
from fairart.statistics import ConfusionMatrix, EpochStatistics
from fairart.testing import check_epsilon_scheduler, check_fairness_metric


def statistics(epoch):
    return EpochStatistics(epoch=epoch, robust=ConfusionMatrix([[10, 0], [5, 5]]))


def test_the_scheduler_keeps_the_rules():
    check_epsilon_scheduler(AnnealedMargin())


def test_the_metric_keeps_the_rules():
    check_fairness_metric(create("fairness_metric", "bottom-half"))


def test_budgets_are_phased_in():
    scheduler = create("epsilon_scheduler", "annealed-margin", warmup=2)
    scheduler.start(2, 0.1, 0.02)
    np.testing.assert_allclose(scheduler.current, [0.1, 0.1])
    scheduler.update(statistics(0))
    np.testing.assert_allclose(scheduler.current, [0.125, 0.1])
    scheduler.update(statistics(1))
    np.testing.assert_allclose(scheduler.current, [0.15, 0.1])


def test_the_metric_is_the_mean_of_the_worse_half():
    confusion = ConfusionMatrix(np.diag([9, 5, 7, 1]) + np.roll(np.diag([1, 5, 3, 9]), 1, axis=1))
    assert create("fairness_metric", "bottom-half")(confusion) == pytest.approx((0.5 + 0.1) / 2)
