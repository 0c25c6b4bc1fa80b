"""Remedies for long-tailed training against their equations, on every golden file that is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fairart import create
from fairart.datasets.imbalance import imbalanced_counts
from fairart.models.last_layer import adjust_logits, tau_normalise, tau_normalised
from fairart.policies.classification_losses.ldam import ldam_margins

FILES = sorted((Path(__file__).parent / "data").glob("methods2_*.json"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(request.param.read_text())
    return values


def mean_loss(name: str, golden: dict[str, Any], **options: Any) -> float:
    loss = create("classification_loss", name, **options)
    loss.class_counts = np.array(golden["class_counts"])
    loss.start(golden["num_classes"])
    logits = torch.tensor(golden["robust_logits"], dtype=torch.float64)
    return float(loss.losses(logits, torch.tensor(golden["labels"])).mean())


def test_losses(golden: dict[str, Any]) -> None:
    expected = golden["long_tail"]
    assert mean_loss("balanced-softmax", golden) == pytest.approx(expected["balanced_softmax_ce_robust"], rel=1e-9)
    adjusted = {key.rpartition("tau")[2]: value for key, value in expected.items() if key.startswith("logit_adjusted_ce_tau")}
    assert adjusted
    for tau, value in adjusted.items():
        assert mean_loss("logit-adjusted", golden, tau=float(tau)) == pytest.approx(value, rel=1e-9)
    assert mean_loss("focal", golden, gamma=2.0) == pytest.approx(expected["focal_gamma2"], rel=1e-9)
    counts, scale = np.array(golden["class_counts"], dtype=float), expected["ldam"]["scale"]
    np.testing.assert_allclose(ldam_margins(counts, 0.5), expected["ldam"]["margins"], rtol=1e-9)
    assert mean_loss("ldam", golden, scale=scale) == pytest.approx(expected["ldam"]["loss"], rel=1e-9)


def test_class_weights(golden: dict[str, Any]) -> None:
    expected, cases = golden["long_tail"], 0
    for key, weights in expected.items():
        if key.startswith(("effective_number_weights", "inverse_frequency_weights")):
            beta = key.rpartition("_")[2]
            name, options = ("inverse-frequency", {}) if beta == "weights" else ("effective-number", {"beta": float(beta)})
            weighting = create("class_weighting", name, **options)
            weighting.class_counts = np.array(golden["class_counts"])
            weighting.start(golden["num_classes"])
            np.testing.assert_allclose(weighting.current, weights, rtol=1e-9)
            cases += 1
    assert cases >= 2


def test_logits_adjusted_after_training(golden: dict[str, Any]) -> None:
    logits, size = torch.tensor(golden["clean_logits"], dtype=torch.float64), golden["num_classes"]
    cases = 0
    for key, predictions in golden["long_tail"].items():
        if key.startswith("post_hoc_predictions_tau"):
            layer = torch.nn.Linear(size, size).double()
            with torch.no_grad():
                layer.weight.copy_(torch.eye(size))
                layer.bias.zero_()
            adjust_logits(layer, np.array(golden["class_counts"]), float(key.rpartition("tau")[2]))
            assert layer(logits).argmax(dim=1).tolist() == predictions
            cases += 1
    assert cases


def test_tau_normalisation(golden: dict[str, Any]) -> None:
    expected = golden["long_tail"]["tau_norm"]
    weight = torch.tensor(expected["weight"], dtype=torch.float64)
    np.testing.assert_allclose(tau_normalised(weight, expected["tau"]), expected["weight_after"], rtol=1e-9)
    layer = torch.nn.Linear(weight.shape[1], len(weight)).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
    tau_normalise(layer, expected["tau"])
    np.testing.assert_allclose(layer.weight.detach(), expected["weight_after"], rtol=1e-9)
    assert not layer.bias.any()


def test_the_exponential_profile(golden: dict[str, Any]) -> None:
    cases = 0
    for key, counts in golden["long_tail"].items():
        if key.startswith("exponential_profile_ir"):
            ratio, largest = key.removeprefix("exponential_profile_ir").split("_max")
            found = imbalanced_counts(f"exp:{ratio}", [int(largest)] * golden["num_classes"], name="golden")
            assert found.tolist() == counts
            cases += 1
    assert cases
