"""Temperature scaling against torch's optimiser, and what an evaluation makes of it."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fairart.evaluation import DamagedFileError, EvaluationResult, evaluate
from fairart.evaluation.results.calibration import reliability
from fairart.evaluation.results.temperature import (
    FEWEST,
    KINDS,
    Temperatures,
    fitted_temperature,
    scaled_confidences,
)
from fairart.evaluation.running.scaling import Scaling


def drawn(seed, *, n=400, k=4, sharpness=1.0):
    """Logits whose own softmax says how often each class is right, times a sharpness."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (n, k))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(k, p=row) for row in chances])
    return sharpness * logits, labels


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_is_that_of_an_optimiser_of_torch(sharpness):
    logits, labels = drawn(0, sharpness=sharpness)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def loss():
        optimizer.zero_grad()
        value = functional.cross_entropy(torch.from_numpy(logits) * scale, torch.from_numpy(labels))
        value.backward()
        return value

    optimizer.step(loss)
    found = fitted_temperature(logits, labels)
    assert found == pytest.approx(1 / scale.item(), rel=1e-4)
    # These logits are calibrated at their own sharpness.
    assert found == pytest.approx(sharpness, rel=0.25)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_scaling_keeps_the_prediction_and_one_is_the_softmax(seed, temperature):
    logits, _ = drawn(seed, n=20)
    shares = torch.softmax(torch.from_numpy(logits / temperature), dim=1)
    assert scaled_confidences(logits, temperature) == pytest.approx(shares.max(dim=1).values.numpy())
    assert shares.argmax(dim=1).numpy().tolist() == logits.argmax(axis=1).tolist()


def test_each_class_has_its_own_temperature_if_it_can():
    logits, labels = drawn(1, n=600, sharpness=3.0)
    guesses = logits.argmax(axis=1)
    few = np.flatnonzero(guesses == 1)[FEWEST - 1 :]
    keep = np.setdiff1d(np.arange(len(labels)), few)
    labels[guesses == 2] = 2
    found = Temperatures.of(logits[keep], labels[keep])
    assert found.counts.tolist() == np.bincount(guesses[keep], minlength=4).tolist()
    # Too few of 1, all right of 2.
    assert found.own.tolist() == [True, False, False, True]
    assert found.classes[1] == found.classes[2] == found.overall
    rows = keep[guesses[keep] == 3]
    assert found.classes[3] == pytest.approx(fitted_temperature(logits[rows], labels[rows]))


@pytest.mark.parametrize("right", [True, False])
def test_without_a_best_temperature_it_is_one(right):
    logits, _ = drawn(2)
    guesses = logits.argmax(axis=1)
    assert Temperatures.of(logits, guesses if right else (guesses + 1) % 4).overall == 1


@pytest.fixture
def scaled(classifier, digits, tmp_path):
    x, y = digits.x_train[:200], digits.y_train[:200]
    attacks = [("pgd", {"max_iter": 2, "eps": 0.05})]

    def run(**more):
        options = {"shifts": {"darker": (0.5 * x, y)}, "sanity_samples": 0, "verbose": False, "batch_size": 50}
        return evaluate(classifier, digits.x_train[:300], digits.y_train[:300], attacks=attacks, **{**options, **more})

    return run


def test_each_half_takes_the_temperature_of_the_other(scaled, classifier, digits):
    result = scaled(temperature=True)
    found = result.temperature
    logits = classifier.predict(digits.x_train[:300]).astype(np.float64)
    labels = digits.y_train[:300]
    assert found.whole.overall == pytest.approx(fitted_temperature(logits, labels), rel=1e-3)
    scaling = Scaling.of(logits, labels, 0)
    for half in (0, 1):
        inside, other = scaling.half_of == half, scaling.half_of != half
        assert 120 < inside.sum() < 180
        assert found.halves[half].overall == pytest.approx(fitted_temperature(logits[inside], labels[inside]), rel=1e-3)
        for kind, temperatures in (("global", found.halves[half].overall), ("per class", found.halves[half].classes)):
            each = np.broadcast_to(temperatures, 10)[logits[other].argmax(axis=1)]
            assert found["clean"].confidences[kind][other] == pytest.approx(scaled_confidences(logits[other], each), rel=1e-3)
    everywhere = scaled_confidences(classifier.predict(0.5 * digits.x_train[:200]).astype(np.float64), found.whole.overall)
    assert found["darker"].confidences["global"] == pytest.approx(everywhere, rel=1e-4)
    for label, one in found.all():
        assert one.calibration().ece == one.result.calibration().ece, label
        for kind in KINDS:
            assert one.calibration(kind).ece == reliability(one.result.correct, one.confidences[kind]).ece


def test_other_numbers_do_not_change_and_files_bring_them_back(scaled, tmp_path):
    plain, result = scaled(), scaled(temperature=True)
    assert plain.temperature is None
    stripped = result.to_dict()
    assert stripped.pop("temperature")["whole"]["overall"] > 0
    assert stripped == plain.to_dict()
    path = result.save(tmp_path / "evaluation.json")
    back = EvaluationResult.load(path)
    assert back.to_dict() == result.to_dict()
    assert back.table() == result.table()
    assert "temperature scaling" in result.table()
    assert "temperature scaling" in result._repr_html_()
    saved = json.loads(path.read_text())
    saved["temperature"]["results"][0]["confidences"]["global"][0] = 1.5
    path.write_text(json.dumps(saved))
    with pytest.raises(DamagedFileError, match="confidences 'global' of 'clean' must be 300 shares"):
        EvaluationResult.load(path)


def test_an_interrupted_evaluation_goes_on_to_the_same_result(scaled, tmp_path, monkeypatch):
    from fairart.evaluation.running.runner import Runner

    whole, score, calls = scaled(temperature=True), Runner._score, []

    def killed(self, x, indices, name, *rest, **options):
        calls.append(name)
        if calls.count("pgd") == 2:
            raise KeyboardInterrupt
        return score(self, x, indices, name, *rest, **options)

    monkeypatch.setattr(Runner, "_score", killed)
    with pytest.raises(KeyboardInterrupt):
        scaled(temperature=True, checkpoint=tmp_path / "kept")
    calls.clear()
    calls.append("pgd")
    calls.append("pgd")
    assert scaled(temperature=True, checkpoint=tmp_path / "kept").to_dict() == whole.to_dict()
    assert "clean" not in calls
    with pytest.warns(UserWarning, match="belongs to another evaluation"):
        scaled(checkpoint=tmp_path / "kept")


def test_too_few_images_are_one_error(classifier, digits):
    first = [int(np.flatnonzero(digits.y == k)[0]) for k in range(10)]
    with pytest.raises(ValueError, match="temperature: expected two test images or more of a class"):
        evaluate(classifier, digits.x[first], digits.y[first], attacks=[], temperature=True, verbose=False)
