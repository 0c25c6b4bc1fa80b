from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairart.engine.data import stratified_split

labels_of = arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 5))


@given(labels=labels_of, fraction=st.floats(0.01, 0.5), seed=st.integers(0, 1000))
def test_the_hold_out_is_disjoint_complete_and_stratified(labels: np.ndarray, fraction: float, seed: int):
    kept, out = stratified_split(labels, fraction, seed)
    assert sorted([*kept, *out]) == list(range(len(labels)))
    for label in np.unique(labels):
        members, held = (labels == label).sum(), (labels[out] == label).sum()
        assert held < members, "a class never loses its last sample"
        if members > 1:
            assert held == min(members - 1, max(1, round(fraction * members)))


def test_it_follows_its_seed_and_is_random_within_a_class():
    labels = np.repeat(np.arange(3), 50)
    first, again, other = (stratified_split(labels, 0.2, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first % 50, np.tile(first[:10] % 50, 3)), "classes are drawn independently"


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0])
def test_a_share_outside_0_to_1_is_refused(fraction: float):
    with pytest.raises(ValueError, match=rf"hold_out must be in \(0, 1\), got {fraction}"):
        stratified_split(np.array([0, 1]), fraction, 0)
