"""The standard AutoAttack: equal to the package run directly, honest about few classes, quiet, and an extra."""

import logging
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from fairart.errors import OptionError
from fairart.evaluation import evaluate
from fairart.evaluation.attacks.autoattack import Plan, planned
from fairart.evaluation.attacks.specs import resolve_attacks


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("pyautoattack", reason="the extra autoattack is not installed")


@pytest.fixture(scope="module")
def two_hundred():
    """A small network trained on digits, noise in its inputs, and 200 images that it has not seen."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[order]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        images, labels = torch.from_numpy(x[200:]), torch.from_numpy(y[200:])
        for _ in range(80):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images + 0.2 * torch.randn_like(images).sign()), labels).backward()
            optimizer.step()
    return model.eval(), x[:200], y[:200]


def test_outcomes_of_200_images_are_those_of_the_package_run_directly(package, two_hundred, make_classifier):
    model, x, y = two_hundred
    options = {"eps": 0.15}
    result = evaluate(make_classifier(model), x, y, attacks=[("autoattack", options)], seed=7, verbose=False)
    suite = package.AutoAttack(model, eps=0.15, seed=7, version="standard")
    _, theirs = suite.run_standard_evaluation(torch.from_numpy(x), torch.from_numpy(y), batch_size=512)
    np.testing.assert_array_equal(result["autoattack"].predictions, theirs.numpy())
    assert 0.05 < result["autoattack"].accuracy < result["clean"].accuracy - 0.2, "some must survive and some must not"
    config = result["autoattack"].config
    assert config["options"]["version"] == "standard"
    assert config["notes"]["attacks_to_run"] == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert config["notes"]["n_target_classes"] == 9


def test_each_batch_is_a_run_of_its_own_in_l2_too(package, two_hundred, make_classifier):
    model, x, y = two_hundred
    with torch.no_grad():
        right = (model(torch.from_numpy(x)).argmax(dim=1) == torch.from_numpy(y)).numpy()
    x, y = x[right][:80], y[right][:80]
    options = {"eps": 0.9, "norm": "L2", "version": "custom", "attacks_to_run": ["apgd-ce"]}
    result = evaluate(make_classifier(model), x, y, attacks=[("autoattack", options)], seed=3, batch_size=40, verbose=False)
    theirs = []
    for part in (slice(0, 40), slice(40, 80)):
        suite = package.AutoAttack(model, eps=0.9, norm="L2", seed=3, version="custom", attacks=["apgd-ce"])
        theirs.append(suite.run_standard_evaluation(torch.from_numpy(x[part]), torch.from_numpy(y[part]))[1])
    np.testing.assert_array_equal(result["autoattack"].predictions, torch.cat(theirs).numpy())
    assert 0 < result["autoattack"].accuracy < 1


def test_pixels_from_0_to_255_change_nothing(package, two_hundred, make_classifier):
    model, x, y = two_hundred

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, pixels):
            return self.inner(pixels / 255)

    options = {"version": "custom", "attacks_to_run": ["apgd-ce", "fab-t"], "n_iter": 5}
    unit, pixels = make_classifier(model), make_classifier(Scaled(), clip_values=(0, 255))
    x, y = x[:60], y[:60]
    first = evaluate(unit, x, y, attacks=[("autoattack", {"eps": 0.1, **options})], verbose=False)["autoattack"]
    second = evaluate(pixels, x * 255, y, attacks=[("autoattack", {"eps": 25.5, **options})], verbose=False)["autoattack"]
    assert (first.predictions == second.predictions).mean() > 0.98
    assert second.perturbation.max_linf == pytest.approx(25.5, rel=1e-4)


@pytest.mark.parametrize(
    ("nb_classes", "version", "expected"),
    [
        (10, "standard", Plan("standard", ("apgd-ce", "apgd-t", "fab-t", "square"), 9)),
        (100, "standard", Plan("standard", ("apgd-ce", "apgd-t", "fab-t", "square"), 9)),
        (4, "standard", Plan("standard", ("apgd-ce", "apgd-t", "fab-t", "square"), 3)),
        (10, "plus", Plan("plus", ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"), 9)),
    ],
)
def test_four_classes_or_more_get_the_suite_itself(nb_classes, version, expected):
    assert planned(version, None, nb_classes) == expected


def test_fewer_classes_get_what_can_be_run():
    three, two = planned("standard", None, 3), planned("standard", None, 2)
    assert (three.attacks, three.targets, three.restarts) == (("apgd-ce", "apgd-dlr", "fab-t", "square"), 2, 1)
    assert (two.attacks, two.targets, two.restarts) == (("apgd-ce", "fab-t", "square"), 1, 5)
    assert planned("plus", None, 3).attacks == ("apgd-ce", "apgd-dlr", "fab", "square", "fab-t")
    assert planned("plus", None, 2).attacks == ("apgd-ce", "fab", "square", "fab-t")
    assert "apgd-t needs 4 classes" in three.replaced
    assert "5 restarts" in two.replaced


@pytest.mark.parametrize("nb_classes", [2, 3, 4])
def test_it_runs_on_few_classes_and_says_what_it_replaced(package, subject, images_of, nb_classes, recwarn):
    classifier = subject(nb_classes=nb_classes)
    x, y = images_of(classifier, 12)
    result = evaluate(classifier, x.numpy(), y.numpy(), attacks=[("autoattack", {"eps": 0.5})], verbose=False)
    assert result["autoattack"].accuracy < 1
    told = [str(warning.message) for warning in recwarn if "not the standard suite" in str(warning.message)]
    notes = result["autoattack"].config["notes"]
    assert notes["n_target_classes"] == nb_classes - 1
    assert bool(told) == (nb_classes < 4) == ("replaced" in notes)
    if told:
        assert f"with {nb_classes} classes: {notes['replaced']}" in told[0]
        assert "replaced: " in result.table()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attacks_to_run": ["square"]}, "version='standard' fixes the attacks"),
        ({"n_iter": 5}, "version='standard' fixes n_iter and n_queries"),
        ({"version": "custom"}, "version='custom' needs attacks_to_run"),
        ({"version": "custom", "attacks_to_run": ["sqare"]}, "needs attacks_to_run, different ones of"),
        ({"version": "custom", "attacks_to_run": ["square", "square"]}, "different ones of"),
        ({"version": "custom", "attacks_to_run": ["apgd-t"]}, "apgd-t needs 4 classes, the classifier has 3"),
        ({"version": "rand"}, "expects one of 'standard', 'plus', 'custom'"),
    ],
)
def test_versions_keep_their_word(package, subject, options, message):
    with pytest.raises(OptionError, match=message):
        resolve_attacks([("autoattack", options)])[0].checked(subject(nb_classes=3))


def test_without_the_package_one_error_comes_before_any_work(subject, images_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    classifier = subject()
    x, y = images_of(classifier, 2)
    calls = []
    classifier.model.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(ImportError, match=r"attack 'autoattack' needs pyautoattack: pip install \"fairart\[autoattack\]\""):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=["pgd", "autoattack"], verbose=False)
    assert not calls


def test_what_the_package_logs_becomes_a_warning_and_tracers_stay(package, make_classifier, images_of):
    class Probabilities(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 4)

        def forward(self, x):
            return torch.softmax(self.linear(x.flatten(1)), dim=1)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = make_classifier(Probabilities(), nb_classes=4)
    x, y = images_of(classifier, 3)
    handlers, before = list(logging.getLogger("auto-attack").handlers), sys.gettrace()

    def tracer(*_):
        return None

    options = {"version": "custom", "attacks_to_run": ["apgd-ce"], "n_iter": 2, "eps": 0.3}
    sys.settrace(tracer)
    try:
        with pytest.warns(UserWarning, match="attack 'autoattack': it seems that the output is a probability distribution"):
            evaluate(classifier, x.numpy(), y.numpy(), attacks=[("autoattack", options)], verbose=False)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert logging.getLogger("auto-attack").handlers == handlers
