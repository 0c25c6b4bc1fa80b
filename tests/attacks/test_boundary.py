"""Both boundary examples from one pass: which iterates they are, and what they cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fairart.attacks import boundary_pgd, pgd
from fairart.objectives import Batch, BATObjective

# On a line the model says class 1 above 0.5. KL to the clean prediction grows with the distance from the clean input, so the
# attack walks from its start away from x, 0.1 a step.
STEP = 0.1


def threshold(x):
    return torch.cat([0.5 - x, x - 0.5], dim=1) * 4


def run(x, y, **options):
    arguments = {"eps": 1.0, "eps_step": STEP, "max_iter": 5, "start": x + 0.01, **options}
    return (found.flatten().tolist() for found in boundary_pgd(threshold, x, y, **arguments))


@pytest.mark.parametrize("tau", [0, 1, 2])
def test_last_clean_is_one_step_before_the_boundary_and_first_adversarial_tau_steps_behind_it(tau):
    last_clean, first_adversarial = run(torch.tensor([[0.25]]), torch.tensor([0]), tau=tau, max_iter=8)
    assert last_clean == pytest.approx([0.46])
    assert first_adversarial == pytest.approx([0.56 + tau * STEP])


def test_a_sample_wrong_from_the_start_keeps_its_start_and_moves_tau_steps():
    last_clean, first_adversarial = run(torch.tensor([[0.6]]), torch.tensor([0]))
    assert last_clean == pytest.approx([0.61])
    assert first_adversarial == pytest.approx([0.71])


def test_a_sample_that_is_never_fooled_gives_the_last_iterate_twice():
    last_clean, first_adversarial = run(torch.tensor([[0.1]]), torch.tensor([0]), max_iter=2)
    assert last_clean == first_adversarial == pytest.approx([0.31])


def test_samples_do_not_depend_on_each_other():
    x, y = torch.tensor([[0.25], [0.6], [0.1]]), torch.tensor([0, 0, 0])
    together = [list(run(x, y))]
    for i in range(3):
        assert [values[i] for values in together[0]] == pytest.approx([v[0] for v in run(x[i : i + 1], y[i : i + 1])])


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.forwards = nn.Linear(6, 4), 0

    def forward(self, x):
        self.forwards += 1
        return self.layer(x)


def test_one_pass_serves_both_and_a_batch_costs_one_reference_and_three_forwards_more():
    model, generator = Counting(), torch.Generator().manual_seed(0)
    x, y = torch.rand(8, 6, generator=generator), torch.randint(4, (8,), generator=generator)
    eps = torch.full((8,), 0.1)
    batch = Batch(x=x, y=y, eps=eps, eps_step=eps / 4, max_iter=10, generator=generator)
    objective = BATObjective()
    examples = objective.examples(model, batch)
    assert model.forwards == 1 + 10
    objective.losses(model, batch, examples)
    assert model.forwards == 1 + 10 + 3
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_large_tau_makes_the_first_adversarial_plain_kl_pgd():
    model, generator = nn.Linear(6, 4), torch.Generator().manual_seed(0)
    x, y = torch.rand(8, 6, generator=generator), torch.randint(4, (8,), generator=generator)
    options = {"eps": torch.linspace(0, 0.3, 8), "eps_step": 0.05, "max_iter": 6, "start": x + 0.01}
    _, found = boundary_pgd(model, x, y, tau=6, **options)
    torch.testing.assert_close(found, pgd(model, x, None, loss="kl", **options))


@given(eps=st.floats(0, 0.5), tau=st.integers(0, 3), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_both_stay_within_budget_and_clip_values(eps, tau, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(6, 4, generator=generator), torch.randint(3, (6,), generator=generator)
    model = nn.Linear(4, 3)
    for found in boundary_pgd(model, x, y, eps=eps, eps_step=0.1, max_iter=4, tau=tau, generator=generator):
        assert (found - x).abs().max() <= eps + 1e-6
        assert found.min() >= 0
        assert found.max() <= 1


@pytest.mark.parametrize("option", ["tau", "max_iter"])
def test_negative_numbers_are_refused(option):
    x, y = torch.rand(2, 1), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="tau and max_iter must be >= 0"):
        boundary_pgd(threshold, x, y, **{"eps": 0.1, "eps_step": 0.1, "max_iter": 1, option: -1})
