"""Scores of logits against scipy, golden values and pytorch-ood; larger means more in-distribution."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fairart.evaluation.ood.scores import (
    LOGIT_SCORES,
    energy,
    max_logit,
    max_softmax,
    max_softmax_margin,
    negative_entropy,
)

FILES = sorted((Path(__file__).parents[2] / "data").glob("methods2_*.json"))
LOGITS = hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.floats(-30, 30))


def test_there_are_golden_files():
    assert len(FILES) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_values(path):
    golden = json.loads(path.read_text())
    logits = torch.tensor(golden["clean_logits"], dtype=torch.float64)
    np.testing.assert_allclose(max_softmax(logits), golden["ood"]["msp"], rtol=1e-9)
    np.testing.assert_allclose(energy(logits), golden["ood"]["energy_T1"], rtol=1e-9)


@given(LOGITS)
def test_the_formulas_of_scipy(logits):
    z, shares = torch.from_numpy(logits), scipy.special.softmax(logits, axis=1)
    np.testing.assert_allclose(max_softmax(z), shares.max(axis=1), rtol=1e-9)
    np.testing.assert_allclose(max_logit(z), logits.max(axis=1))
    np.testing.assert_allclose(negative_entropy(z), -scipy.stats.entropy(shares, axis=1), atol=1e-9)
    for temperature in (0.5, 1.0, 10.0):
        expected = temperature * scipy.special.logsumexp(logits / temperature, axis=1)
        np.testing.assert_allclose(energy(z, temperature=temperature), expected, rtol=1e-9, atol=1e-9)


@given(LOGITS)
def test_the_margin_is_the_log_odds_of_the_largest_share(logits):
    z = torch.from_numpy(logits)
    np.testing.assert_allclose(torch.sigmoid(max_softmax_margin(z)), max_softmax(z), rtol=1e-9)


def test_the_margin_has_a_gradient_where_the_softmax_has_none():
    z = torch.tensor([[120.0, 0.0, -5.0]], requires_grad=True)
    (saturated,) = torch.autograd.grad(max_softmax(z).sum(), z)
    (sound,) = torch.autograd.grad(max_softmax_margin(z).sum(), z)
    assert not saturated.any()
    assert sound[0, 0] == 1


def test_pytorch_ood_has_the_same_scores_with_the_other_sign():
    detectors = pytest.importorskip("pytorch_ood.detector")
    z = torch.randn(20, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = {
        "energy": detectors.EnergyBased(None),
        "msp": detectors.MaxSoftmax(None),
        "max-logit": detectors.MaxLogit(None),
        "entropy": detectors.Entropy(None),
    }
    assert theirs.keys() == LOGIT_SCORES.keys()
    for name, detector in theirs.items():
        np.testing.assert_allclose(LOGIT_SCORES[name](z), -detector.predict_logits(z), rtol=1e-6, err_msg=name)
