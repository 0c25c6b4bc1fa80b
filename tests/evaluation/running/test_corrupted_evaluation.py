"""Corruptions in evaluate(): right numbers, apart from the attacks, from memory or from a folder, refused before any work."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fairart.corruptions import (
    CORRUPTION_VERSION,
    CorruptionFolder,
    MadeCorruptions,
    MissingTexturesError,
    write_corruptions,
)
from fairart.errors import UnknownNameError
from fairart.evaluation import AttackResult, CorruptionResults, EvaluationResult, SanityCheck, evaluate
from fairart.evaluation.running import runner, scores

NAMES = ("contrast", "gaussian_noise")


@pytest.fixture
def run(classifier, digits):
    def evaluated(corruptions=NAMES, *, of=None, **options):
        options = {"attacks": (), "severities": [1, 5], "batch_size": 50, "verbose": False, **options}
        x, y = options.pop("x", digits.x), options.pop("y", digits.y)
        return evaluate(of or classifier, x, y, corruptions=corruptions, **options)

    return evaluated


@pytest.fixture
def folder(digits, tmp_path):
    return write_corruptions(digits.x, digits.y, tmp_path / "c", corruptions=NAMES, seed=3)


def by_hand(classifier, images):
    return classifier.predict(images).argmax(axis=1)


def test_numbers_are_those_of_the_images_scored_by_hand(run, classifier, digits):
    result = run(seed=4)
    made = MadeCorruptions(digits.x, digits.y, corruptions=NAMES, seed=4)
    assert list(result.corruptions) == [(name, severity) for name in NAMES for severity in (1, 5)]
    for (name, severity), found in result.corruptions.items():
        images = torch.cat([batch for batch, _ in made.batches(name, severity)]).numpy()
        np.testing.assert_array_equal(found.predictions, by_hand(classifier, images))
        assert found.label == f"{name}/{severity}"
        assert found.config == {"corruption": name, "severity": severity}
    assert result.corruptions["contrast", 5].accuracy < result.corruptions["contrast", 1].accuracy


def test_confidences_are_the_softmax_of_the_predicted_class(run, classifier, digits):
    result = run(attacks=[("pgd", {"eps": 0.1, "max_iter": 2})])
    logits = torch.from_numpy(classifier.predict(digits.x)).double()
    np.testing.assert_allclose(result["clean"].confidences, logits.softmax(dim=1).amax(dim=1), rtol=1e-5)
    for found in [*result.values(), *result.corruptions.values(), result.worst_case()]:
        assert ((found.confidences >= 0.1) & (found.confidences <= 1)).all()
        assert found.confidences.dtype == np.float64
    # An attack that leaves a sample right leaves the model less sure of it; wrong ones keep their clean score.
    clean, pgd = result["clean"], result["pgd"]
    assert (pgd.confidences[pgd.correct] < clean.confidences[pgd.correct]).mean() > 0.9
    np.testing.assert_array_equal(pgd.confidences[~clean.correct], clean.confidences[~clean.correct])
    worst = result.worst_case()
    np.testing.assert_array_equal(worst.confidences[worst.correct], np.minimum(clean.confidences, pgd.confidences)[worst.correct])


def test_they_stand_apart_from_the_attacks(run):
    result = run(attacks=["fgsm"])
    assert list(result) == ["clean", "fgsm"]
    assert result.worst_case().config["over"] == ["clean", "fgsm"]
    assert "fog/1" not in result
    with pytest.raises(KeyError, match="did you mean 'contrast/5'"):
        result.corruptions["contrast", 4]
    alone = run(None, severities=None)
    assert len(alone.corruptions) == 0
    with pytest.raises(ValueError, match="no results of corruptions"):
        alone.mean_corruption_error()


def test_the_batch_size_changes_nothing_and_the_seed_does(run):
    first, again, other = run(batch_size=120), run(batch_size=7), run(seed=1)
    for cell, found in first.corruptions.items():
        np.testing.assert_array_equal(found.predictions, again.corruptions[cell].predictions)
        np.testing.assert_allclose(found.confidences, again.corruptions[cell].confidences, rtol=1e-5)
    noisy = "gaussian_noise", 5
    assert (first.corruptions[noisy].confidences != other.corruptions[noisy].confidences).all()


@pytest.mark.parametrize("as_bytes", [False, True])
def test_other_clip_values_mean_the_same_images(run, make_classifier, classifier, digits, as_bytes):
    pixels = np.round(digits.x * 255).astype(np.uint8)
    wide = make_classifier(classifier.model, clip_values=(0, 255), preprocessing=(0.3 * 255, 0.4 * 255))
    expected = run(x=pixels)
    found = run(x=pixels if as_bytes else pixels.astype(np.float32), of=wide)
    for cell in expected.corruptions:
        np.testing.assert_array_equal(found.corruptions[cell].predictions, expected.corruptions[cell].predictions)
    lower = make_classifier(classifier.model, clip_values=(-1, 1), preprocessing=(-0.4, 0.8))
    shifted = run(x=pixels.astype(np.float32) / 255 * 2 - 1, of=lower)
    assert shifted.corruptions.accuracy == pytest.approx(expected.corruptions.accuracy, abs=0.02)


def test_sets_names_and_options_by_name(run, tmp_path, digits):
    with pytest.warns(UserWarning, match="saturate leaves grey images as they are"):
        assert run("extra4", severities=[3]).corruptions.names == ("speckle_noise", "gaussian_blur", "spatter", "saturate")
    assert run("fog").corruptions.names == ("fog",)
    assert run("fog,snow", severities=None).corruptions.severities == (1, 2, 3, 4, 5)
    Image.fromarray(np.full((90, 90, 3), 200, dtype=np.uint8)).save(tmp_path / "ice.png")
    frosty = run({"frost": {"textures": str(tmp_path)}, "fog": None})
    assert frosty.corruptions.names == ("frost", "fog")
    assert frosty.corruptions.source["options"] == {"frost": {"textures": str(tmp_path)}}


def test_a_folder_is_read_with_its_own_labels_a_batch_at_a_time(run, classifier, digits, folder, monkeypatch):
    sizes, predict = [], scores.predict

    def sized(network, x, *rest, **options):
        sizes.append(len(x))
        return predict(network, x, *rest, **options)

    monkeypatch.setattr(runner, "predict", sized)
    read = CorruptionFolder(folder, corruptions=NAMES, nb_classes=10)
    half = run(read, severities=[2], x=digits.x[:60], y=digits.y[:60], batch_size=32)
    assert max(sizes) == 32
    found = half.corruptions["contrast", 2]
    pixels = np.load(folder / "contrast.npy")[120:240].astype(np.float32).transpose(0, 3, 1, 2) / 255
    np.testing.assert_array_equal(found.predictions, by_hand(classifier, pixels))
    np.testing.assert_array_equal(found.labels, digits.y)
    assert half.corruptions.source["own_labels"]
    assert not run(read, severities=[2]).corruptions.source["own_labels"]


def test_a_folder_cut_down(folder, digits, run):
    part = CorruptionFolder(folder, corruptions=NAMES).subset(np.array([3, 5, 117]))
    (images, labels), *_ = part.batches("contrast", 4, batch_size=10)
    np.testing.assert_array_equal(images[1, 0] * 255, np.load(folder / "contrast.npy")[3 * 120 + 5, :, :, 0])
    assert labels.tolist() == digits.y[[3, 5, 117]].tolist()
    assert run(part).corruptions["contrast", 1].predictions.shape == (3,)
    for bad in ([], [120], [-1], [0.5], 3):
        with pytest.raises(ValueError, match="expected positions from 0 to 119"):
            CorruptionFolder(folder).subset(np.array(bad))


def test_whether_it_was_made_is_said(run, folder):
    made, read = run().corruptions, run(CorruptionFolder(folder)).corruptions
    assert (made.made, made.version, made.source["source"]) == (True, CORRUPTION_VERSION, "made by fairart, not CIFAR-10-C")
    assert (read.made, read.version) == (True, CORRUPTION_VERSION), "though it came as a folder"
    (folder / "made.json").unlink()
    published = run(CorruptionFolder(folder))
    assert (published.corruptions.made, published.corruptions.version) == (False, None)
    assert "a folder in the published layout, read from" in published.table()
    assert "made by fairart, not CIFAR-10-C (version 1, seed 0)" in run().table()


def cell(name, severity, right, **more):
    labels = np.repeat([0, 1], 10)
    predictions = np.where(np.arange(20) % 10 < np.repeat(right, 10), labels, 1 - labels)
    return (name, severity), AttackResult(
        label=f"{name}/{severity}", labels=labels, predictions=predictions, nb_classes=2, config={}, **more
    )


@pytest.fixture
def small():
    cells = dict([cell("a", 1, [10, 8]), cell("a", 5, [6, 8]), cell("b", 1, [10, 10]), cell("b", 5, [4, 2])])
    clean = dataclasses.replace(cells["b", 1], label="clean")
    return EvaluationResult([clean], corruptions=CorruptionResults(cells, source={"version": 1}))


def test_means_over_corruptions_and_severities(small):
    corruptions = small.corruptions
    np.testing.assert_allclose(corruptions.accuracy, [[0.9, 0.7], [1, 0.3]])
    np.testing.assert_allclose(corruptions.worst_class_accuracy, [[0.8, 0.6], [1, 0.2]])
    assert corruptions.mean_accuracy() == pytest.approx(0.725)
    assert corruptions.mean_accuracy("a") == pytest.approx(0.8)
    assert corruptions.mean_accuracy(severity=5) == pytest.approx(0.5)
    assert corruptions.mean_worst_class_accuracy() == pytest.approx(0.65)
    assert corruptions.mean_worst_class_accuracy("b", 5) == pytest.approx(0.2)
    np.testing.assert_allclose(corruptions.mean_class_accuracy(), [0.75, 0.7])
    np.testing.assert_allclose(corruptions.mean_class_accuracy(severity=5), [0.5, 0.5])
    for wrong in ({"name": "c"}, {"severity": 2}):
        with pytest.raises(KeyError, match="names: a, b"):
            corruptions.mean_accuracy(**wrong)


def test_mean_corruption_error_is_relative_to_the_reference(small, tmp_path):
    other = dict([cell("a", 1, [5, 5]), cell("a", 5, [5, 5]), cell("b", 1, [9, 9]), cell("b", 5, [5, 5]), cell("b", 3, [1, 1])])
    with pytest.raises(ValueError, match="corruption 'a' has no result at severity 3"):
        CorruptionResults(other)
    del other["b", 3]
    reference = EvaluationResult([small["clean"]], corruptions=CorruptionResults(other, source={"version": 1}))
    assert small.mean_corruption_error() == pytest.approx(0.275)
    expected = ((0.1 + 0.3) / (0.5 + 0.5) + (0 + 0.7) / (0.1 + 0.5)) / 2
    assert small.mean_corruption_error(reference) == pytest.approx(expected)
    assert small.mean_corruption_error(reference.save(tmp_path / "e.json")) == pytest.approx(expected)
    assert small.mean_corruption_error(small) == pytest.approx(1)


def test_a_reference_that_does_not_compare_is_refused(small):
    some = CorruptionResults(dict([cell("a", 1, [9, 9])]), source={"version": 1})
    with pytest.raises(ValueError, match="no result of a/5, b/1, b/5"):
        small.corruptions.mean_corruption_error(some)
    for source, told in (({"folder": "x", "made": None}, "published"), ({"version": 2}, "made by fairart, version 2")):
        other = CorruptionResults(dict(small.corruptions), source=source)
        with pytest.raises(ValueError, match=f"are made by fairart, version 1, those of the reference {told}"):
            small.corruptions.mean_corruption_error(other)


def test_the_table_has_a_row_for_each_corruption(small):
    lines = small.table().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("corruption"))
    assert lines[start].split() == ["corruption", "severity", "1", "severity", "5", "mean"]
    assert lines[start + 2].split() == ["a", "90.0", "/", "80.0", "70.0", "/", "60.0", "80.0", "/", "70.0"]
    assert lines[start + 5].split() == ["mean", "95.0", "/", "90.0", "50.0", "/", "40.0", "72.5", "/", "65.0"]
    assert "lowest mean over all corruptions: class 1, 70.0" in lines


def test_failed_checks_stand_beside_the_number_and_below(run):
    result = run(attacks=["fgsm", ("pgd", {"max_iter": 1})])
    checks = [
        SanityCheck("growing eps", False, "12 of 50 right at eps 1", "pgd"),
        SanityCheck("zero gradients", True, "none", None),
        SanityCheck("same output", False, "logits differ", None),
    ]
    table = EvaluationResult(list(result.values()), checks=checks).table()
    overall = next(line for line in table.splitlines() if line.startswith("overall"))
    assert overall.count("!") == 3, "what is about the model is about every attack's number, but not about the clean one"
    assert overall.index("!") > overall.index("]")
    alone = EvaluationResult(list(result.values()), checks=checks[:2]).table()
    overall = next(line for line in alone.splitlines() if line.startswith("overall"))
    assert overall.count("!") == 2, "a worst case is doubtful where an attack is that it includes"
    assert overall.index("!") > overall.index("]", overall.index("]") + 1)
    assert "! pgd: growing eps failed: 12 of 50 right at eps 1" in table
    assert "! evaluation: same output failed: logits differ" in table
    assert "zero gradients" not in table
    assert "!" not in result.table()


def test_saved_and_loaded_it_is_the_same(run, folder, digits, tmp_path):
    read = CorruptionFolder(folder).subset(np.arange(70))
    result = run(read, attacks=["fgsm"])
    checked = EvaluationResult(
        list(result.values()), corruptions=result.corruptions, checks=[SanityCheck("a", False, "b", "fgsm")], config=result.config
    )
    loaded = EvaluationResult.load(checked.save(tmp_path / "evaluation.json"))
    assert loaded.to_dict() == checked.to_dict()
    assert loaded.table() == checked.table()
    assert loaded.checks == checked.checks
    for key, found in checked.corruptions.items():
        np.testing.assert_array_equal(loaded.corruptions[key].predictions, found.predictions)
        np.testing.assert_array_equal(loaded.corruptions[key].confidences, found.confidences)
        np.testing.assert_array_equal(loaded.corruptions[key].labels, digits.y[:70])
    np.testing.assert_array_equal(loaded["fgsm"].confidences, checked["fgsm"].confidences)


def test_files_of_the_first_format_are_read(run, tmp_path):
    path = run(None, severities=None, attacks=["fgsm"]).save(tmp_path / "evaluation.json")
    plain = json.loads(path.read_text())
    plain["format_version"] = 1
    del plain["corruptions"], plain["checks"]
    for entry in plain["results"]:
        del entry["confidences"]
    path.write_text(json.dumps(plain))
    old = EvaluationResult.load(path)
    assert old["fgsm"].confidences is None
    assert old.worst_case().confidences is None
    assert (old.checks, len(old.corruptions)) == ((), 0)
    again = EvaluationResult.load(old.save(path))
    assert again["clean"].confidences is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: plain["results"][0]["confidences"].__setitem__(0, 1.5), r"confidences must be 120 shares in \(0, 1\]"),
        (lambda plain: plain["results"][0]["confidences"].pop(), "confidences must be 120 shares"),
        (lambda plain: plain["corruptions"]["results"].pop(), "has no result at severity 5"),
        (lambda plain: plain["corruptions"]["results"].append(plain["corruptions"]["results"][0]), "two results"),
        (lambda plain: plain["corruptions"].pop("source"), "KeyError: 'source'"),
        (lambda plain: plain.__setitem__("checks", [{"name": "a"}]), "damaged evaluation: TypeError"),
    ],
)
def test_damage_to_what_is_new_is_named(run, tmp_path, change, message):
    path = run().save(tmp_path / "evaluation.json")
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(ValueError, match=message):
        EvaluationResult.load(path)


@pytest.mark.parametrize(
    ("corruptions", "options", "error", "message"),
    [
        ("smog", {}, UnknownNameError, "no corruption 'smog'; did you mean 'fog'"),
        ("fog", {"severities": [0]}, ValueError, "severities must be whole numbers from 1 to 5"),
        (None, {"severities": [1]}, ValueError, r"severities \[1\] are given without corruptions"),
        (3, {}, TypeError, "corruptions expects a named set, names, .* got int"),
        ({"frost": {"textures": "no/such/folder"}}, {}, MissingTexturesError, "no folder no/such/folder"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_work(run, monkeypatch, corruptions, options, error, message):
    monkeypatch.setattr(runner, "predict", None)
    with pytest.raises(error, match=message):
        run(corruptions, **options)


def test_what_does_not_suit_the_classifier_is_refused_before_any_work(run, make_classifier, folder, digits, monkeypatch):
    monkeypatch.setattr(runner, "predict", None)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError, match="the classifier needs clip_values"):
        run(of=make_classifier(model, clip_values=None))
    with pytest.raises(ValueError, match=r"severities must be among \[2\], which the corruptions have, got \[1, 5\]"):
        run(CorruptionFolder(folder, severities=[2]))
    colour = MadeCorruptions(np.repeat(digits.x, 3, axis=1), digits.y, corruptions="fog", severities=[1, 5])
    with pytest.raises(ValueError, match=r"shape \(C, H, W\) \(3, 8, 8\), the classifier takes \(1, 8, 8\)"):
        run(colour)
    few = make_classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), nb_classes=7)
    with pytest.raises(ValueError, match="have label 9, out of range for 7 classes"):
        run(CorruptionFolder(folder), of=few, y=digits.y % 7)
    flat = make_classifier(nn.Linear(64, 10), shape=(64,))
    with pytest.raises(ValueError, match=r"expected images \(n, 1 or 3, H, W\)"):
        run(of=flat, x=digits.x.reshape(-1, 64))
