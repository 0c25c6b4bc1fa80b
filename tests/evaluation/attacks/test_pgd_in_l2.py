"""PGD and FGSM of an evaluation with norm 2."""

import math

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from fairart.engine.network import Network
from fairart.evaluation import evaluate
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.attacks.pgd import fgsm_attack, pgd_attack
from fairart.evaluation.attacks.target import draw_in_ball, draw_uniform


def linear(nb_classes=2, clip_values=(0.0, 1.0), seed=0):
    generator, layer = torch.Generator().manual_seed(seed), nn.Linear(64, nb_classes)
    with torch.no_grad():
        layer.weight.copy_(torch.randn((nb_classes, 64), generator=generator) / 4)
        layer.bias.zero_()
    model = nn.Sequential(nn.Flatten(), layer)
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 8, 8), nb_classes, clip_values=clip_values, device_type="cpu"
    )
    x = 0.3 + 0.4 * torch.rand((40, 1, 8, 8), generator=generator)
    with torch.no_grad():
        y = model(x).argmax(dim=1)
    return classifier, AttackTarget(classifier, Network(classifier).eval(), tuple(range(40))), x, y


@settings(max_examples=15, deadline=None)
@given(eps=st.sampled_from([0.05, 0.3, 1.0]), seed=st.integers(0, 99))
def test_both_reach_the_worst_case_of_a_linear_model(eps, seed):
    classifier, target, x, y = linear(clip_values=None, seed=seed)
    weight = classifier.model[1].weight.detach()
    towards = weight[1 - y] - weight[y]
    worst = x + eps * (towards / towards.norm(dim=1, keepdim=True)).view_as(x)
    torch.testing.assert_close(fgsm_attack(target, x, y, eps=eps, norm=2), worst)
    start_at_input = {"num_random_init": 0, "stop_when_fooled": False}
    torch.testing.assert_close(pgd_attack(target, x, y, eps=eps, norm="L2", **start_at_input), worst)
    with torch.no_grad():
        margin = -(classifier.model(worst) * torch.stack([1 - 2 * y, 2 * y - 1], dim=1)).sum(dim=1)
        fooled = classifier.model(pgd_attack(target, x, y, eps=eps, norm=2, max_iter=60)).argmax(dim=1) != y
    clear = margin.abs() > 0.02 * eps
    assert torch.equal(fooled[clear], (margin > 0)[clear])


def test_pgd_is_that_of_art_away_from_the_clip_values():
    classifier, target, x, y = linear(4)
    options = {"eps": 0.25, "eps_step": 0.1, "max_iter": 6}
    expected = ProjectedGradientDescent(classifier, norm=2, verbose=False, **options).generate(x.numpy(), np.eye(4)[y.numpy()])
    found = pgd_attack(target, x, y, norm=2, num_random_init=0, stop_when_fooled=False, **options)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(
    eps=st.floats(0, 5),
    steps=st.integers(1, 4),
    restarts=st.integers(0, 2),
    stop=st.booleans(),
    width=st.sampled_from([0.3, 1.0]),
)
def test_what_comes_back_lies_in_the_ball_and_the_clip_values(eps, steps, restarts, stop, width):
    _, target, x, y = linear(3, clip_values=(0.5 - width / 2, 0.5 + width / 2))
    x = x.clamp(0.5 - width / 2, 0.5 + width / 2)
    found = pgd_attack(target, x, y, eps=eps, max_iter=steps, num_random_init=restarts, stop_when_fooled=stop, norm=2)
    assert bool(((found - x).flatten(1).norm(dim=1) <= eps + 1e-5).all())
    assert float((found - 0.5).abs().max()) <= width / 2 + 1e-6


def test_a_sample_s_start_is_uniform_and_its_own():
    x, seeds = torch.zeros(4000, 5), list(range(4000))
    points = draw_in_ball(x, seeds, 2)
    assert stats.kstest((points.norm(dim=1) ** 5).numpy(), "uniform").pvalue > 0.01
    assert torch.equal(draw_in_ball(x[10:20], seeds[10:20], 2), points[10:20])
    assert torch.equal(draw_in_ball(x[:9], seeds[:9], math.inf), draw_uniform(x[:9], seeds[:9]))
    plain = draw_in_ball(x[:50], None, 2, generator=torch.Generator().manual_seed(0))
    assert float(plain.norm(dim=1).max()) <= 1


def test_an_evaluation_does_not_depend_on_the_batches_and_names_the_budget():
    classifier, _, x, y = linear(3, seed=2)
    options = {"eps": 0.1, "norm": 2, "max_iter": 5, "num_random_init": 2}
    results = [
        evaluate(classifier, x.numpy(), y.numpy(), attacks=[("pgd", options)], batch_size=size, seed=1, verbose=False)
        for size in (7, 40)
    ]
    np.testing.assert_array_equal(*(result["pgd"].predictions for result in results))
    assert str(results[0]["pgd"].budget) == "L2, eps 0.1"
    assert 0 < results[0]["pgd"].correct.mean() < 1
    assert all(check.passed for check in results[0].checks if check.passed is not None)


@pytest.mark.parametrize("attack", ["pgd", "fgsm"])
def test_another_norm_is_refused(attack):
    classifier, _, x, y = linear(3)
    with pytest.raises(ValueError, match=r"norm expects one of"):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=[(attack, {"norm": 1})], verbose=False)
