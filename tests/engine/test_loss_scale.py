"""With ``loss_scale="mean-one"`` the coefficients of a sample's terms sum to 1, whatever the method."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from fairart import create, registered
from fairart.engine.loop import Engine
from fairart.engine.loss_scale import sum_of_coefficients, unit_terms
from fairart.engine.processes import ONE_PROCESS
from fairart.policies import LossTerms
from fairart.trainers import CFATrainer, FairnessTrainer, TRADESTrainer

LABELS = torch.tensor([0, 1, 2, 2, 1, 0, 2])
PUBLISHED = {
    "standard": 1.0,
    "at": 1.0,
    "fat": 1.0,
    "fair-tat": 1.0,
    "trades": 7.0,
    "bat": 9.0,
    "mart": 6.0,
    "wat": 7.0 * 2 * 3 / 4,
    "cfa": 1.0,
    "csr": 7.0,
}
"""Sum of the coefficients in the first epoch, three classes: TRADES 1 + beta, BAT two uniform terms more, WAT 2 K / (K + 1)."""


def terms_of(boundary: bool = True) -> LossTerms:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, generator=random, dtype=torch.float64)
    losses = torch.nn.functional.cross_entropy(logits, LABELS, reduction="none")
    return LossTerms(natural=losses, boundary=losses.square() if boundary else None, beta=6.0, adversarial_logits=logits)


def combined(trainer: FairnessTrainer, x: Any, y: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a trainer's loss makes of terms of 1, batch by batch."""
    seen: list[float] = []
    loss = Engine._loss

    def watched(self: Engine, terms: LossTerms, labels: Any) -> Any:
        seen.append(float(loss(self, _needing_gradient(unit_terms(terms)), labels)))
        return loss(self, terms, labels)

    monkeypatch.setattr(Engine, "_loss", watched)
    trainer.fit(x, y, batch_size=16, nb_epochs=3, seed=0, verbose=False)
    monkeypatch.undo()
    return seen


def _needing_gradient(terms: LossTerms) -> LossTerms:
    return dataclasses.replace(terms, natural=terms.natural.clone().requires_grad_(True))


@pytest.mark.filterwarnings("ignore:weight averaging took in none", "ignore:catastrophic overfitting")
@pytest.mark.parametrize("method", registered("trainer"))
def test_every_method_has_one_scale(method: str, make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"max_iter": 2, "hold_out": 0.25, "on_overfitting": "ignore", "loss_scale": "mean-one"}
    trainer = create("trainer", method, classifier=make_classifier(), **options)
    np.testing.assert_allclose(combined(trainer, *make_data(16), monkeypatch), 1.0, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("method", PUBLISHED)
def test_the_published_scales_are_those_of_the_documentation(
    method: str, make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = create("trainer", method, classifier=make_classifier(), max_iter=2, hold_out=0.25)
    first = combined(trainer, *make_data(16), monkeypatch)[0]
    # CSR's last term has the weight of each sample's pair.
    assert first == pytest.approx(PUBLISHED[method], rel=0.3 if method == "csr" else 1e-5)


@pytest.mark.parametrize("name", registered("class_weighting"))
def test_a_scaled_loss_has_the_direction_of_the_published_one(name: str) -> None:
    weighting, terms = create("class_weighting", name), terms_of()
    weighting.class_counts = np.array([5, 10, 20])
    weighting.start(3)
    scale = sum_of_coefficients(weighting, terms, LABELS, ONE_PROCESS)
    assert scale.ndim == 0
    assert not scale.requires_grad
    natural = terms.natural.clone().requires_grad_(True)
    published = weighting.combine(LossTerms(**{**vars(terms), "natural": natural}), LABELS)
    (gradient,) = torch.autograd.grad(published, natural)
    (scaled,) = torch.autograd.grad(weighting.combine(LossTerms(**{**vars(terms), "natural": natural}), LABELS) / scale, natural)
    torch.testing.assert_close(scaled * scale, gradient)


def test_cfa_and_trades_take_like_steps_only_on_one_scale(make_classifier: Any, make_data: Any) -> None:
    def moved(trainer: Any, scale: str) -> float:
        made = trainer(make_classifier(), max_iter=2, hold_out=0.25, loss_scale=scale)
        before = torch.cat([p.detach().flatten().clone() for p in made.get_classifier().model.parameters()])
        made.fit(*make_data(8), batch_size=64, nb_epochs=1, seed=0, verbose=False)
        return float((torch.cat([p.detach().flatten() for p in made.get_classifier().model.parameters()]) - before).norm())

    plain = {"published": 0.0, "mean-one": 0.0}
    for scale in plain:
        plain[scale] = moved(TRADESTrainer, scale) / moved(lambda *a, **o: CFATrainer(*a, averaging=None, **o), scale)
    assert plain["published"] > 4
    assert plain["mean-one"] == pytest.approx(1.0, abs=0.2)
