"""PGD on a score, both ways, and inputs that fool: held to the budget, never worse than the input itself."""

import math

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fairart.engine.network import Network
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.ood.climbing import climb
from fairart.evaluation.ood.scores import LOGIT_SCORES, energy


@pytest.mark.parametrize("norm", ["inf", 2])
@pytest.mark.parametrize("score", list(LOGIT_SCORES))
def test_test_images_lose_score_and_outliers_gain_it(run, score, norm):
    eps = 0.1 if norm == "inf" else 0.6
    ood = run({"noise": "noise", "blurred": "blurred"}, scores=score, attack=score, eps=eps, max_iter=5, norm=norm).ood
    moved = ood.attacked[score]
    assert (moved.inliers.scores[score] <= ood.inliers.scores[score] + 1e-6).all()
    assert (moved.inliers.scores[score] < ood.inliers.scores[score]).mean() > 0.9
    for name in ood:
        assert (moved.outliers[name].scores[score] >= ood[name].scores[score] - 1e-6).all()
        assert ood.conditions(name, score) == ("none", "outliers", "inliers", "both")
        areas = [ood.detection(name, score, attacked=attacked).auroc for attacked in ("none", "outliers", "both")]
        assert areas == sorted(areas, reverse=True)
        assert ood.detection(name, score, attacked="inliers").auroc < areas[0]
    with pytest.raises(KeyError):
        ood.detection("noise", score, attacked="all")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([math.inf, 2.0]), st.floats(0, 2), st.integers(1, 4))
def test_the_budget_holds_and_the_objective_never_falls(seed, norm, eps, steps):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4))
    network = Network(PyTorchClassifier(model, nn.CrossEntropyLoss(), (12,), 4, clip_values=(0, 1), device_type="cpu"))
    x = torch.rand((6, 12), generator=generator)
    start = x + eps * (2 * torch.rand(x.shape, generator=generator) - 1)
    found = climb(network, x, energy, start=start, eps=eps, eps_step=eps / 2, max_iter=steps, norm=norm)
    assert (torch.linalg.vector_norm(found - x, ord=norm, dim=1) <= eps + 1e-5).all()
    assert found.min() >= 0
    assert found.max() <= 1
    with torch.no_grad():
        assert (energy(network(found).double()) >= energy(network(x).double()) - 1e-5).all()


def test_on_a_linear_model_it_finds_the_corner_of_the_ball():
    weight = torch.tensor([[3.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    model = nn.Linear(3, 2, bias=False)
    model.weight.data = weight
    network = Network(PyTorchClassifier(model, nn.CrossEntropyLoss(), (3,), 2, clip_values=(0, 1), device_type="cpu"))
    x = torch.full((1, 3), 0.5)
    found = climb(network, x, lambda z: z[:, 0] - z[:, 1], start=x, eps=0.2, eps_step=0.05, max_iter=8)
    np.testing.assert_allclose(found, [[0.7, 0.3, 0.7]], atol=1e-6)


class Rounded(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.round())


def test_a_model_without_a_gradient_is_named(classifier, run):
    rounds = PyTorchClassifier(
        Rounded(classifier.model), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu"
    )
    with pytest.raises(EvaluationError, match="gradient at the input is exactly zero"):
        run({"noise": "noise"}, of=rounds, attack="energy", eps=0.1)


class Noisy(Rounded):
    def forward(self, x):
        return self.inner(x + 0.01 * torch.randn_like(x))


def test_a_model_that_draws_leaves_the_global_random_state_and_repeats(run, classifier):
    noisy = PyTorchClassifier(
        Noisy(classifier.model), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu"
    )
    sets, options = {"fooling": "fooling", "noise": "noise"}, {"number": 40, "attack": "energy", "eps": 0.1, "max_iter": 2}
    before = torch.random.get_rng_state()
    first = run(sets, of=noisy, **options)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)
    assert run(sets, of=noisy, **options).to_dict() == first.to_dict()


def test_parameters_modes_and_random_states_are_left_as_they_were(run, classifier):
    before, state = torch.random.get_rng_state(), {key: value.clone() for key, value in classifier.model.state_dict().items()}
    classifier.model.train()
    run({"fooling": "fooling", "noise": "noise"}, number=20, attack="energy", eps=0.1, max_iter=2)
    assert classifier.model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in classifier.model.parameters())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, state[key]) for key, value in classifier.model.state_dict().items())


def test_fooling_inputs_reach_every_class_with_confidence(run):
    result = run({"fooling": "fooling", "noise": "noise"}, attack="energy", eps=0.1, max_iter=2)
    ood = result.ood
    targets, reached = np.arange(90) % 10, ood["fooling"].predictions == np.arange(90) % 10
    # A few starts end in a local optimum.
    assert reached.mean() > 0.8
    np.testing.assert_allclose(ood.target_rates("fooling"), [reached[targets == label].mean() for label in range(10)])
    certainty = ood["fooling"].confidences
    expected = [certainty[reached & (targets == label)].mean() for label in range(10)]
    np.testing.assert_allclose(ood.target_confidences("fooling"), expected)
    assert np.median(expected) > 0.99
    assert certainty.mean() > ood["noise"].confidences.mean()
    noise, fooling = sorted(result.to_dict()["ood"]["sets"], key=lambda part: "targets" in part)
    assert "targets" not in noise
    np.testing.assert_allclose(fooling["targets"]["rates"], ood.target_rates("fooling"))
    assert ood.target_rates("noise") is None
    assert ood.target_confidences("noise") is None
    # They are driven up already.
    assert list(ood.attacked["energy"].outliers) == ["noise"]
    assert ood.conditions("fooling", "energy") == ("none", "inliers")
    with pytest.raises(KeyError):
        ood.detection("fooling", "energy", attacked="both")
