"""Early-stopped PGD: when a sample stops, and that all else is PGD."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fairart.attacks import early_stopped_pgd, pgd

# On a line the model says class 1 above 0.5; a step of 0.1 to the right from x is the whole attack on class 0.
STEP = 0.1


def threshold(x):
    return torch.cat([0.5 - x, x - 0.5], dim=1) * 10


def run(x, y, **options):
    arguments = {"eps": 1.0, "eps_step": STEP, "max_iter": 5, "start": x, **options}
    return early_stopped_pgd(threshold, x, y, **arguments)


def test_a_sample_wrong_from_the_start_is_not_moved_with_tau_zero():
    x, y = torch.tensor([[0.7], [0.2]]), torch.tensor([0, 1])
    assert torch.equal(run(x, y, tau=0), x)


@pytest.mark.parametrize("tau", [0, 1, 2, 3])
def test_exactly_tau_steps_follow_the_first_misclassified_iterate(tau):
    # 0.25 passes 0.5 with its third step (0.55); 0.7 is misclassified before the first.
    x, y = torch.tensor([[0.25], [0.7]]), torch.tensor([0, 0])
    found = run(x, y, tau=tau, max_iter=8)
    expected = torch.tensor([[0.55 + tau * STEP], [0.7 + tau * STEP]]).clamp(max=1.0)
    torch.testing.assert_close(found, expected)


def test_a_sample_that_is_never_fooled_takes_every_step():
    x, y = torch.tensor([[0.05]]), torch.tensor([0])
    torch.testing.assert_close(run(x, y, tau=0, max_iter=3), torch.tensor([[0.35]]))


def test_large_tau_is_plain_pgd():
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(6, 4)
    x, y = torch.rand(8, 6, generator=generator), torch.randint(4, (8,), generator=generator)
    options = {"eps": torch.linspace(0, 0.3, 8), "eps_step": 0.05, "max_iter": 6, "start": x + 0.01}
    torch.testing.assert_close(early_stopped_pgd(model, x, y, tau=6, **options), pgd(model, x, y, **options))


def test_targets_attract_and_a_target_equal_to_the_label_repels():
    model = nn.Linear(6, 4)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(8, 6, generator=generator), torch.randint(4, (8,), generator=generator)
    targets = torch.where(torch.arange(8) % 2 == 0, (y + 1) % 4, y)
    options = {"eps": 0.2, "eps_step": 0.05, "max_iter": 5, "start": x}
    found = early_stopped_pgd(model, x, y, targets=targets, tau=5, **options)
    expected = pgd(model, x, targets, targeted=targets != y, **options)
    torch.testing.assert_close(found, expected)


def test_the_label_and_not_the_target_decides_when_a_sample_is_fooled():
    # The target, class 1, is far; the sample is misclassified as class 1 only where it crosses 0.5.
    x, y = torch.tensor([[0.35]]), torch.tensor([0])
    found = run(x, y, targets=torch.tensor([1]), tau=1, max_iter=8)
    torch.testing.assert_close(found, torch.tensor([[0.65]]))


@settings(deadline=None, max_examples=30)
@given(
    eps=st.lists(st.sampled_from([0.0, 0.02, 0.5]), min_size=5, max_size=5),
    tau=st.integers(0, 3),
    steps=st.integers(0, 4),
    seed=st.integers(0, 50),
)
def test_output_stays_within_each_samples_eps_and_the_clip_values(eps, tau, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(5, 1, generator=generator), torch.randint(2, (5,), generator=generator)
    budget = torch.tensor(eps)
    found = early_stopped_pgd(threshold, x, y, eps=budget, eps_step=0.2, max_iter=steps, tau=tau, generator=generator)
    assert found.min() >= 0
    assert found.max() <= 1
    assert ((found - x).abs().amax(dim=1) <= budget + 1e-6).all()
    assert torch.equal(found[budget == 0], x[budget == 0])
    assert not found.requires_grad


def test_one_forward_a_step_and_no_gradient_on_parameters():
    model, forwards = nn.Linear(3, 2), []
    model.register_forward_hook(lambda *_: forwards.append([p.requires_grad for p in model.parameters()]))
    early_stopped_pgd(model, torch.rand(4, 3), torch.zeros(4, dtype=torch.int64), eps=0.1, eps_step=0.1, max_iter=6)
    assert forwards == [[False, False]] * 6
    assert model.weight.requires_grad
    assert model.weight.grad is None


def test_the_generator_alone_decides_the_start():
    x, y = torch.full((4, 1), 0.3), torch.zeros(4, dtype=torch.int64)
    state = torch.get_rng_state()

    def once(seed):
        generator = torch.Generator().manual_seed(seed)
        return early_stopped_pgd(threshold, x, y, eps=0.1, eps_step=0.001, max_iter=2, generator=generator)

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": -1}, "tau and max_iter must be >= 0, got -1 and 5"),
        ({"max_iter": -2}, "tau and max_iter must be >= 0"),
        ({"eps": -1.0}, "eps must be >= 0"),
        ({"eps_step": torch.ones(3)}, r"one number a sample \(1,\), got shape \(3,\)"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(torch.tensor([[0.5]]), torch.tensor([0]), **options)
