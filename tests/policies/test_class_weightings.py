from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fairart import create
from fairart.errors import PolicyError
from fairart.policies import ClassWeighting, LossTerms
from fairart.statistics import EpochStatistics

Statistics = Callable[..., EpochStatistics]


class Doubling(ClassWeighting):
    """Weights 2, 0, 4, ...: distinct, and one class that does not count."""

    def weights(self, statistics: EpochStatistics) -> np.ndarray:
        return np.array([2.0, 0.0, 4.0])


def terms() -> LossTerms:
    return LossTerms(
        natural=torch.tensor([1.0, 2.0, 3.0, 4.0]),
        boundary=torch.tensor([0.5, 0.25, 0.0, 1.0]),
        extra=torch.tensor([0.0, 0.0, 10.0, 0.0]),
        beta=6.0,
        adversarial_logits=torch.zeros(4, 3),
    )


LABELS = torch.tensor([0, 1, 2, 0])


def test_total_adds_beta_times_boundary_and_extra():
    assert terms().total().tolist() == [4.0, 3.5, 13.0, 10.0]
    assert LossTerms(natural=torch.tensor([1.0]), adversarial_logits=torch.zeros(1, 3)).total().tolist() == [1.0]


def test_uniform_is_the_plain_mean():
    weighting = create("class_weighting", "uniform")
    weighting.start(3)
    assert weighting.combine(terms(), LABELS).item() == pytest.approx((4 + 3.5 + 13 + 10) / 4)


def test_every_class_counts_1_in_the_first_epoch_and_by_its_weight_later(make_statistics: Statistics):
    weighting = Doubling()
    weighting.start(3)
    assert weighting.combine(terms(), LABELS).item() == pytest.approx((4 + 3.5 + 13 + 10) / 4)
    weighting.update(make_statistics(np.eye(3, dtype=int)))
    assert weighting.combine(terms(), LABELS).item() == pytest.approx((2 * 4 + 0 * 3.5 + 4 * 13 + 2 * 10) / 4)


def test_weights_keep_the_precision_of_the_loss(make_statistics: Statistics):
    weighting = Doubling()
    weighting.start(3)
    for dtype in (torch.float64, torch.bfloat16):
        assert weighting.per_sample(LABELS, torch.zeros(4, dtype=dtype)).dtype == dtype


def test_state_round_trip(make_statistics: Statistics):
    weighting, fresh = Doubling(), Doubling()
    weighting.start(3)
    weighting.update(make_statistics(np.eye(3, dtype=int)))
    fresh.load_state_dict(weighting.state_dict())
    fresh.start(3)
    assert fresh.combine(terms(), LABELS).item() == weighting.combine(terms(), LABELS).item()
    assert fresh.current.tolist() == [2.0, 0.0, 4.0]


def test_weights_before_start_are_an_error():
    with pytest.raises(PolicyError, match="Doubling: weights are asked for before start"):
        Doubling().combine(terms(), LABELS)
