"""Defences in an evaluation: the two numbers, the check, the file, and what is refused before any work."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from art.defences.preprocessor import JpegCompression
from torch import nn

from fairart.attacks import fgsm
from fairart.engine.network import Network
from fairart.errors import OptionError, PluginError, UnknownNameError
from fairart.evaluation import AttackResult, EvaluationResult, evaluate
from fairart.evaluation.defences import Defence
from fairart.evaluation.errors import DamagedFileError, EvaluationError
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack
from fairart.evaluation.results.defence_table import defence_notes
from fairart.evaluation.results.intervals import wilson_interval
from fairart.evaluation.sanity.defences import DEFENCE_CHECK, check_defences

PGD = ("pgd", {"eps": 0.08, "max_iter": 5})


class Nothing(Defence):
    def apply(self, x, *, seeds):
        return x.clone()


def evaluated(classifier, digits, defences, attacks=(PGD,), **options):
    options = {"sanity_samples": 0, "verbose": False, **options}
    return evaluate(classifier, digits.x, digits.y, attacks=attacks, defences=defences, **options)


def test_bpda_through_the_identity_is_plain_pgd(classifier, digits, register):
    register(defences={"nothing": Nothing})
    result = evaluated(classifier, digits, ["nothing"])
    one = result.defences["nothing"]["pgd"]
    np.testing.assert_array_equal(one.bpda.predictions, result["pgd"].predictions)
    np.testing.assert_array_equal(one.bpda.confidences, result["pgd"].confidences)
    assert one.bpda.perturbation == result["pgd"].perturbation
    np.testing.assert_array_equal(result.defences["nothing"].clean.confidences, result["clean"].confidences)
    assert 0.05 < one.bpda.accuracy < 0.95
    # The naive attack makes all its steps, as it is not known whether an early example survives a defence.
    assert one.naive.config["options"] == {**one.bpda.config["options"], "stop_when_fooled": False}


def test_naive_examples_are_those_of_the_undefended_model(classifier, digits):
    result = evaluated(classifier, digits, [("jpeg", {"quality": 20})], [("fgsm", {"eps": 0.2})])
    x, y = torch.from_numpy(digits.x), torch.from_numpy(digits.y)
    classifier.model.eval()
    made = fgsm(Network(classifier), x, y, eps=0.2, clip_values=(0.0, 1.0)).numpy()
    jpeg = JpegCompression(clip_values=(0.0, 1.0), quality=20, channels_first=True)
    clean, attacked = (classifier.predict(jpeg(images)[0]).argmax(axis=1) for images in (digits.x, made))
    found = result.defences["jpeg"]
    np.testing.assert_array_equal(found.clean.predictions, clean)
    np.testing.assert_array_equal(found["fgsm"].naive.predictions, np.where(clean == digits.y, attacked, clean))
    assert found["fgsm"].naive.perturbation.nb_attacked == (clean == digits.y).sum()


@pytest.mark.parametrize(
    "defence", [("jpeg", {"quality": 5}), ("spatial-smoothing", {}), ("feature-squeezing", {"bit_depth": 1})]
)
def test_who_knows_of_the_defence_fools_more(classifier, digits, defence):
    result = evaluated(classifier, digits, [defence])
    one = result.defences[defence[0]]["pgd"]
    assert one.naive.accuracy > one.bpda.accuracy
    assert one.both.accuracy <= one.bpda.accuracy
    np.testing.assert_array_equal(one.both.correct, one.naive.correct & one.bpda.correct)
    assert one.naive.perturbation.max_linf <= 0.08 + 1e-6
    assert one.bpda.perturbation.max_linf <= 0.08 + 1e-6


def test_a_number_that_is_an_illusion_is_marked(classifier, digits):
    result = evaluated(classifier, digits, [("jpeg", {"quality": 5})])
    (check,) = [check for check in result.checks if check.name == DEFENCE_CHECK]
    one = result.defences["jpeg"]["pgd"]
    assert one.illusion.interval[0] > 0
    assert not check.passed
    assert check.attack == "jpeg: pgd, naive"
    assert "Obfuscated gradients" in check.detail
    text = result.table()
    assert "! pgd: " in text
    assert "(obfuscated gradients)" in text
    # The attack on the undefended model is not made doubtful by it.
    assert all(check.attack != "pgd" or check.passed for check in result.checks)
    assert "naive - BPDA" in result._repr_html_()


def test_what_is_random_does_not_depend_on_the_batch(classifier, digits):
    options = {"prob": 0.6, "lamb": 0.1, "max_iter": 1, "draws": 2}
    few = SimpleNamespace(x=digits.x[:30], y=digits.y[:30])
    small, large = (
        evaluated(classifier, few, [("total-variation", options)], [("fgsm", {"eps": 0.1})], batch_size=size).defences
        for size in (11, 200)
    )
    for one, other in zip(small["total-variation"].results, large["total-variation"].results, strict=True):
        np.testing.assert_array_equal(one.predictions, other.predictions)
    assert "it is random" in "\n".join(defence_notes(EvaluationResult([one]), small["total-variation"]))


def test_autoattack_goes_through_a_convolution_behind_a_defence(digits, make_classifier):
    pytest.importorskip("pyautoattack")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    optimizer, x, y = (
        torch.optim.Adam(model.parameters(), 0.01),
        torch.from_numpy(digits.x_train),
        torch.from_numpy(digits.y_train),
    )
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    options = {"version": "custom", "attacks_to_run": ("apgd-ce", "square"), "n_iter": 3, "n_queries": 10, "eps": 0.15}
    defences = ["spatial-smoothing", ("total-variation", {"max_iter": 1, "draws": 2})]
    result = evaluate(
        make_classifier(model),
        digits.x[:20],
        digits.y[:20],
        attacks=[("autoattack", options)],
        defences=defences,
        verbose=False,
        sanity_samples=0,
    )
    one = result.defences["spatial-smoothing"]["autoattack"]
    assert one.bpda.accuracy <= one.naive.accuracy
    assert one.bpda.perturbation.nb_attacked > 10
    assert len(result.defences["total-variation"].results) == 3


def test_temperatures_go_with_a_defence(classifier, digits):
    result = evaluated(classifier, digits, ["feature-squeezing"], temperature=True)
    assert result.temperature is not None
    assert list(result.defences) == ["feature-squeezing"]


def test_without_attacks_the_clean_accuracy_remains(classifier, digits):
    result = evaluated(classifier, digits, ["jpeg"], [])
    assert result.defences["jpeg"].attacks == []
    assert result.table().count("naive:") == 1
    assert not [check for check in result.checks if check.name == DEFENCE_CHECK]


def test_the_file_has_everything(classifier, digits, tmp_path):
    result = evaluated(classifier, digits, ["jpeg", ("jpeg", {"label": "strong", "quality": 5})])
    result.save(tmp_path / "a.json")
    again = EvaluationResult.load(tmp_path / "a.json")
    again.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert again.table() == result.table()
    assert list(again.grouped(np.arange(len(digits.y)) % 2).defences) == ["jpeg", "strong"]
    plain = json.loads((tmp_path / "a.json").read_text())
    (strong,) = [one for one in plain["defences"] if one["label"] == "strong"]
    assert strong["config"]["options"] == {"quality": 5}
    assert strong["config"]["stand_in"] == "JPEG with smooth rounding"
    assert strong["attacks"][0]["naive"]["config"]["knows"] == "naive"
    found = result.defences["strong"]["pgd"]
    right = [int(found.both.correct[digits.y == label].sum()) for label in range(10)]
    expected = wilson_interval(right, np.bincount(digits.y, minlength=10))
    np.testing.assert_allclose(strong["attacks"][0]["both"]["confidence_interval"], expected)
    plain["defences"][0]["attacks"][0]["illusion"]["difference"] += 0.1
    (tmp_path / "c.json").write_text(json.dumps(plain))
    with pytest.raises(DamagedFileError, match="the difference behind defence 'jpeg'"):
        EvaluationResult.load(tmp_path / "c.json")


def test_other_options_of_a_defence_start_it_again(classifier, digits, tmp_path):
    fgsm_alone = [("fgsm", {"eps": 0.1})]
    evaluated(classifier, digits, [("jpeg", {"quality": 30})], fgsm_alone, checkpoint=tmp_path / "partial")
    with pytest.warns(UserWarning, match="has other settings") as told:
        found = evaluated(classifier, digits, [("jpeg", {"quality": 20})], fgsm_alone, checkpoint=tmp_path / "partial")
    whole = evaluated(classifier, digits, [("jpeg", {"quality": 20})], fgsm_alone)
    assert len(told) == 3
    assert "defence 'jpeg: clean' has other settings (defence quality was 30, is 20) and starts again" in str(told[0].message)
    assert found.to_dict() == whole.to_dict()


@pytest.mark.parametrize(
    ("defences", "error", "told"),
    [
        (["jpg"], UnknownNameError, "there is no defence 'jpg'; did you mean 'jpeg'"),
        ([("jpeg", {"quality": "high"})], OptionError, "quality"),
        ([("jpeg", {"quality": 0})], OptionError, "quality must be >= 1"),
        ([("jpeg", {"qualty": 3})], OptionError, "has no option 'qualty'; did you mean 'quality'"),
        (["jpeg", "jpeg"], ValueError, "two defences are labelled 'jpeg'"),
        ([3], TypeError, "defences expects names or"),
    ],
)
def test_what_is_wrong_is_told_before_any_work(classifier, digits, defences, error, told):
    with pytest.raises(error, match=told):
        evaluated(classifier, digits, defences)


@pytest.mark.parametrize("name", ["jpeg", "spatial-smoothing", "total-variation"])
def test_defences_of_images_refuse_what_is_none(name, make_classifier):
    classifier = make_classifier(nn.Linear(64, 10), shape=(64,))
    with pytest.raises(OptionError, match=rf"defence '{name}' needs images \(channels, height, width\), got .* \(64,\)"):
        evaluate(classifier, np.zeros((4, 64), np.float32), np.arange(4), defences=[name], verbose=False)


def test_defences_need_a_range(make_classifier):
    classifier = make_classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), clip_values=None)
    with pytest.raises(OptionError, match="defence 'feature-squeezing' needs to know the range of the inputs"):
        evaluate(classifier, np.zeros((4, 1, 8, 8), np.float32), np.arange(4), defences=["feature-squeezing"], verbose=False)


class Broken(Nothing):
    answer = "raise"

    def apply(self, x, *, seeds):
        if self.answer == "raise":
            raise KeyError("inside")
        return {"shape": x[:, :, 1:], "nan": x * torch.nan, "array": x.numpy()}[self.answer]


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ("raise", PluginError, "plugin 'stranger': defence 'broken' raised KeyError: 'inside'"),
        ("shape", EvaluationError, r"apply must give the shape \(120, 1, 8, 8\), got \(120, 1, 7, 8\)"),
        ("nan", EvaluationError, "gave NaN or infinite values"),
        ("array", EvaluationError, "apply must give a tensor .*, got ndarray"),
    ],
)
def test_what_a_plugin_does_wrong_names_it(classifier, digits, register, answer, error, told):
    register(defences={"broken": type("Broken", (Broken,), {"answer": answer})})
    with pytest.raises(error, match=told):
        evaluated(classifier, digits, ["broken"])


LABELS = np.arange(200) % 4


def outcome(label, right):
    """A result in which the first ``right`` samples are right."""
    predictions = np.where(np.arange(200) < right, LABELS, (LABELS + 1) % 4)
    return AttackResult(
        label=label, labels=LABELS, predictions=predictions, nb_classes=4, config={"attack": "pgd", "options": {}}
    )


@pytest.mark.parametrize(
    ("undefended", "naive", "bpda", "passed", "said"),
    [
        (20, 150, 25, False, "holds only while the attack does not know"),
        (20, 150, 150, True, "are right under both"),  # it withstands both
        (20, 22, 20, True, "are right under both"),  # a difference within its interval
        (20, 30, 24, False, "holds only while the attack does not know"),  # a gain that BPDA does not find
        (20, 100, 150, True, "its stand-in leads astray"),
    ],
)
def test_the_check_compares_what_is_known_with_what_is_not(undefended, naive, bpda, passed, said):
    pair = DefendedAttack(outcome("pgd", undefended), outcome("jpeg: pgd, naive", naive), outcome("jpeg: pgd, BPDA", bpda))
    found = DefenceResult("jpeg", {"defence": "jpeg", "options": {}}, outcome("jpeg: clean", 190), [pair])
    (check,) = check_defences([found])
    assert check.passed is passed
    whole = EvaluationResult([outcome("clean", 200), outcome("pgd", undefended)], checks=[check], defences=[found])
    assert said in defence_notes(whole, found)[-1]
    assert pair.illusion.difference == pytest.approx((naive - bpda) / 200)
    np.testing.assert_allclose(pair.class_illusion, pair.naive.class_accuracy - pair.bpda.class_accuracy)
    assert (pair.class_illusion_intervals[:, 0] <= pair.class_illusion).all()
    assert (pair.class_illusion <= pair.class_illusion_intervals[:, 1]).all()


def test_results_of_other_samples_are_refused():
    other = AttackResult(label="x", labels=LABELS[::-1], predictions=LABELS, nb_classes=4, config={})
    with pytest.raises(ValueError, match="'x' has other labels"):
        DefenceResult("jpeg", {}, outcome("a", 1), [DefendedAttack(outcome("pgd", 1), outcome("b", 1), other)])
    with pytest.raises(ValueError, match="a defence is of the samples of the evaluation"):
        EvaluationResult([outcome("clean", 1)], defences=[DefenceResult("jpeg", {}, other, [])])
    with pytest.raises(KeyError, match="no attack 'pdg' on defence 'jpeg'"):
        DefenceResult("jpeg", {}, outcome("a", 1), [])["pdg"]


def test_other_groups_leave_the_other_parts_as_they_are(classifier, digits):
    few = SimpleNamespace(x=digits.x[:30], y=digits.y[:30])
    result = evaluated(classifier, few, ["jpeg"], [], certificates=["lipschitz"], ood={"noise": "noise"})
    grouped = result.grouped({"half": np.arange(30) % 2})
    assert list(grouped.groups) == ["half"]
    for part in ("certificates", "ood", "defences"):
        assert grouped.to_dict()[part] == result.to_dict()[part]
