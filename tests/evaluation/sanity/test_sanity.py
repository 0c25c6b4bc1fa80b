"""Sanity checks: alarm where the model hides its gradients, none where it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from scipy import stats
from sklearn.datasets import load_digits
from torch import nn

from fairart import create
from fairart.attacks import pgd
from fairart.engine.network import Network
from fairart.evaluation import AttackResult, EvaluationResult, evaluate
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.sanity.checks import _as_many_heads, run_checks

NAMES = (
    "same input, same output",
    "share of zero gradients",
    "more steps never help the model",
    "growing eps leads to zero",
    "black-box not stronger than white-box",
    "not weaker than one gradient step",
    "cross-entropy not weaker than the margin loss",
)
SAME, ZERO, STEPS, GROWING, BLACK, ONE_STEP, LOSS = NAMES
EPS = 0.1


@pytest.fixture(scope="module")
def data():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(x))
    x = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8)[order]
    return x, y[order]


def fitted(model, data, *, eps=0.0, epochs=8):
    x, y = torch.from_numpy(data[0][200:]), torch.from_numpy(data[1][200:])
    optimizer, generator = torch.optim.Adam(model.parameters(), 0.01), torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(128):
            images = x[index]
            if eps:
                images = pgd(model, images, y[index], eps=eps, eps_step=eps / 2, max_iter=3, generator=generator)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), y[index]).backward()
            optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def models(data):
    """A linear model, a small CNN as it comes, and one trained adversarially for seconds."""
    torch.manual_seed(0)
    shape = {"input_shape": (1, 8, 8), "nb_classes": 10}
    return {
        "linear": fitted(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, epochs=20),
        "undefended": fitted(create("model", "small-cnn", width=8, **shape), data),
        "adversarial": fitted(create("model", "small-cnn", width=8, **shape), data, eps=EPS),
    }


class Around(nn.Module):
    """A model between something that is done to its input and something that is done to its logits."""

    def __init__(self, model, before=lambda x: x, after=lambda logits: logits):
        super().__init__()
        self.model, self.before, self.after = model, before, after

    def forward(self, x):
        return self.after(self.model(self.before(x)))


class WrongWay(torch.autograd.Function):
    """Nothing happens forwards; backwards the gradient is turned round."""

    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return -gradient


def wrapped(model, shape=(1, 8, 8), nb_classes=10, **options):
    options = {"clip_values": (0, 1), "device_type": "cpu", **options}
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), shape, nb_classes, **options)


def checked(model, data, attack="pgd", *, number=150, samples=64, **options):
    classifier = wrapped(model)
    x, y = data[0][:number], data[1][:number]
    known = {"pgd": {"eps": EPS, "eps_step": EPS / 4, "max_iter": 10}, "square": {"eps": EPS, "max_iter": 150}}[attack]
    result = evaluate(classifier, x, y, attacks=[(attack, {**known, **options})], verbose=False)
    return run_checks(AttackTarget(classifier, Network(classifier)), x, y, list(result.values()), samples=samples)


def failed(checks):
    return {check.name: check.detail for check in checks if not check.passed}


@pytest.mark.parametrize("attack", ["pgd", "square"])
@pytest.mark.parametrize("name", ["linear", "undefended", "adversarial"])
def test_no_alarm_on_models_that_hide_nothing(models, data, name, attack):
    checks = checked(models[name], data, attack, samples=150)
    assert failed(checks) == {}
    assert tuple(check.name for check in checks) == (NAMES if attack == "pgd" else NAMES[:-1])
    labels = {check.name: check.attack for check in checks}
    assert (labels[STEPS], labels[BLACK]) == (("pgd", None) if attack == "pgd" else (None, "square"))


def test_a_model_that_rounds_its_input(models, data):
    alarms = failed(checked(Around(models["undefended"], before=lambda x: (x * 8).round() / 8), data, "square"))
    assert set(alarms) == {ZERO, GROWING, BLACK}
    assert "100.0% of 64 samples" in alarms[ZERO]
    assert "rounds, quantises" in alarms[ZERO]
    assert "gradients are masked" in alarms[BLACK]


def test_saturated_logits(models, data):
    alarms = failed(checked(Around(models["undefended"], after=lambda logits: 1000 * logits), data))
    assert set(alarms) == {ZERO, GROWING, BLACK, LOSS}
    assert "cross-entropy is saturated" in alarms[ZERO]
    # Steps on the margin do fool them: the attack is at fault, and which one is not is said.
    assert "apgd-dlr" in alarms[BLACK]


def test_a_dead_relu(models, data):
    dead = Around(models["undefended"], before=lambda x: torch.relu(x - 2) + x.detach())
    assert ZERO in failed(checked(dead, data, "square"))


def test_no_way_back_to_the_input(models, data):
    checks = checked(Around(models["undefended"], after=lambda z: 9.0 * nn.functional.one_hot(z.argmax(1), 10)), data, "square")
    assert "no gradient leads" in failed(checks)[ZERO]
    # What needs gradients is left out instead of failing in its own way.
    assert tuple(check.name for check in checks) == (SAME, ZERO, BLACK)


def test_a_wave_over_the_input_that_gradients_follow(models, data):
    wave = Around(models["undefended"], before=lambda x: x + 0.02 * torch.sin(2000 * x))
    assert set(failed(checked(wave, data))) == {GROWING, BLACK}


@pytest.mark.filterwarnings("ignore:attack 'pgd'. 10 steps of 0.02 cannot cross:UserWarning")
def test_gradients_that_lead_the_wrong_way(models, data):
    alarms = failed(checked(Around(models["linear"], before=WrongWay.apply), data, eps=1.0, eps_step=0.02))
    assert "gradients that do not lead uphill" in alarms[STEPS]
    assert GROWING in alarms


def test_a_random_model(models, data):
    alarms = failed(checked(Around(models["undefended"], before=lambda x: x + 0.2 * torch.randn_like(x)), data))
    assert "the model is random" in alarms[SAME]


def test_a_model_that_normalises_by_its_batch(data):
    layers = (nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16, track_running_stats=False), nn.ReLU(), nn.Linear(16, 10))
    torch.manual_seed(0)
    alarms = failed(checked(fitted(nn.Sequential(*layers), data), data))
    # In another batch every number changes, those of the check's own steps included.
    assert set(alarms) - {LOSS} == {SAME}
    assert "depend on the samples beside it" in alarms[SAME]


def test_a_model_that_knows_one_class(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        model[1].weight.mul_(1e-3)
        model[1].bias.copy_(torch.eye(10)[3] * 5)
    alarms = failed(checked(model, data))
    assert "predicts class 3 for every sample" in alarms[GROWING]


def stand_in(label, labels, right, **options):
    """A result that leaves some samples right."""
    predictions = np.where(right, labels, (labels + 1) % 10)
    return AttackResult(
        label=label,
        labels=labels,
        predictions=predictions,
        nb_classes=10,
        config={"attack": options.pop("attack", label), "plugin": options.pop("plugin", "fairart"), "options": options},
    )


@pytest.mark.parametrize(("stronger", "passes"), [(0, True), (6, True), (7, False), (40, False)])
def test_black_box_is_compared_sample_by_sample_and_with_chance_in_mind(models, data, stronger, passes):
    x, labels = data[0][:100], data[1][:100]
    classifier = wrapped(models["linear"])
    clean = stand_in("clean", labels, np.ones(100, dtype=bool))
    white = stand_in("pgd", labels, np.arange(100) >= 20, eps=EPS, eps_step=EPS / 4)
    black = stand_in("square", labels, np.arange(100) >= 20 + stronger, eps=EPS)
    checks = run_checks(AttackTarget(classifier, Network(classifier)), x, labels, [clean, white, black])
    (check,) = (check for check in checks if check.name == BLACK)
    # Of n samples that one of two equal attacks alone fools, all are the same one's with probability 2 ** -n.
    assert check.passed is passes
    assert check.attack == "square"
    assert f"{80 - stronger} of 100 samples right, attacks along gradients at the same eps 80; {stronger} are" in check.detail


@pytest.mark.parametrize("options", [{"eps": 0.2}, {"eps": EPS, "norm": "2"}])
def test_another_budget_is_not_compared(models, data, options):
    x, labels = data[0][:60], data[1][:60]
    classifier = wrapped(models["linear"])
    everything = np.ones(60, dtype=bool)
    clean = stand_in("clean", labels, everything)
    white = stand_in("pgd", labels, everything, eps=0.3, eps_step=0.1)
    black = stand_in("square", labels, ~everything, **options)
    checks = run_checks(AttackTarget(classifier, Network(classifier)), x, labels, [clean, white, black])
    # The checks' own probe takes its place.
    assert [check.attack for check in checks if check.name == BLACK] == [None]


@pytest.mark.parametrize("budget", [{"eps": 0.3}, {"eps": 3.0, "norm": "2"}])
@pytest.mark.parametrize("plugin", ["fairart", "another"])
def test_an_attack_of_anybody_weaker_than_one_step_is_marked(models, data, plugin, budget):
    x, labels = data[0][:60], data[1][:60]
    classifier = wrapped(models["linear"])
    everything = np.ones(60, dtype=bool)
    results = [
        stand_in("clean", labels, everything),
        stand_in("idle", labels, everything, attack="square", plugin=plugin, **budget),
        stand_in("strong", labels, ~everything, attack="square", plugin=plugin, **budget),
    ]
    checks = run_checks(AttackTarget(classifier, Network(classifier)), x, labels, results)
    passed = {check.attack: check.passed for check in checks if check.name == "not weaker than one gradient step"}
    assert passed == {"idle": False, "strong": True}


def test_nothing_to_check(models, data):
    classifier = wrapped(models["linear"])
    target = AttackTarget(classifier, Network(classifier))
    x, labels = data[0][:20], data[1][:20]
    everything = np.ones(20, dtype=bool)
    clean, attacked = (stand_in(name, labels, everything, eps=EPS, eps_step=EPS) for name in ("clean", "pgd"))
    wrong = stand_in("clean", labels, ~everything)
    assert run_checks(target, x, labels, [clean]) == ()
    assert run_checks(target, x, labels, [wrong, attacked]) == ()
    assert run_checks(target, x, labels, [clean, attacked], samples=0) == ()


def test_flat_features_have_no_black_box_probe(data):
    x, labels = data[0][:80].reshape(80, 64), data[1][:80]
    torch.manual_seed(0)
    classifier = wrapped(nn.Linear(64, 10), (64,), clip_values=None)
    everything = np.ones(80, dtype=bool)
    results = [stand_in("clean", labels, everything), stand_in("pgd", labels, everything, eps=EPS, eps_step=EPS)]
    checks = run_checks(AttackTarget(classifier, Network(classifier)), x, labels, results, samples=8)
    blind = next(check for check in checks if check.name == BLACK)
    assert blind.detail.startswith("not applicable")
    assert blind.passed


def test_everything_is_left_as_found_and_comes_again(models, data):
    model = nn.Sequential(models["undefended"], nn.Dropout(0.5)).train()
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    classifier = wrapped(model)
    model.train()
    target = AttackTarget(classifier, Network(classifier))
    pixels = (data[0][:80] * 255).round().astype(np.uint8)
    results = [
        stand_in("clean", data[1][:80], np.ones(80, dtype=bool)),
        stand_in("pgd", data[1][:80], np.ones(80, dtype=bool), eps=EPS, eps_step=EPS / 4),
    ]
    arguments = {"samples": 30, "seed": 3}
    first = run_checks(target, pixels, data[1][:80], results, **arguments)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]  # noqa: NPY002
    assert run_checks(target, pixels, data[1][:80], results, **arguments) == first
    # Sums in other batches differ in their last bits, which the first check tells.
    others = run_checks(target, (pixels / 255).astype(np.float32), data[1][:80], results, batch_size=7, **arguments)
    assert others[1:] == first[1:]


def test_an_evaluation_shows_what_failed_beside_its_numbers(models, data, tmp_path):
    classifier = wrapped(Around(models["linear"], after=lambda logits: 50 * logits))
    arguments = {"attacks": [("pgd", {"eps": EPS, "eps_step": EPS / 4, "max_iter": 5})], "verbose": False}
    result = evaluate(classifier, data[0][:60], data[1][:60], sanity_samples=20, **arguments)
    assert ZERO in failed(result.checks)
    table = result.table()
    assert f"evaluation: {ZERO} failed: " in table
    assert f"sanity checks: {sum(check.passed for check in result.checks)} of 7 passed" in table
    marked = [line for line in table.splitlines() if line.startswith("overall")]
    assert marked[0].count("!") == 1, "the attack's number is marked, the clean one is not"
    assert EvaluationResult.load(result.save(tmp_path / "evaluation.json")).checks == result.checks
    assert evaluate(classifier, data[0][:60], data[1][:60], sanity_samples=0, **arguments).checks == ()
    with pytest.raises(ValueError, match="sanity_samples"):
        evaluate(classifier, data[0][:60], data[1][:60], sanity_samples=-1, **arguments)


@pytest.mark.parametrize(("heads", "tosses"), [(1, 1), (7, 7), (16, 20), (600, 1000), (5000, 10000)])
def test_the_sign_test_is_scipys(heads, tosses):
    assert _as_many_heads(heads, tosses) == pytest.approx(stats.binom.sf(heads - 1, tosses, 0.5), rel=1e-8)
