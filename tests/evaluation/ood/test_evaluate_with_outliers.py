"""Outliers in evaluate(): numbers by hand, per predicted class, saved and resumed, refused before any work."""

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from scipy import special, stats
from sklearn import metrics
from torch import nn

from fairart.errors import OptionError, UnknownNameError
from fairart.evaluation import EvaluationResult, OodSettings, evaluate
from fairart.evaluation.errors import DamagedFileError
from fairart.evaluation.ood import running
from fairart.evaluation.ood.plan import BUILT_IN
from fairart.evaluation.ood.sources import MADE

SETS = {"noise": "noise", "blurred": "blurred"}


def numbers(ood):
    return {
        (name, score, attacked): ood.detection(name, score, attacked=attacked).to_dict()
        for name in ood
        for score in ood.scores
        for attacked in ood.conditions(name, score)
    }


def test_scores_and_numbers_are_those_of_the_logits_by_hand(run, data, logits):
    strangers = np.random.default_rng(5).random((70, 1, 8, 8), dtype=np.float32)
    result = run({"mine": strangers}, temperature=2.0).ood
    z_in, z_out = logits(data.x_test[:90]).numpy(), logits(strangers).numpy()
    expected = {
        "energy": lambda z: 2 * special.logsumexp(z / 2, axis=1),
        "msp": lambda z: special.softmax(z, axis=1).max(axis=1),
        "max-logit": lambda z: z.max(axis=1),
        "entropy": lambda z: -stats.entropy(special.softmax(z, axis=1), axis=1),
    }
    assert result.scores == tuple(expected)
    for name, score in expected.items():
        np.testing.assert_allclose(result.inliers.scores[name], score(z_in), rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(result["mine"].scores[name], score(z_out), rtol=1e-4, atol=1e-7)
        found = result.detection("mine", name)
        truth = np.repeat([1, 0], [90, 70])
        both = np.concatenate([result.inliers.scores[name], result["mine"].scores[name]])
        guesses = np.concatenate([z_in.argmax(axis=1), z_out.argmax(axis=1)])
        assert found.auroc == pytest.approx(metrics.roc_auc_score(truth, both))
        assert found.aupr_in == pytest.approx(metrics.average_precision_score(truth, both))
        assert found.aupr_out == pytest.approx(metrics.average_precision_score(1 - truth, -both))
        for label in range(10):
            own = guesses == label
            assert (found.support_in[label], found.support_out[label]) == ((own & (truth == 1)).sum(), (own & (truth == 0)).sum())
            if len(set(truth[own])) < 2:
                assert np.isnan(found.class_auroc[label])
                assert np.isnan(found.class_fpr[label])
                continue
            assert found.class_auroc[label] == pytest.approx(metrics.roc_auc_score(truth[own], both[own]))
            assert found.class_aupr_in[label] == pytest.approx(metrics.average_precision_score(truth[own], both[own]))
            fpr, tpr, _ = metrics.roc_curve(truth[own], both[own], drop_intermediate=False)
            assert found.class_fpr[label] == pytest.approx(fpr[np.argmax(tpr >= 0.95)])
            passed = own & (truth == 0) & (both >= found.threshold)
            assert found.class_passed[label] == passed.sum()


def test_shares_of_classes_add_up_and_the_worst_has_enough_images(run):
    result = run({"noise": "noise"}).ood
    for score in result.scores:
        found = result.detection("noise", score)
        assert found.predicted_share.sum() == pytest.approx(1)
        assert found.class_passed.sum() == round(found.fpr * 90)
        assert np.nansum(found.class_kept * found.support_in) >= 0.95 * 90
        if found.class_passed.sum():
            assert found.swallowed_share.sum() == pytest.approx(1)
        worst = found.worst_class
        if worst is not None:
            assert min(found.support_in[worst], found.support_out[worst]) >= 10
            enough = np.minimum(found.support_in, found.support_out) >= 10
            assert found.worst_class_auroc == found.class_auroc[enough].min()
    assert found.support_out[found.attracting_class] == found.support_out.max()


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "digits"])
def test_built_in_sets_follow_from_the_seed_and_not_from_the_batches(run, name):
    one, other, again = (run({name: name}, number=40, **own).ood[name] for own in ({}, {"seed": 1}, {"batch_size": 7}))
    np.testing.assert_allclose(one.scores["energy"], again.scores["energy"], rtol=1e-3)
    assert (one.predictions == again.predictions).all()
    assert one.confidences.shape == (40,)
    if name != "blurred":  # nothing of it is random
        assert (one.scores["energy"] != other.scores["energy"]).any()


def made(name, classifier, x, *, seed=0):
    from fairart.engine.network import Network
    from fairart.evaluation.attacks import AttackTarget
    from fairart.evaluation.ood.sources import MadeOutliers

    place = np.arange(len(x))
    return MadeOutliers(AttackTarget(classifier, Network(classifier)), name, x, place, seed).images(place).numpy()


def test_what_the_recipes_make(classifier, data):
    x = data.x_test[:200]
    noise, normal, mixed, soft = (made(name, classifier, x) for name in ("noise", "gaussian-noise", "permuted", "blurred"))
    assert stats.kstest(noise.ravel(), "uniform").pvalue > 0.001
    inside = normal[(normal > 0) & (normal < 1)]
    assert stats.kstest(inside, stats.truncnorm(-2, 2, 0.5, 0.25).cdf).pvalue > 0.001
    np.testing.assert_array_equal(np.sort(mixed.reshape(200, -1)), np.sort(x.reshape(200, -1)))
    assert (mixed != x).any(axis=(1, 2, 3)).all()
    assert np.abs(np.diff(soft, axis=3)).mean() < 0.5 * np.abs(np.diff(x, axis=3)).mean()
    assert soft.min() >= 0
    assert soft.max() <= 1


def test_recipes_are_in_the_units_of_the_clip_values(classifier, data):
    wide = PyTorchClassifier(classifier.model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(-1, 3), device_type="cpu")
    x = data.x_test[:60]
    for name in ("noise", "gaussian-noise"):
        np.testing.assert_allclose(made(name, wide, x), 4 * made(name, classifier, x) - 1, atol=1e-5)


def test_permuting_moves_all_channels_of_a_pixel_together(classifier, data):
    colour = np.concatenate([data.x_test[:5], 1 - data.x_test[:5]], axis=1)
    mixed = made("permuted", classifier, colour)
    np.testing.assert_allclose(mixed[:, 0] + mixed[:, 1], 1, atol=1e-6)


def test_digits_are_brought_to_the_size_of_the_images():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 4))
    classifier = PyTorchClassifier(model, nn.CrossEntropyLoss(), (3, 12, 12), 4, clip_values=(0, 255), device_type="cpu")
    x = np.random.default_rng(0).integers(0, 256, (30, 3, 12, 12), dtype=np.uint8)
    y = np.arange(30) % 4
    result = evaluate(classifier, x, y, attacks=(), ood={"digits": "digits"}, verbose=False)
    assert len(result.ood["digits"]) == 30
    assert result.ood.config["sets"]["digits"]["samples"] == 30


def test_saved_and_read_back_it_is_the_same(run, tmp_path):
    result = run(SETS, attack="msp", eps=0.1, max_iter=3)
    path = result.save(tmp_path / "evaluation.json")
    found = EvaluationResult.load(path)
    assert found.to_dict() == result.to_dict()
    assert list(found.ood) == ["noise", "blurred"]
    for key, own in numbers(result.ood).items():
        for name, value in own.items():
            np.testing.assert_array_equal(numbers(found.ood)[key][name], value)
    text = path.read_text()
    damaged = text.replace('"auroc": 0.', '"auroc": 0.0', 1)
    assert damaged != text
    path.write_text(damaged)
    with pytest.raises(DamagedFileError, match="AUROC of 'noise'"):
        EvaluationResult.load(path)


def test_without_outliers_the_file_has_no_such_part(run):
    result = evaluate_without(run)
    assert "ood" not in result.to_dict()
    assert len(result.ood) == 0
    assert result.ood.scores == ()


def evaluate_without(run):
    return run(None)


class Killed(BaseException):
    """Nothing in the library may catch it."""


def test_stopped_at_every_batch_and_gone_on_with_it_is_the_same_file(run, data, monkeypatch, tmp_path):
    options = {"number": 40, "attack": "energy", "eps": 0.1, "max_iter": 2, "scores": "energy,msp"}
    whole = run({"noise": "noise", "fooling": "fooling"}, **options).to_dict()
    real, count, kill_at = running.checked_logits, 0, None

    def counted(*arguments):
        nonlocal count
        if count == kill_at:
            raise Killed
        count += 1
        return real(*arguments)

    monkeypatch.setattr(running, "checked_logits", counted)
    for at in range(2 * 5):  # test images and two sets, then both but the fooling inputs under attack
        folder = tmp_path / str(at)
        count, kill_at = 0, at
        with pytest.raises(Killed):
            run({"noise": "noise", "fooling": "fooling"}, checkpoint=folder, **options)
        count, kill_at = 0, None
        assert run({"noise": "noise", "fooling": "fooling"}, checkpoint=folder, **options).to_dict() == whole
        assert count == 10 - at


def test_partial_results_of_other_settings_are_not_taken_over(run, tmp_path):
    first = run(SETS, checkpoint=tmp_path / "c", temperature=1.0).ood
    with pytest.warns(UserWarning, match="other settings"):
        other = run(SETS, checkpoint=tmp_path / "c", temperature=5.0).ood
    assert (first["noise"].scores["energy"] != other["noise"].scores["energy"]).any()


@pytest.mark.parametrize(
    ("sets", "options", "error", "match"),
    [
        ({"a": "nois"}, {}, UnknownNameError, "did you mean 'noise'"),
        ({"a": np.zeros((5, 1, 9, 9), np.float32)}, {}, ValueError, r"ood: a must have the classifier's input shape"),
        ({"a": np.full((5, 1, 8, 8), 2, np.float32)}, {}, ValueError, "clip_values"),
        ({"a": np.zeros((0, 1, 8, 8), np.float32)}, {}, ValueError, "ood: a is empty"),
        ({"digits": "digits"}, {}, ValueError, "are test or training images"),
        (["noise"], {}, TypeError, "expects a mapping"),
        ({"": "noise"}, {}, ValueError, "needs a name"),
        (None, {"attack": "msp"}, OptionError, "no set of outliers"),
        (SETS, {"scores": "knn"}, OptionError, "must be fitted on training images"),
    ],
)
def test_bad_input_is_refused_before_any_work(run, monkeypatch, sets, options, error, match):
    monkeypatch.setattr("fairart.evaluation.running.runner.Runner.clean", lambda self: pytest.fail("work was done"))
    with pytest.raises(error, match=match):
        run(sets, **options)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"scores": "enrgy"}, UnknownNameError, "did you mean 'energy'"),
        ({"scores": ()}, OptionError, "at least one score"),
        ({"scores": "msp", "attack": "energy"}, OptionError, "not among the scores"),
        ({"scores": "knn", "attack": "knn"}, OptionError, "scores of logits"),
        ({"eps": -1}, OptionError, "eps"),
        ({"temperature": 0}, OptionError, "temperature"),
        ({"norm": "1"}, OptionError, "norm"),
    ],
)
def test_bad_settings_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        OodSettings(**options)


def test_a_few_copies_of_test_images_are_a_warning_and_many_an_error(run, data):
    others = np.random.default_rng(0).random((200, 1, 8, 8), dtype=np.float32)
    others[7] = data.x_test[3]
    with pytest.warns(UserWarning, match="1 of the 200 images of 'others' are test or training images"):
        run({"others": others})
    others[8] = data.x_test[4]
    with pytest.raises(ValueError, match="2 of the 200 images of 'others'"):
        run({"others": others})


def test_training_images_are_known_by_a_part_of_them_where_nothing_is_fitted(run, data, monkeypatch):
    monkeypatch.setattr("fairart.evaluation.ood.plan.LOOKED_AT", 100)
    fit = data.x_train, data.y_train
    # A few digits are in the data twice.
    with pytest.raises(ValueError, match=r"1\d\d of the 1347 images of 'theirs' are test or training images"):
        run({"theirs": data.x_train}, fit=fit)
    assert run({"noise": "noise"}, fit=fit, number=20).to_dict() == run({"noise": "noise"}, number=20).to_dict()
    with pytest.raises(ValueError, match="must be of one length, got 1347 and 5"):
        run({"noise": "noise"}, fit=(data.x_train, data.y_train[:5]))


def test_images_in_bytes_are_the_same_as_in_shares(data):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    classifier = PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
    whole = (data.x_test[:40] * 255).astype(np.uint8)
    strangers = np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
    given = {"attacks": (), "verbose": False}
    one = evaluate(classifier, whole, data.y_test[:40], ood={"s": strangers}, **given).ood
    shares = whole / np.float32(255), data.y_test[:40]
    other = evaluate(classifier, *shares, ood={"s": strangers / np.float32(255)}, **given).ood
    np.testing.assert_array_equal(one["s"].scores["energy"], other["s"].scores["energy"])
    with pytest.raises(ValueError, match="40 of the 40 images of 's'"):
        evaluate(classifier, *shares, ood={"s": whole}, **given)


def test_noise_needs_clip_values(classifier, data):
    free = PyTorchClassifier(classifier.model, nn.CrossEntropyLoss(), (1, 8, 8), 10, device_type="cpu")
    with pytest.raises(ValueError, match="noise needs a classifier with clip_values"):
        evaluate(free, data.x_test, data.y_test, attacks=(), ood={"noise": "noise"}, verbose=False)


def test_every_recipe_says_what_it_is():
    assert set(MADE) | {"digits"} == set(BUILT_IN)
    assert all(BUILT_IN.values())
