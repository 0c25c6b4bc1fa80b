"""CCR, FRL, WAT, DAFA and BAT against values computed by the authors' programs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fairart import create
from fairart.attacks.common import kl_divergence
from fairart.objectives import Batch
from fairart.objectives.base import cross_entropy
from fairart.policies import LossTerms
from fairart.policies.class_weightings.ccr import class_wise_beta
from fairart.policies.class_weightings.wat import expert_losses, hedge_weights
from fairart.policies.dafa_weights import dafa_weights
from fairart.policies.frl_multipliers import (
    FRLErrors,
    frl_class_weights,
    frl_loss_multipliers,
    frl_margin_multipliers,
    frl_margin_scale,
)
from fairart.statistics import ConfusionMatrix, EpochStatistics, ValidationStatistics

DATA = Path(__file__).parent.parent / "data"
CLOSE = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(params=[10, 7])
def golden(request):
    return json.loads((DATA / f"golden_methods_a{request.param}.json").read_text())


def balanced(nb_classes):
    return ConfusionMatrix(np.eye(nb_classes, dtype=int) * 100)


def losses_of(golden):
    values = golden["losses"]
    clean, adversarial = (torch.tensor(values[f"{name}_logits"], dtype=torch.float64) for name in ("clean", "adversarial"))
    labels = torch.tensor(values["labels"])
    terms = LossTerms(
        natural=cross_entropy(clean, labels),
        boundary=kl_divergence(adversarial, clean),
        beta=6.0,
        adversarial_logits=adversarial,
        clean_logits=clean,
    )
    return terms, labels


def weighting(name, nb_classes, **options):
    made = create("class_weighting", name, **options)
    made.start(nb_classes)
    return made


def frl_rounds(golden):
    """The multipliers after each round, from the errors that went into it."""
    values, size = golden["frl"], golden["num_classes"]
    losses, margin = (np.zeros(size), np.zeros(size)), np.zeros(size)
    for number, epoch in enumerate(values["rounds"]):
        errors = FRLErrors(
            clean=np.array(epoch["class_clean_error"]),
            boundary=np.array(epoch["class_boundary_error"]),
            total_clean=epoch["total_clean_error"],
            total_boundary=epoch["total_boundary_error"],
        )
        violations = errors.violations(values["bound_natural"], values["bound_boundary"])
        losses = frl_loss_multipliers(*losses, violations, rate=values["rate1"], rounds=number)
        margin = frl_margin_multipliers(margin, violations, rate=values["rate2"])
        yield epoch, losses, margin


def test_frl_multipliers_weights_and_margins_of_every_round(golden):
    for epoch, (natural, boundary), margin in frl_rounds(golden):
        np.testing.assert_allclose(natural, epoch["multiplier_natural"], **CLOSE)
        np.testing.assert_allclose(boundary, epoch["multiplier_boundary"], **CLOSE)
        np.testing.assert_allclose(margin, epoch["multiplier_margin"], **CLOSE)
        np.testing.assert_allclose(frl_class_weights(natural), epoch["natural_weight"], **CLOSE)
        np.testing.assert_allclose(frl_class_weights(boundary), epoch["boundary_weight"], **CLOSE)
        np.testing.assert_allclose(frl_margin_scale(margin), epoch["margin_scale"], **CLOSE)


def test_frl_loss_with_the_weights_of_the_last_round(golden):
    *_, (_, multipliers, _) = frl_rounds(golden)
    terms, labels = losses_of(golden)
    frl = weighting("frl", golden["num_classes"], warm_up=0)
    state = frl.state_dict() | {
        "multipliers": [each.tolist() for each in multipliers],
        "current": frl_class_weights(multipliers[0]).tolist(),
    }
    frl.load_state_dict(state)
    assert frl.combine(terms, labels).item() == pytest.approx(golden["losses"]["frl_last_round_beta1.5"], abs=1e-6)


def wat_statistics(golden):
    size = golden["num_classes"]
    for epoch, values in enumerate(golden["wat"]["rounds"]):
        validation = ValidationStatistics(
            clean=balanced(size),
            robust=balanced(size),
            natural_loss=np.array(values["class_natural_loss"]),
            boundary_loss=np.array(values["class_boundary_loss"]),
        )
        yield values, EpochStatistics(epoch=epoch, nb_epochs=6, robust=balanced(size), validation=validation)


def test_wat_expert_weights_of_every_round_and_the_loss_of_the_last(golden):
    wat = weighting("wat", golden["num_classes"])
    for values, statistics in wat_statistics(golden):
        wat.update(statistics)
        np.testing.assert_allclose(wat.expert_weights, values["weights"], **CLOSE)
    terms, labels = losses_of(golden)
    assert wat.combine(terms, labels).item() == pytest.approx(golden["losses"]["wat_last_round"], abs=1e-6)


def test_wat_combined_weights_are_the_papers_loss(golden):
    wat = weighting("wat", golden["num_classes"])
    for _, statistics in wat_statistics(golden):
        wat.update(statistics)
    terms, labels = losses_of(golden)
    total, experts = terms.total(), torch.tensor(wat.expert_weights)
    expected = (experts[labels] * total).mean() + experts[-1] * total.mean()
    assert wat.combine(terms, labels).item() == pytest.approx(expected.item(), abs=1e-12)


def test_wat_stays_finite_however_long_the_run(golden):
    assert np.isfinite(hedge_weights(np.array([1e6, 1e6 + 1, 0.0]), 0.1)).all()


def test_wat_counts_a_class_without_validation_samples_with_the_mean():
    counts = ConfusionMatrix(np.diag([30, 10, 0]))
    validation = ValidationStatistics(
        clean=counts, robust=counts, natural_loss=np.array([1.0, 3.0, np.nan]), boundary_loss=np.array([0.0, 1.0, np.nan])
    )
    np.testing.assert_allclose(expert_losses(validation, 6.0), [1.0, 9.0, 3.0, 3.0])


@pytest.mark.parametrize("strength", [1.0, 1.5])
def test_dafa_weights(golden, strength):
    found = dafa_weights(np.array(golden["dafa_class_similarity"]), strength)
    np.testing.assert_allclose(found, golden[f"dafa_weights_lambda{strength}"], **CLOSE)


def test_dafa_loss_margins_and_steps_take_the_same_weights(golden):
    size = golden["num_classes"]
    statistics = EpochStatistics(
        epoch=0, nb_epochs=2, robust=balanced(size), mean_probabilities=np.array(golden["dafa_class_similarity"])
    )
    dafa, margin = weighting("dafa", size, warm_up=1), create("epsilon_scheduler", "dafa", warm_up=1)
    margin.start(size, 8 / 255, 2 / 255)
    dafa.update(statistics)
    margin.update(statistics)
    terms, labels = losses_of(golden)
    assert dafa.combine(terms, labels).item() == pytest.approx(golden["losses"]["dafa_trades_lambda1_beta6"], abs=1e-6)
    expected = np.array(golden["dafa_weights_lambda1.0"])
    np.testing.assert_allclose(margin.current, 8 / 255 * expected, **CLOSE)
    np.testing.assert_allclose(margin.current_step, 2 / 255 * expected, **CLOSE)


def test_ccr_shares_and_losses(golden):
    accuracy = np.array(golden["class_accuracy"])
    np.testing.assert_allclose(class_wise_beta(0.5 + accuracy, 6.0), golden["ccr_beta_lambda0.5_beta6"], **CLOSE)
    terms, labels = losses_of(golden)
    ccr = weighting("ccr", golden["num_classes"])
    assert ccr.combine(terms, labels).item() == pytest.approx(golden["losses"]["cfa_trades_uniform"], abs=1e-6)
    ccr.load_state_dict({"current": (0.5 + accuracy).tolist()})
    assert ccr.combine(terms, labels).item() == pytest.approx(golden["losses"]["cfa_trades_ccr"], abs=1e-6)


def test_trades_loss(golden):
    terms, labels = losses_of(golden)
    loss = weighting("uniform", golden["num_classes"]).combine(terms, labels)
    assert loss.item() == pytest.approx(golden["losses"]["trades_beta6"], abs=1e-6)


class Scripted(torch.nn.Module):
    """Gives the logits of the sample number that it is handed."""

    def __init__(self, *tables):
        super().__init__()
        self.table = torch.cat([torch.tensor(table, dtype=torch.float64) for table in tables])

    def forward(self, x):
        return self.table[x[:, 0].long()]


def test_bat_loss_terms(golden):
    values = golden["losses"]
    n = len(values["labels"])
    network = Scripted(values["clean_logits"], values["last_clean_logits"], values["adversarial_logits"])
    number = torch.arange(n, dtype=torch.float64)[:, None]
    eps = torch.zeros(n)
    batch = Batch(x=number, y=torch.tensor(values["labels"]), eps=eps, eps_step=eps, max_iter=0)
    terms = create("objective", "bat").losses(network, batch, (number + n, number + 2 * n))
    assert terms.natural.mean().item() == pytest.approx(values["bat_natural"], abs=1e-6)
    assert terms.beta * terms.boundary.mean().item() == pytest.approx(values["bat_robust_beta6"], abs=1e-6)
    assert terms.extra.mean().item() == pytest.approx(values["bat_uniform"], abs=1e-6)
