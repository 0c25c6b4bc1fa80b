"""What the golden rounds of FRL do not reach: the halved rate, the limit of the sum, absent classes."""

import numpy as np
import pytest

from fairart import create
from fairart.policies.frl_multipliers import FRLErrors, frl_class_weights, frl_loss_multipliers, frl_margin_scale
from fairart.testing import statistics_examples

ONE = np.array([1.0, 0.0])


@pytest.mark.parametrize(("rounds", "rate"), [(0, 0.1), (38, 0.1), (39, 0.05), (78, 0.05), (79, 0.025)])
def test_the_rate_is_halved_from_the_fortieth_round_on(rounds, rate):
    natural, boundary = frl_loss_multipliers(np.zeros(2), np.zeros(2), (ONE, ONE), rate=0.1, rounds=rounds)
    np.testing.assert_allclose([natural[0], boundary[0]], [rate, 2 * rate])


def test_each_loss_s_multipliers_are_scaled_down_to_a_sum_of_one_half_and_no_weight_turns_negative():
    natural, boundary = frl_loss_multipliers(np.array([0.4, 0.2]), np.zeros(2), (ONE, -ONE), rate=0.2, rounds=0)
    np.testing.assert_allclose(natural, [0.375, 0.125])
    np.testing.assert_allclose(boundary, [0.0, 0.0])
    assert frl_class_weights(np.array([0.5, 0.0])).min() >= 0.25


def test_an_absent_class_breaks_no_bound():
    errors = FRLErrors(clean=np.array([0.5, np.nan]), boundary=np.array([0.2, np.nan]), total_clean=0.1, total_boundary=0.1)
    clean, boundary = errors.violations(0.05, 0.05)
    np.testing.assert_allclose([clean, boundary], [[0.35, 0.0], [0.05, 0.0]])


def test_margins_stay_in_their_bounds_without_overflow():
    np.testing.assert_allclose(frl_margin_scale(np.array([-1e4, 0.0, 1e4])), [0.98, 1.0, 3.0])


def test_every_round_counts_and_the_count_survives_a_checkpoint():
    frl, resumed = create("class_weighting", "frl", warm_up=1), create("class_weighting", "frl", warm_up=1)
    frl.start(3)
    for statistics in statistics_examples(3):
        frl.update(statistics)
    resumed.load_state_dict(frl.state_dict())
    assert frl.rounds == resumed.rounds == 4
