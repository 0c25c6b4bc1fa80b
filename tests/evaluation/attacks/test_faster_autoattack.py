"""What AutoAttack saves changes no outcome: several targets in one batch, and the network computed another way."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from fairart import create
from fairart.evaluation import evaluate
from fairart.evaluation.attacks import autoattack as module
from fairart.evaluation.attacks.fab_targets import try_targets_together

pytest.importorskip("pyautoattack", reason="the extra autoattack is not installed")
from pyautoattack import AutoAttack
from pyautoattack.fab_pt import FABAttack_PT


@pytest.fixture(scope="module")
def trained():
    """A small-cnn trained on noisy digits, and 60 images that it has not seen."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[order]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create("model", "small-cnn", input_shape=(1, 8, 8), nb_classes=10, width=4)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        images, labels = torch.from_numpy(x[60:]), torch.from_numpy(y[60:])
        for _ in range(40):
            optimizer.zero_grad()
            noisy = (images + 0.2 * torch.randn_like(images).sign()).clamp(0, 1)
            nn.functional.cross_entropy(model(noisy), labels).backward()
            optimizer.step()
    return model.eval(), x[:60], y[:60]


def fab(model, norm, eps):
    attack = FABAttack_PT(model, norm=norm, eps=eps, n_iter=12, n_restarts=1, seed=0, targeted=True, device="cpu")
    attack.n_target_classes = 9
    return attack


@pytest.mark.parametrize("rows", [1, 100, 10_000])
@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.12), ("L2", 0.6)])
def test_targets_side_by_side_find_what_the_package_finds_one_after_the_other(trained, norm, eps, rows):
    model, images, labels = trained
    x, y = torch.from_numpy(images[:25]), torch.from_numpy(labels[:25])
    expected = fab(model, norm, eps).perturb(x, y)
    attack = fab(model, norm, eps)
    try_targets_together(attack, rows=rows)
    found = attack.perturb(x, y)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    fooled = (found != x).flatten(1).any(dim=1)
    assert 0 < int(fooled.sum()) < len(x), "some must be found and some not"


def test_untargeted_fab_is_left_to_the_package(trained):
    model, images, labels = trained
    x, y = torch.from_numpy(images[:10]), torch.from_numpy(labels[:10])
    plain, wrapped = fab(model, "Linf", 0.12), fab(model, "Linf", 0.12)
    plain.targeted = wrapped.targeted = False
    plain.n_restarts = wrapped.n_restarts = 2
    try_targets_together(wrapped)
    assert torch.equal(wrapped.perturb(x, y), plain.perturb(x, y))


def test_a_convolutional_network_has_the_outcomes_of_the_package(trained, make_classifier, monkeypatch):
    model, images, labels = trained
    names, options = ["apgd-ce", "apgd-t", "fab-t", "square"], {"n_iter": 8, "n_queries": 100}
    taken = []

    def spied(network, x):
        manager = own(network, x)

        class Spy:
            def __enter__(self):
                taken.append(manager.__enter__())
                return taken[-1]

            def __exit__(self, *error):
                return manager.__exit__(*error)

        return Spy()

    own = module.with_fixed_weights
    monkeypatch.setattr(module, "with_fixed_weights", spied)
    attack = ("autoattack", {"eps": 0.12, "version": "custom", "attacks_to_run": names, **options})
    before = {name: value.stride() for name, value in model.named_parameters()}
    result = evaluate(make_classifier(model), images, labels, attacks=[attack], seed=7, verbose=False)["autoattack"]
    assert taken[0] is not None, "the faster form must have been used"
    assert {name: value.stride() for name, value in model.named_parameters()} == before
    suite = AutoAttack(model, eps=0.12, seed=7, version="custom", attacks=names, device="cpu")
    suite.apgd.n_restarts = 1
    suite.fab.n_iter, suite.square.n_queries = 8, 100
    for apgd in (suite.apgd, suite.apgd_targeted):
        apgd.n_iter = apgd.n_iter_orig = 8
        apgd.n_iter_2, apgd.n_iter_min, apgd.size_decr = 1, 1, 1
    right = torch.from_numpy(images), torch.from_numpy(labels)
    with torch.no_grad():
        kept = model(right[0]).argmax(dim=1) == right[1]
    suite.apgd.n_restarts = 5
    _, theirs = suite.run_standard_evaluation(right[0][kept], right[1][kept], batch_size=512)
    np.testing.assert_array_equal(result.predictions[kept.numpy()], theirs.numpy())
    assert 0.05 < result.accuracy < float(kept.float().mean()) - 0.1


def outcome(model, images, labels, **options):
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
    return evaluate(classifier, images, labels, attacks=[("autoattack", {"eps": 0.12, **options})], seed=2, verbose=False)[
        "autoattack"
    ]


def test_in_bfloat16_an_example_counts_only_if_it_fools_the_network_in_float32(trained):
    model, images, labels = trained
    options = {"version": "custom", "attacks_to_run": ["apgd-ce", "square"], "n_iter": 20, "n_queries": 200}
    plain, half = outcome(model, images, labels, **options), outcome(model, images, labels, precision="bf16", **options)
    assert "passes in bfloat16, verdicts in float32" in half.config["notes"]["precision"]
    assert "precision" not in plain.config["notes"]
    assert 0 < half.accuracy < 1
    # APGD-T in float32 follows, which the plain suite here has not: it may break more, and rounding may cost one or two.
    assert half.accuracy <= plain.accuracy + 2 / len(labels)
    assert half.perturbation.max_linf <= 0.12 * (1 + 1e-5)


def test_what_only_float32_breaks_is_broken_and_said(trained, monkeypatch):
    model, images, labels = trained

    class Blind(nn.Module):
        """Gives the true class whatever the image: nothing in bfloat16 finds an example."""

        def __init__(self, network):
            super().__init__()
            self.device, self.dtype, self.clip_values = network.device, network.dtype, network.clip_values

        def forward(self, x):
            return self.logits[: len(x)] + 0 * x.flatten(1).sum(dim=1, keepdim=True)

    def blind(network, x):
        form = Blind(network)
        with torch.no_grad():
            form.logits = nn.functional.one_hot(network(x).argmax(dim=1), 10).float()
        return form

    monkeypatch.setattr(module, "in_bfloat16", blind)
    options = {"version": "custom", "attacks_to_run": ["apgd-ce"], "n_iter": 20}
    with pytest.warns(UserWarning, match=r"images that survived it in bfloat16 did not survive apgd-ce and apgd-t in float32"):
        half = outcome(model, images, labels, precision="bf16", **options)
    assert half.accuracy <= outcome(model, images, labels, **options).accuracy
