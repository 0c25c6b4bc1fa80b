"""Curves of accuracy against rotation, scale and shear: the images against scipy, the numbers by hand, files and resuming."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from fairart.evaluation import AttackResult, DamagedFileError, EvaluationResult, evaluate
from fairart.evaluation.results.affine_results import AffineResults
from fairart.evaluation.running.affine import FAMILIES, check_affine, moved


def by_scipy(image, family, degree):
    """Bilinear values at the place that each pixel comes from, black from outside."""
    turn = np.deg2rad(degree)
    forward = {
        # Rows run down: a positive angle turns with the clock.
        "rotation": np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]),
        "scale": np.eye(2) * degree,
        "shear": np.array([[1, 0], [-np.tan(turn), 1]]),
    }[family]
    backward, centre = np.linalg.inv(forward), (np.array(image.shape) - 1) / 2
    padded, pad = np.pad(image, 40), 40
    return affine_transform(padded, backward, centre + pad - backward @ (centre + pad), order=1)[pad:-pad, pad:-pad]


@pytest.mark.parametrize(
    ("family", "degree"), [("rotation", 20), ("rotation", -35), ("scale", 0.7), ("scale", 1.3), ("shear", 15)]
)
def test_images_are_those_of_scipy(family, degree):
    image = np.random.default_rng(0).random((11, 11))
    # Smooth, so that the border between inside and outside does not decide.
    image[[0, 1, -1, -2]] = image[:, [0, 1, -1, -2]] = 0
    found = moved(torch.from_numpy(image)[None, None], family, degree, 0.0)[0, 0].numpy()
    expected = by_scipy(image, family, degree)
    flipped = by_scipy(image[:, ::-1], family, degree)[:, ::-1]
    same = np.abs(found - expected).max(), np.abs(found - flipped).max()
    assert same[0] == pytest.approx(0, abs=2e-3), same


@pytest.mark.parametrize(("family", "degree"), [("rotation", 40), ("scale", 0.5), ("shear", -40)])
def test_the_identity_changes_nothing_and_black_is_the_lower_clip_value(family, degree):
    x = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert moved(x, family, FAMILIES[family].identity, -1.0) is x
    changed = moved(x, family, degree, -1.0)
    assert changed.min() == -1
    assert changed.max() <= x.max() + 1e-5
    for one in range(2):
        torch.testing.assert_close(moved(x[one : one + 1], family, degree, -1.0)[0], changed[one])


def result_of(rates, label):
    labels = np.repeat(np.arange(len(rates)), 10)
    right = np.tile(np.arange(10), len(rates)) < np.rint(10 * np.array(rates))[labels]
    return AttackResult(label, labels, np.where(right, labels, (labels + 1) % len(rates)), len(rates), {})


def made():
    curves = {("rotation", -30.0): [0.2, 0.4], ("rotation", 0.0): [1.0, 0.8], ("rotation", 10.0): [0.6, 0.8]}
    results = {key: result_of(rates, f"{key[0]}/{key[1]:g}") for key, rates in curves.items()}
    return EvaluationResult([result_of([1.0, 0.8], "clean")], affine=AffineResults(results))


def test_curves_and_their_means_by_hand():
    found = made().affine
    assert found.degrees("rotation") == (-30, 0, 10)
    assert found.accuracy("rotation") == pytest.approx([0.3, 0.9, 0.7])
    assert found.class_accuracy("rotation") == pytest.approx(np.array([[0.2, 1.0, 0.6], [0.4, 0.8, 0.8]]))
    assert found.worst_class_accuracy("rotation") == pytest.approx([0.2, 0.8, 0.6])
    assert found.area("rotation") == pytest.approx([(30 * 0.6 + 10 * 0.8) / 40, (30 * 0.6 + 10 * 0.8) / 40])
    with pytest.raises(KeyError, match="no result of 'rotation/5'"):
        found["rotation", 5]


def test_a_file_brings_curves_back_and_wrong_counts_are_damage(tmp_path):
    path = made().save(tmp_path / "evaluation.json")
    back = EvaluationResult.load(path)
    assert back.to_dict() == made().to_dict()
    assert "rotation: class" in back.table()
    assert "rotation: class" in back._repr_html_()
    plain = json.loads(path.read_text())
    plain["affine"][1]["predictions"][0] = 1
    path.write_text(json.dumps(plain))
    with pytest.raises(DamagedFileError, match="the counts of 'rotation/0'"):
        EvaluationResult.load(path)


def test_an_evaluation_scores_what_it_made_and_goes_on_after_a_kill(classifier, digits, tmp_path, monkeypatch):
    from fairart.evaluation.running.runner import Runner

    common = {"attacks": [], "affine": {"rotation": [30], "scale": None}, "verbose": False, "batch_size": 50}
    whole = evaluate(classifier, digits.x, digits.y, **common)
    assert whole.affine.degrees("rotation") == (0, 30)
    assert whole.affine["scale", 1].predictions.tolist() == whole["clean"].predictions.tolist()
    turned = moved(torch.from_numpy(digits.x), "rotation", 30.0, 0.0).numpy()
    alone = evaluate(classifier, turned, digits.y, attacks=[], verbose=False, batch_size=50)
    assert whole.affine["rotation", 30].predictions.tolist() == alone["clean"].predictions.tolist()
    score, calls = Runner._score, []

    def killed(self, x, indices, name, *rest, **options):
        calls.append(name)
        if calls.count("affine/rotation/30") == 2:
            raise KeyboardInterrupt
        return score(self, x, indices, name, *rest, **options)

    monkeypatch.setattr(Runner, "_score", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(classifier, digits.x, digits.y, checkpoint=tmp_path / "kept", **common)
    calls[:] = ["affine/rotation/30"] * 2
    resumed = evaluate(classifier, digits.x, digits.y, checkpoint=tmp_path / "kept", **common)
    assert resumed.to_dict() == whole.to_dict()
    assert "affine/rotation/0" not in calls


@pytest.mark.parametrize(
    ("affine", "told"),
    [
        ("rotations", "there is no family 'rotations'; did you mean 'rotation'"),
        ({"scale": [0, 1]}, r"degrees of 'scale' must be numbers from 0.1 to 10, got \[0, 1\]"),
        ({"shear": []}, "degrees of 'shear' must be numbers from -80 to 80"),
        ({"shear": [float("nan")]}, "degrees of 'shear'"),
    ],
)
def test_bad_families_and_degrees_are_one_error(affine, told, classifier):
    with pytest.raises(ValueError, match=told):
        check_affine(affine, classifier)


def test_inputs_that_are_no_images_are_refused(make_classifier):
    flat = make_classifier(torch.nn.Linear(4, 3), shape=(4,), nb_classes=3)
    with pytest.raises(ValueError, match="expected a classifier of images"):
        check_affine("all", flat)
