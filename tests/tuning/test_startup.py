"""The first trials cover every range evenly, on its own scale."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402

from fairart.tuning.startup import shares, value_at  # noqa: E402


@given(count=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_one_share_in_each_part(count: int, seed: int) -> None:
    drawn = shares(count, np.random.default_rng(seed))
    assert sorted((drawn * count).astype(int)) == list(range(count))


def test_a_log_range_is_even_in_the_logarithm() -> None:
    drawn = [value_at(FloatDistribution(0.01, 1.0, log=True), share) for share in (0.0, 0.25, 0.5)]
    assert drawn == pytest.approx([0.01, 10**-1.5, 0.1])


@given(share=st.floats(0, 1, exclude_max=True))
@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(-1.0, 3.0),
        FloatDistribution(0.0, 1.0, step=0.25),
        FloatDistribution(1e-4, 0.3, log=True),
        IntDistribution(2, 9, step=3),
        IntDistribution(1, 64, log=True),
        CategoricalDistribution(["a", "b", "c"]),
    ],
)
def test_every_value_is_one_that_the_distribution_contains(
    distribution: optuna.distributions.BaseDistribution, share: float
) -> None:
    value = value_at(distribution, share)
    assert distribution._contains(distribution.to_internal_repr(value))


def test_every_choice_and_step_is_reached() -> None:
    at = np.linspace(0, 1, 60, endpoint=False)
    assert {value_at(CategoricalDistribution([0, 1, 2]), share) for share in at} == {0, 1, 2}
    assert {value_at(IntDistribution(2, 8, step=3), share) for share in at} == {2, 5, 8}
    assert {value_at(IntDistribution(1, 3, log=True), share) for share in at} == {1, 2, 3}
    assert {value_at(FloatDistribution(0.0, 1.0, step=0.5), share) for share in at} == {0.0, 0.5, 1.0}


def test_shares_of_a_log_range_of_a_study_are_apart() -> None:
    rates = [value_at(FloatDistribution(0.01, 0.3, log=True), share) for share in shares(4, np.random.default_rng(0))]
    parts = sorted(int(4 * math.log(rate / 0.01) / math.log(30)) for rate in rates)
    assert parts == [0, 1, 2, 3]
