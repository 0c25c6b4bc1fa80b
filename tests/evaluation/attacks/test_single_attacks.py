"""What each attack does that no other does: starts, grids, surrogates, ensembles."""

import itertools

import numpy as np
import pytest
import torch
from art.attacks.evasion import SpatialTransformation
from scipy.ndimage import rotate, shift
from torch import nn

from fairart.engine.network import Network
from fairart.errors import OptionError
from fairart.evaluation import evaluate
from fairart.evaluation.attacks.pgd import fgsm_attack
from fairart.evaluation.attacks.spatial import grid_of_moves, spatial_attack
from fairart.evaluation.attacks.starts import adversarial_starts
from fairart.evaluation.attacks.transfer import transfer_attack
from fairart.evaluation.attacks.unit import UnitNetwork


class EvenShade(nn.Module):
    """Class 1 where the image varies over short distances, else class 0."""

    def forward(self, x):
        rough = (x[..., 1:] - x[..., :-1]).abs().mean(dim=(1, 2, 3)) * 10
        return torch.stack([1 - rough, rough - 1], dim=1)


class Always(nn.Module):
    def forward(self, x):
        return torch.tensor([1.0, 0.0]).repeat(len(x), 1) + 0 * x.sum()


def test_a_class_that_all_pixel_noise_falls_into_is_attacked_from_coarse_noise(make_classifier):
    classifier = make_classifier(EvenShade(), nb_classes=2)
    unit = UnitNetwork(Network(classifier))
    labels = torch.tensor([0, 1, 1, 0])
    starts, found = adversarial_starts(unit, (1, 8, 8), labels, [1, 2, 3, 4], init_size=20)
    assert found.all()
    assert (unit(torch.from_numpy(starts)).argmax(dim=1) != labels).all()
    assert starts.min() >= 0
    assert starts.max() <= 1
    alone, _ = adversarial_starts(unit, (1, 8, 8), labels[2:3], [3], init_size=20)
    np.testing.assert_array_equal(alone[0], starts[2])


@pytest.mark.parametrize("name", ["boundary", "hop-skip-jump"])
def test_a_sample_without_a_start_is_said_to_be_unattacked(make_classifier, name):
    class Sometimes(nn.Module):
        """Class 1 for dark images alone, which no draw comes near to."""

        def forward(self, x):
            level = x.mean(dim=(1, 2, 3)) - 0.01
            return torch.stack([level, -level], dim=1)

    classifier = make_classifier(Sometimes(), nb_classes=2)
    x = np.stack([np.full((1, 8, 8), 0.5), np.zeros((1, 8, 8))]).astype(np.float32)
    options = {"eps": 0.9, "max_iter": 2, "init_size": 3}
    with pytest.warns(UserWarning, match=f"attack '{name}': 1 of 2 samples were not attacked: none of 3 random images"):
        result = evaluate(classifier, x, np.array([0, 1]), attacks=[(name, options)], verbose=False)
    assert result[name].perturbation.share_changed == 0.5


def test_the_grid_of_moves():
    moves = grid_of_moves((3, 10, 20), max_translation=10, num_translations=3, max_rotation=30, num_rotations=3)
    expected = set(itertools.product([-1, 0, 1], [-2, 0, 2], [-30.0, 0.0, 30.0])) - {(0, 0, 0.0)}
    assert set(moves) == expected
    assert moves[0] in {(1, 0, 0.0), (-1, 0, 0.0)}
    assert grid_of_moves((1, 8, 8), max_translation=50, num_translations=1, max_rotation=9, num_rotations=2) == [
        (0, 0, -9.0),
        (0, 0, 9.0),
    ]


def test_spatial_stays_out_of_the_worst_case(classifier, digits):
    moves = {"max_translation": 20.0, "num_translations": 3, "num_rotations": 1}
    attacks = [("fgsm", {"eps": 0.05}), ("spatial", moves), ("pgd", {"eps": 0.05, "eps_step": 0.02, "max_iter": 3})]
    result = evaluate(classifier, digits.x[:60], digits.y[:60], attacks=attacks, sanity_samples=0, verbose=False)
    worst = result.worst_case()
    assert worst.config["over"] == ["clean", "fgsm", "pgd"]
    np.testing.assert_array_equal(worst.correct, result["fgsm"].correct & result["pgd"].correct)
    assert result.worst_case(["clean", "fgsm", "spatial", "pgd"]).accuracy < worst.accuracy
    assert result.table().splitlines()[-1] == (
        "worst-case: right under all of clean, fgsm, pgd (L-inf, eps 0.05); left out, as they have another budget: spatial"
    )


def test_spatial_is_the_worst_of_the_grid_for_each_sample(classifier, digits, target_of):
    grid = {"max_translation": 13, "num_translations": 1, "max_rotation": 14, "num_rotations": 5}
    x, y = torch.from_numpy(digits.x[:40]), torch.from_numpy(digits.y[:40])
    target = target_of(classifier, 40)
    with torch.no_grad():
        right = target.network(x).argmax(dim=1) == y
        x, y = x[right], y[right]
        margins = []
        for down, across, angle in [(0, 0, 0.0), *grid_of_moves((1, 8, 8), **grid)]:
            moved = rotate(shift(x.numpy(), [0, 0, down, across]), angle=angle, axes=(2, 3), reshape=False).clip(0, 1)
            logits = target.network(torch.from_numpy(moved))
            own = logits.gather(1, y[:, None])[:, 0]
            margins.append(own - logits.scatter(1, y[:, None], -np.inf).amax(dim=1))
        found = target.network(spatial_attack(target, x, y, **grid)).argmax(dim=1) != y
    worst = torch.stack(margins).amin(dim=0)
    assert torch.equal(found, worst < 0)
    assert 0 < found.sum() < len(found)
    # One move for the whole batch, which is what ART itself looks for, fools fewer.
    alike = SpatialTransformation(classifier, **{**grid, "max_translation": 0}, verbose=False).generate(x.numpy())
    assert (classifier.predict(alike).argmax(axis=1) != y.numpy()).sum() < found.sum()


def test_a_grid_of_nothing_is_refused(classifier, digits):
    options = {"num_translations": 1, "num_rotations": 1}
    with pytest.raises(OptionError, match="nothing to try"):
        evaluate(classifier, digits.x[:2], digits.y[:2], attacks=[("spatial", options)], verbose=False)


def test_spatial_says_its_budget(classifier, digits):
    result = evaluate(classifier, digits.x[:4], digits.y[:4], attacks=[("spatial", {"num_rotations": 3})], verbose=False)
    assert result["spatial"].config["notes"]["budget"] == (
        "rotations up to 30 degrees with translations up to 1 x 1 pixels, 26 in all; no eps"
    )


def test_transfer_gives_the_surrogates_examples_with_every_step_made(subject, images_of, target_of):
    classifier, surrogate = subject(seed=1), subject(seed=2)
    x, y = images_of(classifier, 6)
    surrogate.model.train()
    found = transfer_attack(
        target_of(classifier, 6), x, y, surrogate=surrogate, eps=0.2, eps_step=0.2, max_iter=1, num_random_init=0
    )
    assert surrogate.model.training
    torch.testing.assert_close(found, fgsm_attack(target_of(surrogate, 6), x, y, eps=0.2))
    stopped = target_of(surrogate, 6).network(x).argmax(dim=1) != y
    assert stopped.any(), "the surrogate must be wrong about some already"
    assert ((found - x)[stopped].abs() > 0).any()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"nb_classes": 4}, "nb_classes must be that of the classifier, 10, got 4"),
        ({"shape": (1, 9, 8)}, "input_shape must be"),
        ({"clip_values": (0.0, 255.0)}, "clip_values must be"),
        ({"clip_values": None}, "clip_values must be"),
    ],
)
def test_a_surrogate_of_other_inputs_is_refused(subject, images_of, made, message):
    classifier = subject()
    x, y = images_of(classifier, 2)
    with pytest.raises(OptionError, match=message):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=[("transfer", {"surrogate": subject(**made)})], verbose=False)


def test_a_model_is_no_surrogate_for_itself_and_no_text_is_one(subject, images_of):
    classifier = subject()
    x, y = images_of(classifier, 2)
    with pytest.raises(OptionError, match="the evaluated model itself"):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=[("transfer", {"surrogate": classifier})], verbose=False)
    with pytest.raises(OptionError, match="surrogate expects PyTorchClassifier, got 'runs/a'"):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=[("transfer", {"surrogate": "runs/a"})], verbose=False)
    with pytest.raises(OptionError, match="'transfer' needs surrogate"):
        evaluate(classifier, x.numpy(), y.numpy(), attacks=["transfer"], verbose=False)


def test_a_surrogate_is_named_by_its_weights(subject, images_of):
    classifier = subject()
    x, y = images_of(classifier, 4)

    def told(seed):
        attacks = [("transfer", {"surrogate": subject(seed=seed), "max_iter": 1})]
        result = evaluate(classifier, x.numpy(), y.numpy(), attacks=attacks, verbose=False)
        assert len(result.table().splitlines()[-1]) < 300
        return result["transfer"].config["options"]["surrogate"]

    assert told(1).startswith("Net with weights ")
    assert told(1) == told(1) != told(2)


def test_art_autoattack_leaves_out_what_two_classes_do_not_allow(subject, images_of):
    classifier = subject(nb_classes=2)
    x, y = images_of(classifier, 4)
    options = {"max_iter": 2, "max_queries": 2, "nb_restarts": 1, "eps": 0.3}
    with pytest.warns(UserWarning, match="'art-autoattack' runs without apgd-dlr"):
        result = evaluate(classifier, x.numpy(), y.numpy(), attacks=[("art-autoattack", options)], verbose=False)
    assert result["art-autoattack"].config["notes"]["attacks_to_run"] == ["apgd-ce", "deepfool", "square"]
