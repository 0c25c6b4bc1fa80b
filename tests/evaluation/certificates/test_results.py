"""What is computed of predictions and radii, by hand; saved and read back; and certificates that an attack breaks."""

import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

import fairart.plugins
from fairart import hookimpl
from fairart.errors import PluginError, UnknownNameError
from fairart.evaluation import CertificateResult, DamagedFileError, EvaluationError, EvaluationResult, evaluate
from fairart.evaluation.certificates import Certificate
from fairart.evaluation.results.intervals import wilson_interval
from fairart.plugins import PluginManager

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, -1, 1, 1, 1, -1])
RADII = np.array([0.1, 0.3, 0.9, 0.0, 0.2, 0.2, 0.4, 0.0])


def made(**options):
    config = {
        "certificate": "smoothing",
        "norm": 2,
        "deterministic": False,
        "radii": [0.0, 0.2, 0.5],
        "subject": "the smoothed one",
    }
    options = {"labels": LABELS, "predictions": PREDICTIONS, "radii": RADII, "nb_classes": 4, "config": config, **options}
    return CertificateResult(label=options.pop("label", "mine"), **options)


def test_numbers_by_hand():
    result = made()
    np.testing.assert_array_equal(result.certified(0.2), [False, True, False, False, True, True, True, False])
    np.testing.assert_array_equal(result.class_counts_at(0.2), [1, 3, 0, 0])
    np.testing.assert_allclose(result.class_accuracy_at(0.2), [0.25, 1, 0, math.nan])
    assert result.accuracy_at(0.2) == 0.5
    assert result.accuracy_at(0.2000001) == 0.25
    assert result.accuracy_at(0.0) == 5 / 8
    np.testing.assert_array_equal(result.interval_at(0.2), wilson_interval(4, 8))
    np.testing.assert_array_equal(result.class_intervals_at(0.2)[1], wilson_interval(3, 3))
    np.testing.assert_array_equal(result.abstained, [1, 0, 1, 0])
    np.testing.assert_allclose(result.median_radius, [0.05, 0.2, 0.0, math.nan])
    np.testing.assert_allclose(result.mean_radius, [0.1, 0.8 / 3, 0.0, math.nan])
    assert (result.worst_class_at(0.0), result.weakest_class) == (2, 2)
    assert result.order == 2
    assert not result.deterministic
    with pytest.raises(ValueError, match=r"radius must be a number >= 0, got -0.1"):
        result.certified(-0.1)


def test_of_two_classes_with_one_median_the_smaller_mean_is_weaker():
    labels, right = np.repeat([0, 1], 3), np.repeat([0, 1], 3)
    result = made(labels=labels, predictions=right, radii=np.array([0.1, 0.2, 0.9, 0.1, 0.2, 0.3]), nb_classes=2)
    assert result.weakest_class == 1


def test_the_curve_falls_at_each_radius():
    radii, shares = made().curve()
    np.testing.assert_allclose(radii, [0.0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(shares[:, -1], [5 / 8, 5 / 8, 4 / 8, 2 / 8, 1 / 8])
    np.testing.assert_allclose(shares[:, 0], [0.5, 0.5, 0.25, 0.25, 0.0])
    assert np.isnan(shares[:, 3]).all()
    np.testing.assert_allclose(made().curve([0.25])[1][0, :3], [0.25, 1 / 3, 0])


class Halves(Certificate):
    """Certifies every sample within a radius in L-inf, whether that holds or not."""

    order = math.inf

    def __init__(self, *, radius: float = 0.0) -> None:
        self.radius = radius

    @property
    def shown(self):
        return (0.0, 0.1)

    def certify(self, target, x):
        with torch.no_grad():
            return target.network(x).argmax(dim=1), torch.full((len(x),), self.radius)


class Doubtful(Halves):
    """The same, and says so."""

    deterministic = False


class OfOtherNorm(Halves):
    """The same, in L2."""

    order = 2.0


class Raising(Halves):
    """Does not work."""

    def certify(self, target, x):
        raise RuntimeError("out of order")


class WrongShape(Halves):
    """Gives radii of another number."""

    def certify(self, target, x):
        predictions, radii = super().certify(target, x)
        return predictions, radii[:-1]


class Negative(Halves):
    """Gives a negative radius."""

    def certify(self, target, x):
        predictions, radii = super().certify(target, x)
        return predictions, radii - 1


class NoSuchClass(Halves):
    """Predicts class 10 of 10."""

    def certify(self, target, x):
        predictions, radii = super().certify(target, x)
        return predictions + 10, radii


@pytest.fixture
def supplied(monkeypatch):
    manager = PluginManager(entry_points=False, strict=True)
    monkeypatch.setattr(fairart.plugins.manager, "_manager", manager)
    things = {"halves": Halves, "doubtful": Doubtful, "other": OfOtherNorm, "raising": Raising, "shape": WrongShape,
              "negative": Negative, "class": NoSuchClass, "none": dict}  # fmt: skip

    class Stranger:
        @hookimpl
        def fairart_register_certificates(self, register):
            for name, thing in things.items():
                register(name, thing)

    manager.register(Stranger(), "stranger")


def run(classifier, digits, name, *, eps=0.1, norm="inf", number=40, **options):
    attack = ("pgd", {"eps": eps, "max_iter": 5, "norm": norm})
    return evaluate(
        classifier,
        digits.x[:number],
        digits.y[:number],
        attacks=[attack],
        certificates=[(name, options)],
        sanity_samples=0,
        verbose=False,
    )


@pytest.mark.usefixtures("supplied")
class TestHeldAgainstAttacks:
    def test_an_attack_within_the_radius_is_an_error_that_names_the_sample(self, classifier, digits):
        broken = np.flatnonzero(
            run(classifier, digits, "doubtful")["clean"].correct & ~run(classifier, digits, "doubtful")["pgd"].correct
        )
        with pytest.raises(EvaluationError) as caught:
            run(classifier, digits, "halves", radius=0.15)
        message = str(caught.value)
        assert re.search(
            rf"certificate 'halves' is wrong: sample {broken[0]} is certified for class \d within 0.15 in L-inf", message
        )
        assert "and attack 'pgd' with eps 0.1 changed its prediction to class" in message
        assert f"({len(broken)} samples in all)" in message

    def test_a_radius_below_the_budget_says_nothing_about_it(self, classifier, digits):
        assert run(classifier, digits, "halves", radius=0.0999).certificates["halves"].accuracy_at(0.09) > 0.9

    @pytest.mark.parametrize("name", ["doubtful", "other"])
    def test_what_holds_with_a_probability_or_in_another_norm_is_not_held_against_it(self, classifier, digits, name):
        result = run(classifier, digits, name, radius=5.0)
        assert result["pgd"].accuracy < result.certificates[name].accuracy_at(5.0)


@pytest.mark.usefixtures("supplied")
@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("raising", PluginError, "plugin 'stranger': certificate 'raising' raised RuntimeError: out of order"),
        ("shape", EvaluationError, r"must give \(40,\) values of predictions, radii for this batch, got radii of shape \(39,\)"),
        ("negative", EvaluationError, r"must give finite radii >= 0, got -1.0 for sample 0"),
        ("class", EvaluationError, r"must predict classes 0 to 9, or -1 to abstain, got 1\d for sample 0"),
        ("none", PluginError, "certificate 'none' must be a fairart.evaluation.certificates.Certificate, got dict"),
        ("half", UnknownNameError, "did you mean 'halves'"),
    ],
)
def test_what_a_certificate_must_not_do(classifier, digits, name, kind, message):
    with pytest.raises(kind, match=message):
        run(classifier, digits, name)


def test_two_settings_need_labels(classifier, digits):
    twice = [("smoothing", {"n": 50, "sigma": sigma}) for sigma in (0.1, 0.5)]
    with pytest.raises(ValueError, match="two certificates are labelled 'smoothing'"):
        evaluate(classifier, digits.x[:4], digits.y[:4], attacks=(), certificates=twice, verbose=False)
    both = {f"s{sigma}": {"certificate": "smoothing", "n": 50, "sigma": sigma} for sigma in (0.05, 0.1)}
    result = evaluate(classifier, digits.x[:4], digits.y[:4], attacks=(), certificates=both, verbose=False)
    assert list(result.certificates) == ["s0.05", "s0.1"]
    np.testing.assert_allclose(*(max(result.certificates[label].radii) / float(label[1:]) for label in both))


@pytest.fixture
def saved(classifier, digits, tmp_path):
    result = evaluate(
        classifier,
        digits.x[:40],
        digits.y[:40],
        attacks=[("pgd", {"eps": 0.05, "max_iter": 2})],
        certificates=[("smoothing", {"n": 100, "sigma": 0.2})],
        class_names=[f"digit {index}" for index in range(10)],
        sanity_samples=0,
        verbose=False,
    )
    return result, result.save(tmp_path / "evaluation.json")


def test_a_saved_copy_is_the_same(saved):
    result, path = saved
    copy = EvaluationResult.load(path)
    assert copy.table() == result.table()
    assert copy.to_dict() == result.to_dict()
    assert copy._repr_html_() == result._repr_html_()
    np.testing.assert_array_equal(copy.certificates["smoothing"].radii, result.certificates["smoothing"].radii)


def test_an_evaluation_without_certificates_has_no_key_for_them(classifier, digits, tmp_path):
    plain = evaluate(classifier, digits.x[:4], digits.y[:4], attacks=(), verbose=False)
    assert "certificates" not in plain.to_dict()
    assert EvaluationResult.load(plain.save(tmp_path / "evaluation.json")).certificates == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry["radii"].pop(), "must be 40 numbers"),
        (lambda entry: entry["radii"].__setitem__(0, -1.0), "finite numbers >= 0"),
        (lambda entry: entry["predictions"].__setitem__(0, 0.5), "must be 40 numbers"),
        (lambda entry: entry["at"][0]["certified"].__setitem__(0, 99), "are not those of its radii"),
        (lambda entry: entry.pop("config"), "config"),
    ],
)
def test_a_damaged_file_is_told(saved, change, message):
    _, path = saved
    data = json.loads(path.read_text())
    change(data["certificates"][0])
    path.write_text(json.dumps(data))
    with pytest.raises(DamagedFileError, match=message):
        EvaluationResult.load(path)


def test_the_table_says_whose_predictions_and_how_sure(saved):
    result, _ = saved
    text = result.table()
    certificate = result.certificates["smoothing"]
    assert "smoothing: certified in L2, of the smoothed classifier, not the model itself" in text
    assert "each radius is too large with a probability of at most 0.001" in text
    rows = text[text.index("smoothing: certified") :].splitlines()
    first = next(row for row in rows if row.startswith("digit 0"))
    share, (low, high) = certificate.class_accuracy_at(0.0)[0], certificate.class_intervals_at(0.0)[0]
    assert f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]" in first
    weakest = certificate.weakest_class
    assert f"smallest median radius: class digit {weakest}, {certificate.median_radius[weakest]:.3g}" in text
    assert f"abstained: {certificate.abstained.sum()} of 40 samples" in text


def test_results_of_other_samples_are_refused(saved):
    result, _ = saved
    other = made(nb_classes=10)
    with pytest.raises(ValueError, match="'mine' has other labels"):
        EvaluationResult(list(result.values()), certificates=[other])
    with pytest.raises(ValueError, match="two certificates are labelled 'smoothing'"):
        EvaluationResult(list(result.values()), certificates=[result.certificates["smoothing"]] * 2)


def test_a_model_in_train_mode_is_certified_in_eval_mode_and_left_so(classifier, digits):
    classifier.model.train()
    twice = [
        evaluate(classifier, digits.x[:6], digits.y[:6], attacks=(), certificates=[("smoothing", {"n": 100})], verbose=False)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(result.certificates["smoothing"].radii for result in twice))
    assert classifier.model.training
    assert any(isinstance(part, nn.Dropout) for part in classifier.model)
