"""Attacks with their defaults are as strong as they claim, and the size of a model's logits does not disarm them in silence."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from fairart import create
from fairart.evaluation import EvaluationError, evaluate
from fairart.evaluation.attacks.specs import resolve_attacks

EPS = 0.15
MARGIN = 0.1
"""By how much an attack may leave a larger share of samples right than PGD of the same budget."""

STRONG = {
    "apgd-ce": {"nb_random_init": 1, "max_iter": 30},
    "apgd-dlr": {"nb_random_init": 1, "max_iter": 30},
    "cw": {},
    "art-autoattack": {"max_iter": 20, "max_queries": 50, "nb_restarts": 1},
}
if importlib.util.find_spec("pyautoattack") is not None:
    STRONG["autoattack"] = {"version": "custom", "attacks_to_run": ("apgd-ce", "apgd-t"), "n_iter": 20}


class Scaled(nn.Module):
    def __init__(self, model, scale):
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, x):
        return self.scale * self.model(x)


@pytest.fixture(scope="module")
def learnt():
    """A small network that learnt digits, and images that it gets right."""
    data = create("dataset", "digits")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        x, y = torch.from_numpy(np.asarray(data.x_train, dtype=np.float32)), torch.from_numpy(data.y_train)
        if data.x_train.dtype == np.uint8:
            x = x / 255
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    keep = (model(x).argmax(dim=1) == y).nonzero()[:40, 0]
    return model.eval(), x[keep].numpy(), y[keep].numpy()


@pytest.fixture
def accuracy(learnt, make_classifier):
    """``accuracy(name, scale=1.0, **options)``: share of samples that the attack leaves right, and names of failed checks."""
    model, x, y = learnt

    def run(name, scale=1.0, **options):
        classifier = make_classifier(Scaled(model, scale), shape=(1, 8, 8), nb_classes=10)
        result = evaluate(classifier, x, y, attacks=[(name, {"eps": EPS, **options})], sanity_samples=40, verbose=False)
        return result[name].accuracy, {check.name for check in result.checks if not check.passed}

    return run


@pytest.mark.parametrize("name", STRONG)
def test_what_claims_to_be_stronger_than_pgd_is_not_weaker(name, accuracy):
    pgd, _ = accuracy("pgd")
    found, failed = accuracy(name, **STRONG[name])
    assert found <= pgd + MARGIN
    assert "not weaker than one gradient step" not in failed


def test_pgd_is_stronger_than_one_step(accuracy):
    assert accuracy("pgd")[0] < accuracy("fgsm")[0]


@pytest.mark.parametrize("eps", [0.05, 0.3, 0.6])
def test_the_step_of_pgd_follows_eps(eps, accuracy, learnt):
    default, _ = accuracy("pgd", eps=eps)
    assert default == pytest.approx(accuracy("pgd", eps=eps, eps_step=eps / 4)[0], abs=1e-9)
    (spec,) = resolve_attacks([("pgd", {"eps": eps})])
    assert spec.checked(None).notes == {"eps_step": eps / 4}


@pytest.mark.parametrize("name", ["pgd", "cw"])
def test_a_step_that_cannot_cross_the_ball_is_named(name, accuracy):
    with pytest.warns(
        UserWarning, match=rf"attack '{name}': 5 steps of 0.02 cannot cross a ball of eps 0.15.*take eps_step=0.0375"
    ):
        accuracy(name, eps_step=0.02, max_iter=5)


def test_a_weak_attack_is_marked(accuracy):
    with pytest.warns(UserWarning, match="cannot cross"):
        _, failed = accuracy("pgd", eps_step=0.001, max_iter=2, num_random_init=0)
    assert "not weaker than one gradient step" in failed


SCALES = [0.01, 0.1, 10.0, 100.0]
ANY_SCALE = {
    "cw": {},
    "cw in L2": {"norm": 2, "eps": 1.0, "max_iter": 20, "binary_search_steps": 5},
    "deepfool": {"norm": 2, "eps": 1.0},
    "apgd-dlr": {"nb_random_init": 1, "max_iter": 20},
    **{name: options for name, options in STRONG.items() if name.endswith("autoattack")},
}


@pytest.mark.parametrize("name", ANY_SCALE)
def test_these_are_as_strong_whatever_the_size_of_the_logits(name, accuracy):
    options, attack = ANY_SCALE[name], name.removesuffix(" in L2")
    plain, _ = accuracy(attack, **options)
    assert plain < 0.9
    for scale in SCALES:
        assert accuracy(attack, scale, **options)[0] == pytest.approx(plain, abs=0.051)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exponent=st.integers(-20, 20), eps=st.floats(0.02, 0.3))
def test_steps_on_the_margin_loss_see_no_scale_at_all(exponent, eps, learnt, make_classifier):
    """A power of two changes no digit of a float, and the sign of no gradient."""
    model, x, y = learnt
    found = [
        evaluate(
            make_classifier(Scaled(model, scale), shape=(1, 8, 8), nb_classes=10),
            x,
            y,
            attacks=[("cw", {"eps": eps, "max_iter": 10})],
            sanity_samples=0,
            verbose=False,
        )["cw"].predictions.tolist()
        for scale in (1.0, 2.0**exponent)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["fgsm", "pgd", "apgd-ce"])
def test_cross_entropy_depends_on_the_size_but_not_in_silence(name, accuracy):
    options = STRONG.get(name, {})
    plain, _ = accuracy(name, **options)
    for scale in (0.01, 0.1, 10.0, 100.0):
        found, failed = accuracy(name, scale, **options)
        said = failed & {"share of zero gradients", "cross-entropy not weaker than the margin loss"}
        assert abs(found - plain) <= MARGIN + 0.05 or said, scale
    assert "saturate" in (create("attack", name).func.__doc__ or "")


def test_an_attack_that_saturation_stops_is_an_error(accuracy):
    with pytest.raises(EvaluationError, match="changed none of 40 samples"):
        accuracy("fgsm", 1000.0)
