"""Training with Gaussian noise: the noise, where it goes, what it does not go with, and the certificate that it is for."""

import numpy as np
import pytest
import torch

from fairart import create
from fairart.errors import OptionError
from fairart.evaluation import evaluate
from fairart.trainers import ATTrainer, GaussianTrainer, IBPTrainer, StandardTrainer


def test_the_noise_has_its_size_and_leaves_the_range():
    x = torch.full((20, 1, 16, 16), 0.95)
    noise = create("augmentation", "gaussian", sigma=0.2).images(x, torch.Generator().manual_seed(0)) - x
    assert abs(float(noise.std()) - 0.2) < 0.005
    assert abs(float(noise.mean())) < 0.005
    assert float((x + noise).max()) > 1.2


def test_it_is_in_the_units_of_the_input(make_classifier, make_data):
    """With clip values (0, 255), sigma 64 is what 0.25 is for (0, 1); weights of the same seed agree."""
    x, y = make_data(40)
    small = GaussianTrainer(make_classifier(), sigma=0.25)
    large = GaussianTrainer(make_classifier(clip_values=(0.0, 255.0), preprocessing=(0.0, 255.0)), sigma=0.25 * 255)
    small.fit(x, y, batch_size=20, nb_epochs=2, seed=0, verbose=False)
    large.fit(x * 255, y, batch_size=20, nb_epochs=2, seed=0, verbose=False)
    np.testing.assert_allclose(small.predict(x), large.predict(x * 255), rtol=1e-3, atol=1e-3)


def test_it_comes_after_other_augmentations(make_classifier):
    for given in ("crop-flip", ["crop-flip"], None, "none"):
        trainer = GaussianTrainer(make_classifier(), sigma=0.1, augmentation=given)
        names = [type(part).__name__ for part in trainer.augmentation.changing]
        assert names == (["CropFlip", "GaussianNoise"] if given in ("crop-flip", ["crop-flip"]) else ["GaussianNoise"])
        assert trainer.augmentation.changing[-1].sigma == 0.1
    with pytest.raises(
        OptionError, match="gaussian leaves the range of the inputs, which randaugment would clip: put gaussian last"
    ):
        StandardTrainer(make_classifier(input_shape=(3, 8, 8)), augmentation="gaussian,randaugment")


@pytest.mark.parametrize("make", [ATTrainer, IBPTrainer])
def test_objectives_that_work_within_the_clip_values_refuse_it(make, make_classifier):
    with pytest.raises(ValueError, match="noisy images leave the clip values"):
        make(make_classifier(), augmentation="gaussian")


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan")])
def test_a_bad_sigma_is_refused(sigma, make_classifier):
    with pytest.raises(OptionError, match="GaussianTrainer: sigma must be"):
        GaussianTrainer(make_classifier(), sigma=sigma)


def test_training_with_noise_certifies_more(make_classifier, make_data):
    x, y = make_data(90)
    held, found = make_data(60, seed=8), {}
    for name, trainer in (
        ("gaussian", GaussianTrainer(make_classifier(lr=0.02), sigma=0.5)),
        ("standard", StandardTrainer(make_classifier(lr=0.02))),
    ):
        trainer.fit(x, y, batch_size=30, nb_epochs=25, seed=0, verbose=False)
        certificates = [("smoothing", {"sigma": 0.5, "n": 300})]
        result = evaluate(trainer.get_classifier(), *held, attacks=(), certificates=certificates, verbose=False)
        found[name] = result.certificates["smoothing"].accuracy_at(0.25)
    assert found["gaussian"] > found["standard"] + 0.1
