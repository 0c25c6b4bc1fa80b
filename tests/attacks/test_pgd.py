"""PGD and FGSM: golden values, their box, what they cost, what they leave alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fairart.attacks import fgsm, frozen, pgd, project
from fairart.attacks.common import kl_divergence

DATA = Path(__file__).parent.parent / "data"


class Counting(nn.Module):
    """A small network that counts its forward passes."""

    def __init__(self, nb_classes=3, features=5):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(nb_classes, features, generator=generator))
        self.forwards = 0

    def forward(self, x):
        self.forwards += 1
        return x.flatten(1) @ self.weight.T


def batch(n=6, features=5, nb_classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, features, generator=generator), torch.randint(nb_classes, (n,), generator=generator)


@pytest.fixture(params=[10, 7])
def golden(request):
    values = json.loads((DATA / f"pgd_{request.param}_classes.json").read_text())
    whole = {"labels", "targets"}
    tensors = {
        key: torch.tensor(value, dtype=torch.int64 if key in whole else torch.float64)
        for key, value in values.items()
        if isinstance(value, list)
    }
    tensors["arguments"] = {
        "eps": tensors["eps_per_sample"],
        "eps_step": values["eps_step"],
        "max_iter": values["max_iter"],
        "start": tensors["x"] + tensors["start_delta"],
    }
    return tensors


@pytest.mark.parametrize(
    ("result", "aims", "options"),
    [
        ("x_adv_untargeted", "labels", {}),
        ("x_adv_targeted", "targets", {"targeted": True}),
        ("x_adv_kl", None, {"loss": "kl"}),
    ],
)
def test_golden_values_of_the_authors_programs(golden, result, aims, options):
    def model(x):
        return x @ golden["model_weight"].T

    y = golden[aims] if aims else None
    found = pgd(model, golden["x"], y, **golden["arguments"], **options)
    torch.testing.assert_close(found, golden[result], rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    eps=st.lists(st.sampled_from([0.0, 0.01, 0.3, 2.0]), min_size=4, max_size=4),
    step=st.sampled_from([0.0, 0.004, 0.7]),
    steps=st.integers(0, 3),
    loss=st.sampled_from(["ce", "kl"]),
    targeted=st.booleans(),
    seed=st.integers(0, 100),
)
def test_output_stays_within_each_samples_eps_and_the_clip_values(eps, step, steps, loss, targeted, seed):
    x, y = batch(4, seed=seed)
    budget = torch.tensor(eps)
    generator = torch.Generator().manual_seed(seed)
    found = pgd(Counting(), x, y, eps=budget, eps_step=step, max_iter=steps, loss=loss, targeted=targeted, generator=generator)
    assert found.min() >= 0
    assert found.max() <= 1
    assert ((found - x).abs().amax(dim=1) <= budget + 1e-6).all()
    assert torch.equal(found[budget == 0], x[budget == 0])
    assert not found.requires_grad


def test_linear_model_reaches_the_closed_form_worst_case():
    weight = torch.tensor([[0.5, -1.0, 2.0], [-0.5, 1.0, 0.25]], dtype=torch.float64)
    x = torch.tensor([[0.5, 0.5, 0.5], [0.02, 0.5, 0.99]], dtype=torch.float64)
    y = torch.tensor([0, 1])
    eps = torch.tensor([0.1, 0.05], dtype=torch.float64)
    found = pgd(lambda inputs: inputs @ weight.T, x, y, eps=eps, eps_step=0.02, max_iter=20, start=x)
    # With two classes the loss grows with the other logit less that of the label, so the worst corner is known.
    direction = (weight[1 - y] - weight[y]).sign()
    torch.testing.assert_close(found, (x + eps[:, None] * direction).clamp(0, 1))
    one_step = fgsm(lambda inputs: inputs @ weight.T, x, y, eps=eps)
    torch.testing.assert_close(one_step, found)


def test_class_budgets_and_steps_are_those_of_each_sample_alone():
    x, y = batch()
    eps, step = torch.linspace(0.0, 0.2, 6), torch.linspace(0.01, 0.05, 6)
    together = pgd(Counting(), x, y, eps=eps, eps_step=step, max_iter=5, start=x)
    alone = [
        pgd(
            Counting(),
            x[i : i + 1],
            y[i : i + 1],
            eps=float(eps[i]),
            eps_step=float(step[i]),
            max_iter=5,
            start=x[i : i + 1],
        )
        for i in range(6)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_targeted_and_untargeted_mix_within_a_batch():
    x, y = batch()
    mixed = torch.tensor([True, False, True, False, False, True])
    options = {"eps": 0.1, "eps_step": 0.03, "max_iter": 4, "start": x}
    both = pgd(Counting(), x, y, targeted=mixed, **options)
    away, towards = (pgd(Counting(), x, y, targeted=flag, **options) for flag in (False, True))
    torch.testing.assert_close(both, torch.where(mixed[:, None], towards, away))
    assert not torch.allclose(away, towards)


@pytest.mark.parametrize(
    ("options", "forwards"),
    [({}, 7), ({"loss": "kl"}, 8), ({"loss": "kl", "reference": torch.zeros(6, 3)}, 7), ({"targeted": True}, 7)],
)
def test_a_step_costs_one_forward(options, forwards):
    model, (x, y) = Counting(), batch()
    pgd(model, x, y, eps=0.1, eps_step=0.02, max_iter=7, **options)
    assert model.forwards == forwards


def test_parameters_take_no_gradient_and_are_given_back_as_they_were():
    model, (x, y) = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)), batch()
    model[0].bias.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    during = []
    model.register_forward_pre_hook(lambda *_: during.extend(p.requires_grad for p in model.parameters()))
    pgd(model, x, y, eps=0.1, eps_step=0.02, max_iter=3)
    assert during
    assert not any(during)
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_requires_grad_comes_back_when_the_model_raises():
    model = nn.Linear(5, 3)

    def fail(*_):
        raise RuntimeError("no forward today")

    model.register_forward_pre_hook(fail)
    x, y = batch()
    with pytest.raises(RuntimeError, match="no forward today"):
        pgd(model, x, y, eps=0.1, eps_step=0.02, max_iter=3)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_inputs_and_gradients_of_the_caller_are_left_alone():
    x, y = batch()
    x.requires_grad_(True)
    copy = x.detach().clone()
    start = x.detach() + 0.01
    begun = start.clone()
    found = pgd(Counting(), x, y, eps=0.1, eps_step=0.02, max_iter=3, start=start)
    assert torch.equal(x, copy)
    assert torch.equal(start, begun)
    assert x.grad is None
    assert not found.requires_grad


@pytest.mark.parametrize("loss", ["ce", "kl"])
def test_the_generator_alone_decides_the_start(loss):
    x, y = batch()
    torch.manual_seed(5)
    state = torch.get_rng_state()

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        return pgd(Counting(), x, y, eps=0.1, eps_step=0.001, max_iter=2, loss=loss, generator=generator)

    first = run(3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(3)
    assert torch.equal(run(3), first)
    assert not torch.equal(run(4), first)


def test_start_is_uniform_in_the_ball_for_ce_and_close_to_the_input_for_kl():
    x, y = torch.full((400, 5), 0.5), torch.zeros(400, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    options = {"eps": 0.2, "eps_step": 0.1, "max_iter": 0, "generator": generator}
    uniform = pgd(Counting(), x, y, **options) - x
    assert uniform.abs().max() == pytest.approx(0.2, abs=0.002)
    assert uniform.std().item() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)
    normal = pgd(Counting(), x, y, loss="kl", **options) - x
    assert normal.std().item() == pytest.approx(0.001, rel=0.1)


def test_clip_values_per_channel_and_none():
    x = torch.full((2, 3, 2, 2), 0.5)
    y = torch.tensor([0, 1])
    low, high = torch.tensor([0.45, 0.0, 0.5]).view(3, 1, 1), torch.tensor([0.55, 1.0, 0.5]).view(3, 1, 1)
    model = Counting(features=12)
    found = pgd(model, x, y, eps=0.3, eps_step=0.3, max_iter=2, clip_values=(low, high))
    assert ((found >= low) & (found <= high)).all()
    assert (found[:, 1] - 0.5).abs().max() == pytest.approx(0.3)
    free = pgd(model, x + 1, y, eps=0.3, eps_step=0.3, max_iter=2, clip_values=None)
    assert free.max() == pytest.approx(1.8)


def test_an_input_outside_the_clip_values_stays_within_its_ball():
    x = torch.tensor([[1.2, -0.1, 0.5]])
    projected = project(x + 0.5, x, eps=0.1)
    torch.testing.assert_close(projected, torch.tensor([[1.2, 0.0, 0.6]]))


def test_kl_divergence_is_that_of_the_clean_prediction_against_the_adversarial():
    logits, reference = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p, q = reference.softmax(dim=1), logits.softmax(dim=1)
    torch.testing.assert_close(kl_divergence(logits, reference), (p * (p / q).log()).sum(dim=1))


def test_frozen_nests_and_ignores_what_is_no_module():
    model = nn.Linear(2, 2)
    with frozen(model), frozen(model):
        assert not model.weight.requires_grad
    assert model.weight.requires_grad
    with frozen(lambda x: x):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": -1}, "max_iter must be >= 0, got -1"),
        ({"eps": -0.1}, r"eps must be >= 0, got -0\.1"),
        ({"eps": float("nan")}, "eps must be >= 0, got nan"),
        ({"eps_step": -0.1}, "eps_step must be >= 0"),
        ({"eps": torch.ones(4)}, r"eps must be a number or one number a sample \(6,\), got shape \(4,\)"),
        ({"eps_step": torch.ones(6, 1)}, "eps_step must be a number or one number a sample"),
        ({"loss": "dlr"}, "loss must be 'ce' or 'kl', got 'dlr'"),
    ],
)
def test_bad_arguments_are_refused_before_any_forward(options, message):
    model, (x, y) = Counting(), batch()
    with pytest.raises(ValueError, match=message):
        pgd(model, x, y, **{"eps": 0.1, "eps_step": 0.01, "max_iter": 2, **options})
    assert model.forwards == 0


def test_cross_entropy_needs_labels():
    with pytest.raises(ValueError, match="needs labels or targets"):
        pgd(Counting(), batch()[0], None, eps=0.1, eps_step=0.1, max_iter=1)
