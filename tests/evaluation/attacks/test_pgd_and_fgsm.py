"""The built-in attacks of the evaluation, and which of them run under which label."""

import math

import pytest
import torch
from torch import nn

from fairart.engine.network import Network
from fairart.errors import OptionError, UnknownNameError
from fairart.evaluation import AttackTarget, EvaluationError
from fairart.evaluation.attacks import draw_uniform, fgsm_attack, pgd_attack
from fairart.evaluation.attacks.descent import FLAT_BATCH
from fairart.evaluation.attacks.specs import resolve_attacks
from fairart.evaluation.running.random_state import sample_seeds

SEEDS = tuple(range(100, 112))


@pytest.fixture
def target(classifier):
    network = Network(classifier)
    network.eval()
    return AttackTarget(classifier, network, SEEDS)


@pytest.fixture
def batch(digits):
    return torch.from_numpy(digits.x[:12]), torch.from_numpy(digits.y[:12])


def test_fgsm_is_one_signed_step(target, batch):
    x, y = batch
    inputs = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(target.network(inputs), y), inputs)
    torch.testing.assert_close(fgsm_attack(target, x, y, eps=0.1), (x + 0.1 * gradient.sign()).clamp(0, 1))


def test_pgd_without_random_start_begins_at_the_input(target, batch):
    x, y = batch
    found = pgd_attack(target, x, y, eps=0.1, eps_step=0.1, max_iter=1, num_random_init=0)
    torch.testing.assert_close(found, fgsm_attack(target, x, y, eps=0.1))


def test_a_samples_start_depends_on_its_seed_and_not_on_its_batch(target, batch):
    x, y = batch
    options = {"eps": 0.1, "eps_step": 0.02, "max_iter": 2, "num_random_init": 2}
    whole = pgd_attack(target, x, y, **options)
    parts = [
        pgd_attack(AttackTarget(target.classifier, target.network, SEEDS[i : i + 5]), x[i : i + 5], y[i : i + 5], **options)
        for i in (0, 5, 10)
    ]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_without_seeds_the_generator_decides(target, batch):
    bare = AttackTarget(target.classifier, target.network)

    def once(seed):
        return pgd_attack(bare, *batch, generator=torch.Generator().manual_seed(seed), max_iter=1)

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))


def test_restarts_keep_what_fooled_a_sample_and_only_try_the_others_again(target, batch):
    x, y = batch
    sizes = []
    target.network.module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    options = {"eps": 0.12, "eps_step": 0.05, "max_iter": 1}
    once = pgd_attack(target, x, y, **options)
    right_once = (target.network(once).argmax(dim=1) == y).sum().item()
    sizes.clear()
    often = pgd_attack(target, x, y, **options, num_random_init=4)
    assert 0 < right_once < len(x), "the case must tell restarts apart"
    assert sizes[:2] == [12, 12]
    assert sizes[2] == right_once
    fooled = target.network(once).argmax(dim=1) != y
    torch.testing.assert_close(often[fooled], once[fooled])


class Flat(nn.Module):
    """Rounds, so that its gradient is exactly zero."""

    def forward(self, x):
        rounded = x.flatten(1).mean(dim=1, keepdim=True).mul(9).round()
        return rounded * 0 + torch.arange(10.0) + 0 * x.flatten(1)[:, :10].round()


def test_pgd_that_never_moves_from_its_random_start_is_an_error(make_classifier, batch):
    flat = make_classifier(Flat())
    target = AttackTarget(flat, Network(flat), SEEDS)
    x, y = batch
    with pytest.raises(EvaluationError, match="gradient at the input is exactly zero"):
        pgd_attack(target, x, y)
    few = FLAT_BATCH - 1
    saturated = AttackTarget(flat, target.network, SEEDS[:few])
    assert pgd_attack(saturated, x[:few], y[:few]).shape == x[:few].shape
    assert torch.equal(pgd_attack(target, x, y, eps=0.0), x)


def test_uniform_draws():
    x = torch.zeros(300, 4)
    noise = draw_uniform(x, range(300))
    assert noise.min() >= -1
    assert noise.max() < 1
    assert noise.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.05)
    torch.testing.assert_close(draw_uniform(x[:3].double(), [7, 8, 9])[1:], draw_uniform(x[:2].double(), [8, 9]))
    with pytest.raises(ValueError, match="one seed a sample, 300, got 2"):
        draw_uniform(x, [1, 2])


def test_sample_seeds_differ_by_seed_name_and_index_alone():
    seeds = {sample for seed in (0, 1) for name in ("pgd", "fgsm") for sample in sample_seeds(seed, name, range(50))}
    assert len(seeds) == 200
    assert sample_seeds(0, "pgd", [49]) == sample_seeds(0, "pgd", range(50))[49:]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_attacks_as_names_pairs_and_mapping_mean_the_same():
    by_pairs = resolve_attacks(["fgsm", ("pgd", {"max_iter": 3}), ("pgd", {"label": "long", "max_iter": 50})])
    by_label = resolve_attacks(
        {"fgsm": {}, "pgd": {"max_iter": 3}, "long": {"attack": "pgd", "max_iter": 50}},
    )
    assert [(spec.label, spec.config) for spec in by_pairs] == [(spec.label, spec.config) for spec in by_label]
    assert [spec.label for spec in by_pairs] == ["fgsm", "pgd", "long"]
    assert resolve_attacks("fgsm")[0].config == by_label[0].config
    assert resolve_attacks([]) == []


def test_the_configuration_holds_every_option_and_text_is_read_as_numbers():
    (spec,) = resolve_attacks([("pgd", {"eps": "4/255"})])
    assert spec.config == {
        "attack": "pgd",
        "plugin": "fairart",
        "options": {
            "eps": 4 / 255,
            "eps_step": None,
            "max_iter": 20,
            "num_random_init": 1,
            "stop_when_fooled": True,
            "norm": "inf",
        },
    }
    assert spec.eps == 4 / 255


@pytest.mark.parametrize(
    ("attacks", "error", "message"),
    [
        (["pdg"], UnknownNameError, "did you mean 'pgd'"),
        ([("pgd", {"epsilon": 1})], OptionError, "no option 'epsilon'; did you mean 'eps'"),
        ([("pgd", {"eps": -1})], OptionError, "eps must be >= 0"),
        ([("pgd", {"max_iter": 0})], OptionError, "max_iter must be >= 1"),
        ([("pgd", {"generator": 1})], OptionError, "'generator' is filled in by the evaluation"),
        (["pgd", ("pgd", {"max_iter": 3})], ValueError, "two attacks are labelled 'pgd'; give one its own label"),
        ([("pgd", {"label": "clean"})], ValueError, "'clean' is taken"),
        ([("pgd", {"label": "worst-case"})], ValueError, "'worst-case' is taken"),
        ([("pgd", {"label": 3})], TypeError, "must be text"),
        ([3], TypeError, "names or .* pairs, got 3"),
        ([("pgd", 3)], TypeError, "options of attack 'pgd' must be a mapping"),
        (3, TypeError, "attacks expects names"),
    ],
)
def test_what_cannot_run_is_refused(attacks, error, message):
    with pytest.raises(error, match=message):
        resolve_attacks(attacks)


def test_budget_of_attacks_in_other_norms_is_not_an_linf_one(register):
    def in_l2(target, x, y, *, eps: float = 0.5, norm: str = "2"):
        return x

    def without(target, x, y, *, steps: int = 3):
        return x

    def needy(target, x, y, *, surrogate):
        return x

    register(attacks={"in-l2": in_l2, "without": without, "needy": needy})
    l2, none = resolve_attacks(["in-l2", "without"])
    assert l2.eps == none.eps == math.inf
    assert resolve_attacks([("in-l2", {"norm": "inf"})])[0].eps == 0.5
    assert l2.plugin == "stranger"
    assert not l2.takes_generator
    with pytest.raises(OptionError, match="'needy' needs surrogate"):
        resolve_attacks(["needy"])
