"""FAAL's worst-case weights against a convex solver's, and their own laws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fairart import create
from fairart.policies import LossTerms
from fairart.policies.class_weightings.faal import class_margins, worst_case_weights

MARGINS = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=12)


def solved(margins, radius):
    """The same problem by a general solver."""
    size = len(margins)
    found = minimize(
        lambda p: -p @ margins,
        np.full(size, 1 / size),
        jac=lambda p: -margins,
        bounds=[(1e-9, 1)] * size,
        constraints=[
            {"type": "eq", "fun": lambda p: p.sum() - 1},
            {"type": "ineq", "fun": lambda p: radius + np.log(size) + np.log(p).mean()},
        ],
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return found.x


@pytest.mark.parametrize("radius", [0.05, 0.5, 2.0])
def test_the_solution_is_the_convex_solvers(radius):
    margins = np.array([-3.0, 0.5, 1.2, -0.7, 2.0])
    found = worst_case_weights(torch.tensor(margins), torch.ones(5, dtype=torch.bool), radius)
    np.testing.assert_allclose(found, solved(margins, radius), atol=1e-4)


@given(margins=MARGINS, radius=st.floats(0.01, 5))
@settings(max_examples=60, deadline=None)
def test_weights_are_a_distribution_on_the_ball(margins, radius):
    values = torch.tensor(margins, dtype=torch.float64)
    found = worst_case_weights(values, torch.ones(len(margins), dtype=torch.bool), radius)
    divergence = -np.log(len(margins)) - found.log().mean().item()
    assert found.sum().item() == pytest.approx(1)
    assert divergence <= radius + 1e-6
    if values.max() - values.min() > 1e-3:
        assert divergence == pytest.approx(radius, abs=1e-6)
        assert (found[values.argsort()].diff() >= -1e-12).all(), "a larger margin must not weigh less"


def test_float32_is_close_to_float64():
    margins = torch.linspace(-5, 3, 10, dtype=torch.float64)
    present = torch.ones(10, dtype=torch.bool)
    single = worst_case_weights(margins.float(), present, 0.5)
    torch.testing.assert_close(single.double(), worst_case_weights(margins, present, 0.5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("margins", [[1.0, 1.0, 1.0], [0.0, 5.0, -5.0]])
def test_equal_margins_or_radius_zero_give_equal_weights(margins):
    radius = 0.5 if len(set(margins)) == 1 else 0.0
    found = worst_case_weights(torch.tensor(margins), torch.ones(3, dtype=torch.bool), radius)
    torch.testing.assert_close(found, torch.full((3,), 1 / 3))


def test_absent_classes_get_nothing_and_change_nothing():
    margins = torch.tensor([1.0, float("nan"), -1.0, 1e9])
    present = torch.tensor([True, False, True, False])
    found = worst_case_weights(margins, present, 0.5)
    expected = worst_case_weights(torch.tensor([1.0, -1.0]), torch.ones(2, dtype=torch.bool), 0.5)
    torch.testing.assert_close(found[[0, 2]], expected)
    assert (found[[1, 3]] == 0).all()


def test_a_batch_of_one_class_is_weighted_with_one():
    logits, labels = torch.randn(6, 4), torch.full((6,), 2)
    terms = LossTerms(natural=torch.arange(6.0), adversarial_logits=logits)
    faal = create("class_weighting", "faal")
    faal.start(4)
    torch.testing.assert_close(faal.combine(terms, labels), torch.tensor(2.5))


def test_margins_are_the_best_other_logit_less_the_own_one():
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, 5.0, 1.0], [4.0, 0.0, 0.0]])
    margins, present = class_margins(logits, torch.tensor([0, 1, 1]))
    torch.testing.assert_close(margins[:2], torch.tensor([2.0, (-4.0 + 4.0) / 2]))
    assert present.tolist() == [True, True, False]


def test_the_loss_is_present_classes_times_the_weighted_mean_and_no_gradient_reaches_the_weights():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, 5, generator=generator).requires_grad_(True)
    labels = torch.randint(4, (30,), generator=generator)
    natural = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    faal = create("class_weighting", "faal")
    faal.start(5)
    loss = faal.combine(LossTerms(natural=natural, adversarial_logits=logits), labels)
    weights = worst_case_weights(*class_margins(logits, labels), 0.5)
    torch.testing.assert_close(loss, 4 * (weights[labels] * natural).sum() / 30)
    expected = torch.autograd.grad(4 * (weights[labels] * natural).sum() / 30, logits, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss, logits), expected)
