"""Projection onto L-inf and L2, PGD where its best is known, and checks that attacks make before any work."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fairart.engine.network import Network
from fairart.errors import OptionError, PluginError
from fairart.evaluation import AttackTarget, EvaluationError, evaluate
from fairart.evaluation.attacks.norms import hold, norm_order
from fairart.evaluation.attacks.pgd import pgd_attack
from fairart.evaluation.attacks.preflight import preflight
from fairart.evaluation.attacks.specs import resolve_attacks


@pytest.mark.parametrize(
    ("name", "order"), [("inf", math.inf), ("Linf", math.inf), (math.inf, math.inf), (2, 2), (2.0, 2), ("L2", 2), (1, None)]
)
def test_norms_by_every_name(name, order):
    assert norm_order(name) == order


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 5), st.sampled_from([math.inf, 2.0, None]), st.integers(0, 99))
def test_what_is_held_is_inside_and_what_was_inside_stays(eps, order, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((5, 1, 4, 4), generator=generator)
    x_adv = x + torch.randn(x.shape, generator=generator) * torch.logspace(-3, 1, 5).view(-1, 1, 1, 1)
    held = hold(x_adv, x, eps=eps, order=order, clip_values=(0.0, 1.0))
    assert held.min() >= 0
    assert held.max() <= 1
    change = (held - x).flatten(1)
    if order is not None:
        assert (torch.linalg.vector_norm(change, ord=order, dim=1) <= eps * (1 + 1e-5) + 1e-6).all()
    assert torch.equal(hold(held, x, eps=math.inf, order=order, clip_values=(0.0, 1.0)), held)
    inside = x + change.view_as(x) * 0.5
    torch.testing.assert_close(hold(inside, x, eps=eps, order=order, clip_values=(0.0, 1.0)), inside)


@pytest.mark.parametrize("clip_values", [(0.0, 1.0), None])
@settings(max_examples=15, deadline=None)
@given(eps=st.sampled_from([0.01, 0.1, 0.4]), seed=st.integers(0, 99))
def test_pgd_reaches_the_worst_case_of_a_linear_model(clip_values, eps, seed):
    from art.estimators.classification import PyTorchClassifier

    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(64, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.randn((2, 64), generator=generator) / 4)  # a loss that is not exactly 0
        linear.bias.copy_(torch.randn(2, generator=generator))
    model = nn.Sequential(nn.Flatten(), linear)
    classifier = PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 2, clip_values=clip_values, device_type="cpu")
    x = torch.rand((40, 1, 8, 8), generator=generator)
    with torch.no_grad():
        y = model(x).argmax(dim=1)
        towards = (linear.weight[1 - y] - linear.weight[y]).view_as(x).sign()
        corner = x + eps * towards
        corner = corner if clip_values is None else corner.clamp(0, 1)
        logits = model(corner)
        margin = logits.gather(1, y[:, None])[:, 0] - logits.gather(1, 1 - y[:, None])[:, 0]
    target = AttackTarget(classifier, Network(classifier).eval(), tuple(range(40)))
    options = {"eps": eps, "eps_step": eps / 2, "max_iter": 10}
    torch.testing.assert_close(pgd_attack(target, x, y, stop_when_fooled=False, **options), corner)
    with torch.no_grad():
        fooled = model(pgd_attack(target, x, y, **options)).argmax(dim=1) != y
    clear = margin.abs() > 1e-4
    assert torch.equal(fooled[clear], (margin < 0)[clear])


def test_stopping_at_the_first_wrong_iterate_misses_nothing(classifier, digits):
    fooled = {}
    for stop in (True, False):
        options = {"eps": 0.1, "eps_step": 0.05, "max_iter": 8, "stop_when_fooled": stop}
        result = evaluate(classifier, digits.x, digits.y, attacks=[("pgd", options)], verbose=False)
        fooled[stop] = ~result["pgd"].correct
    assert (fooled[True] >= fooled[False]).all()
    assert 0 < fooled[False].sum() < len(digits.y)


def test_a_check_of_an_attack_runs_first_and_its_notes_stand_beside_the_numbers(classifier, digits, register):
    asked = []

    def check(subject, options):
        asked.append((subject, dict(options)))
        return {"budget": "half of everything"}

    @preflight(check)
    def halved(target, x, y, *, share: float = 0.5):
        assert asked, "the check comes first"
        return x * share

    register(attacks={"halved": halved})
    result = evaluate(classifier, digits.x[:20], digits.y[:20], attacks=["halved"], verbose=False)
    assert asked == [(classifier, {"share": 0.5})]
    assert result["halved"].config["notes"] == {"budget": "half of everything"}
    assert "halved(share=0.5); budget: half of everything" in result.table()


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (KeyError("x"), PluginError, "plugin 'stranger': the check of attack 'odd' raised KeyError"),
        (OptionError("no"), OptionError, "^no$"),
        (ImportError("needs it"), ImportError, "^needs it$"),
    ],
)
def test_a_check_that_fails_stops_the_evaluation(classifier, register, error, raised, message):
    def check(subject, options):
        raise error

    @preflight(check)
    def odd(target, x, y):
        return x

    register(attacks={"odd": odd})
    with pytest.raises(raised, match=message):
        resolve_attacks(["odd"])[0].checked(classifier)


def test_a_strangers_l2_attack_is_held_to_its_radius(classifier, digits, register):
    def far(target, x, y, *, eps: float = 0.5, norm: str = "2"):
        return x + 0.2

    register(attacks={"far": far})
    result = evaluate(classifier, digits.x[:20], digits.y[:20], attacks=["far"], verbose=False)
    change = result["far"].perturbation
    assert change.share_outside == 1
    assert change.max_linf == pytest.approx(0.5 / 8, rel=1e-4)


def test_an_attack_that_does_nothing_is_still_an_error_in_l2(classifier, digits, register):
    def idle(target, x, y, *, eps: float = 0.5, norm: str = "2"):
        return x

    register(attacks={"idle": idle})
    with pytest.raises(EvaluationError, match="changed none"):
        evaluate(classifier, digits.x[:20], digits.y[:20], attacks=["idle"], verbose=False)


def test_an_attack_that_returns_the_input_where_it_fails_may_fail_on_all(classifier, digits, register):
    def nothing_found(target, x, y, *, eps: float = 0.5):
        return x

    register(attacks={"honest": preflight(lambda *_: None, returns_input=True)(nothing_found)})
    result = evaluate(classifier, digits.x[:20], digits.y[:20], attacks=["honest"], verbose=False)
    assert result["honest"].accuracy == result["clean"].accuracy
    assert result["honest"].perturbation.share_changed == 0
