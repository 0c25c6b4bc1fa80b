from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fairart import create
from fairart.objectives import Batch, Objective
from fairart.policies import LossTerms


class Stub(nn.Module):
    """Gives the golden logits: those of clean inputs for zeros, of adversarial ones for ones."""

    def __init__(self, golden: dict[str, Any]) -> None:
        super().__init__()
        self.clean = torch.tensor(golden["clean_logits"], dtype=torch.float64)
        self.adversarial = torch.tensor(golden["adversarial_logits"], dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, :1] > 0.5, self.adversarial, self.clean)


def losses(objective: Objective, golden: dict[str, Any]) -> LossTerms:
    labels = torch.tensor(golden["labels"])
    x = torch.zeros(len(labels), 1, dtype=torch.float64)
    batch = Batch(x=x, y=labels, eps=torch.ones(len(x)), eps_step=torch.ones(len(x)), max_iter=1)
    return objective.losses(Stub(golden), batch, (torch.ones_like(x),))


def mean(terms: LossTerms, labels: list[int]) -> float:
    weighting = create("class_weighting", "uniform")
    weighting.start(terms.adversarial_logits.shape[1])
    return float(weighting.combine(terms, torch.tensor(labels)))


@pytest.mark.parametrize("name", ["at", "fat"])
def test_cross_entropy_of_adversarial_inputs(name: str, golden_losses: dict[str, Any]):
    terms = losses(create("objective", name), golden_losses)
    assert mean(terms, golden_losses["labels"]) == pytest.approx(golden_losses["cross_entropy_adv"], abs=1e-6)
    assert (terms.clean_logits, terms.boundary) == (None, None)


def test_trades(golden_losses: dict[str, Any]):
    terms = losses(create("objective", "trades"), golden_losses)
    assert mean(terms, golden_losses["labels"]) == pytest.approx(golden_losses["trades_beta6"], abs=1e-6)


@pytest.mark.parametrize("beta", [0.0, 1.5])
def test_beta_scales_the_kl_term_alone(beta: float, golden_losses: dict[str, Any]):
    terms, six = (losses(create("objective", "trades", beta=b), golden_losses) for b in (beta, 6.0))
    clean = mean(LossTerms(natural=terms.natural, adversarial_logits=terms.adversarial_logits), golden_losses["labels"])
    kl = (mean(six, golden_losses["labels"]) - clean) / 6.0
    assert kl > 0.1
    assert mean(terms, golden_losses["labels"]) == pytest.approx(clean + beta * kl, abs=1e-9)


def test_statistics_are_read_from_the_adversarial_logits(golden_losses: dict[str, Any]):
    for name in ("at", "fat", "trades"):
        terms = losses(create("objective", name), golden_losses)
        torch.testing.assert_close(terms.adversarial_logits, Stub(golden_losses).adversarial)
    torch.testing.assert_close(terms.clean_logits, Stub(golden_losses).clean)


def test_standard_has_one_set_of_logits(golden_losses: dict[str, Any]):
    terms = losses(create("objective", "standard"), golden_losses)
    assert terms.clean_logits is terms.adversarial_logits
    assert mean(terms, golden_losses["labels"]) == pytest.approx(golden_losses["cross_entropy_adv"], abs=1e-6)


def test_trades_sends_gradients_through_both_forwards(golden_losses: dict[str, Any]):
    stub = Stub(golden_losses)
    stub.clean.requires_grad_(True)
    stub.adversarial.requires_grad_(True)
    labels = torch.tensor(golden_losses["labels"])
    x = torch.zeros(len(labels), 1, dtype=torch.float64)
    batch = Batch(x=x, y=labels, eps=torch.ones(len(x)), eps_step=torch.ones(len(x)), max_iter=1)
    terms = create("objective", "trades").losses(stub, batch, (torch.ones_like(x),))
    from_kl = torch.autograd.grad(terms.boundary.sum(), [stub.clean, stub.adversarial])
    assert all(bool(gradient.abs().sum() > 0) for gradient in from_kl)
