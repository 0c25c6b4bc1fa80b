from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.data_generators import NumpyDataGenerator
from art.estimators.classification import SklearnClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn

from fairart import create
from fairart.errors import OptionError, UnknownNameError
from fairart.objectives import ATObjective
from fairart.policies.target_samplers import CFPSSampler
from fairart.trainers import ATTrainer, FairTATTrainer

Make = Callable[..., Any]

DATA = [
    pytest.param({"y": [0, 1, 3] * 4}, r"^y must be labels in \[0, 3\), got 0 to 3", id="label too large"),
    pytest.param({"y": [0, -1, 2] * 4}, r"^y must be labels in \[0, 3\), got -1 to 2", id="negative label"),
    pytest.param({"y": [0, 0.5, 2] * 4}, r"^y must be whole numbers, got a label such as 0.5", id="label with a fraction"),
    pytest.param({"y": [0, math.nan, 2] * 4}, r"^y must be whole numbers, got a label such as nan", id="label NaN"),
    pytest.param({"y": ["cat", "dog", "cow"] * 4}, r"^y must be integer labels or one-hot rows, got dtype <U3", id="names"),
    pytest.param({"y": np.array([None] * 12)}, r"^y must be integer labels or one-hot rows, got dtype object", id="objects"),
    pytest.param({"y": np.full((12, 3), 1 / 3)}, r"^y must be one-hot rows of 0 and 1, got fractions", id="soft labels"),
    pytest.param({"y": np.ones((12, 3))}, r"^y must be one-hot, got 3 ones in row 0", id="several ones"),
    pytest.param({"y": np.zeros((12, 3))}, r"^y must be one-hot, got 0 ones in row 0", id="no one"),
    pytest.param({"y": np.eye(4)[[0, 1, 2] * 4]}, r"^y must be labels \(n,\) or one-hot \(n, 3\), got shape \(12, 4\)", id="K"),
    pytest.param({"y": [0, 1, 2]}, r"^x and y must be of one length, got 12 and 3", id="lengths"),
    pytest.param({"y": []}, r"^y is empty", id="no labels"),
    pytest.param(
        {"x": np.zeros((12, 8, 8))}, r"^x must have the classifier's input shape \(n, 1, 8, 8\), got \(12, 8, 8\)", id="2-D"
    ),
    pytest.param({"x": np.zeros((12, 3, 8, 8))}, r"input shape \(n, 1, 8, 8\), got \(12, 3, 8, 8\)", id="channels"),
    pytest.param({"x": np.zeros((0, 1, 8, 8)), "y": []}, r"^x is empty: expected at least one sample", id="no data"),
    pytest.param({"x": np.full((12, 1, 8, 8), "a")}, r"^x must be numbers .*, got dtype <U1", id="text"),
    pytest.param({"x": np.full((12, 1, 8, 8), None)}, r"^x must be numbers .*, got dtype object", id="objects as images"),
    pytest.param({"x": np.full((12, 1, 8, 8), 1j)}, r"^x must be numbers .*, got dtype complex128", id="complex"),
    pytest.param(
        {"x": np.full((12, 1, 8, 8), math.nan)}, r"^x must be finite numbers, got NaN or infinity in sample 0", id="NaN"
    ),
    pytest.param({"x": np.full((12, 1, 8, 8), math.inf)}, r"^x must be finite numbers", id="infinity"),
    pytest.param({"x": np.full((12, 1, 8, 8), 255.0)}, r"clip_values 0 to 1, got values from 255 to 255", id="too bright"),
    pytest.param({"x": np.full((12, 1, 8, 8), -0.1)}, r"clip_values 0 to 1, got values from -0.1 to -0.1", id="too dark"),
    pytest.param({"x": torch.utils.data.TensorDataset(torch.zeros(3))}, r"^fit takes arrays .*DataLoader\(dataset", id="dataset"),
    pytest.param(
        {"x": torch.utils.data.DataLoader([0, 1])}, r"^fit takes arrays x and y, got a DataLoader: .*fit_generator", id="loader"
    ),
    pytest.param({"y": np.arange(12) % 3 + 1}, r"^y must be labels in \[0, 3\), got 1 to 3: .*begin at 0", id="from 1"),
    pytest.param({"batch_size": 0}, r"batch_size must be an integer >= 1, got 0", id="no batch"),
    pytest.param({"nb_epochs": 0}, r"nb_epochs must be an integer >= 1, got 0", id="no epochs"),
    pytest.param({"nb_epochs": 1.5}, r"nb_epochs must be an integer >= 1, got 1.5", id="half an epoch"),
    pytest.param({"seed": -1}, r"seed must be an integer >= 0 or None, got -1", id="seed"),
    pytest.param({"scheduler": "cosine"}, r"scheduler must have a method step\(\), got str", id="scheduler"),
    pytest.param({"validation_data": 3}, r"validation_data must be a pair \(x, y\), got int", id="no pair"),
    pytest.param({"validation_data": ([1], [2], [3])}, r"validation_data must be a pair \(x, y\), got tuple", id="three"),
    pytest.param(
        {"validation_data": (np.zeros((2, 8, 8)), [0, 1])}, r"^validation x must have the classifier's", id="held shape"
    ),
    pytest.param({"validation_data": (np.zeros((2, 1, 8, 8)), [0, 7])}, r"^validation y must be labels in", id="held labels"),
]


@pytest.mark.parametrize(("wrong", "message"), DATA)
def test_what_fit_refuses_it_refuses_before_any_training(
    wrong: dict[str, Any], message: str, make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    classifier = make_classifier()
    trainer, before = ATTrainer(classifier, max_iter=1), weights_of(classifier)
    x, y = make_data(12)
    arguments: dict[str, Any] = {"x": x, "y": y, "batch_size": 6, "nb_epochs": 1, "seed": 0, "verbose": False, **wrong}
    with pytest.raises((ValueError, TypeError), match=message):
        trainer.fit(**arguments)
    assert same_weights(before, weights_of(classifier))
    assert (trainer.history, trainer.seed) == ([], None)


def test_one_bad_value_in_many_is_found(make_classifier: Make, make_data: Make):
    x, y = make_data(12)
    x[7, 0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="got NaN or infinity in sample 7"):
        ATTrainer(make_classifier()).fit(x, y, batch_size=6)


@pytest.mark.parametrize("clip", [(-1, 1), (0, 2), (0.1, 1.0), None])
def test_uint8_needs_clip_values_that_say_what_it_means(clip: Any, make_classifier: Make):
    x = np.zeros((6, 1, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"x is uint8: expected a classifier with clip_values \(0, 1\) or \(0, 255\), got"):
        ATTrainer(make_classifier(clip_values=clip)).fit(x, [0, 1, 2] * 2, batch_size=6)


def test_rounding_at_the_edge_of_the_clip_values_is_forgiven(make_classifier: Make, make_data: Make):
    x, y = make_data(12)
    x[0, 0, 0, 0] = np.nextafter(np.float32(1), np.float32(2))
    ATTrainer(make_classifier(), max_iter=1).fit(x, y, batch_size=6, nb_epochs=1, seed=0, verbose=False)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        pytest.param({"eps": -0.1}, OptionError, r"ATTrainer: eps must be >= 0, got -0.1", id="eps"),
        pytest.param({"eps": math.nan}, OptionError, r"eps must be a number, got NaN", id="eps NaN"),
        pytest.param({"eps": "8 of 255"}, OptionError, r"eps expects float.*write it like 0.03 or 8/255", id="eps text"),
        pytest.param({"eps_step": -1}, OptionError, r"eps_step must be >= 0, got -1", id="step"),
        pytest.param({"max_iter": 0}, OptionError, r"max_iter must be >= 1, got 0", id="no steps"),
        pytest.param({"max_iter": 2.5}, OptionError, r"max_iter expects int, got 2.5", id="half a step"),
        pytest.param({"hold_out": 0.0}, OptionError, r"hold_out must be > 0 and <= 0.5, got 0.0", id="hold-out"),
        pytest.param({"epss": 0.1}, OptionError, r"ATTrainer has no option 'epss'; did you mean 'eps'", id="unknown option"),
        pytest.param({"objective": "trade"}, UnknownNameError, r"no objective 'trade'; did you mean 'trades'", id="objective"),
        pytest.param({"target_sampler": "cfp"}, UnknownNameError, r"no target_sampler 'cfp'; did you mean 'cfps'", id="sampler"),
        pytest.param({"averaging": "swa"}, UnknownNameError, r"there is no averaging 'swa'; .*'fawa'", id="averaging"),
        pytest.param(
            {"augmentation": "flip"}, UnknownNameError, r"there is no augmentation 'flip'; .*crop-flip", id="augmentation"
        ),
        pytest.param(
            {"target_sampler": CFPSSampler},
            TypeError,
            r"target_sampler must be a registered name or an instance of fairart.policies.TargetSampler, "
            r"got the class CFPSSampler: make an instance of it",
            id="a class for an instance",
        ),
        pytest.param({"target_sampler": 3}, TypeError, r"instance of fairart.policies.TargetSampler, got 3", id="a number"),
        pytest.param(
            {"epsilon_scheduler": ATObjective()}, TypeError, r"instance of fairart.policies.EpsilonScheduler", id="kind"
        ),
        pytest.param(
            {"objective": None}, TypeError, r"objective must be a registered name or an instance of Objective", id="none"
        ),
    ],
)
def test_what_a_trainer_refuses_to_be_made_of(
    options: dict[str, Any], error: type[Exception], message: str, make_classifier: Make
):
    with pytest.raises(error, match=message):
        ATTrainer(make_classifier(), **options)


def test_a_misspelt_option_of_a_part_names_the_nearest():
    with pytest.raises(OptionError, match=r"averaging 'fawa' has no option 'treshold'; did you mean 'threshold'"):
        create("averaging", "fawa", treshold=0.3)


def test_fit_has_no_hidden_options(make_classifier: Make, make_data: Make):
    with pytest.raises(TypeError, match="unexpected keyword argument 'lr_scheduler'"):
        ATTrainer(make_classifier()).fit(*make_data(12), lr_scheduler=None)


def test_a_classifier_without_optimizer(make_classifier: Make):
    with pytest.raises(ValueError, match="the classifier has no optimizer: expected PyTorchClassifier"):
        ATTrainer(make_classifier(optimizer=None))


def test_the_optimizer_of_another_model(make_classifier: Make, make_model: Make):
    other = torch.optim.SGD(make_model().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizer holds none of the model's parameters"):
        ATTrainer(make_classifier(optimizer=other))


@pytest.mark.parametrize("thing", [nn.Linear(2, 2), None, "model"])
def test_something_that_is_no_classifier(thing: Any):
    with pytest.raises(TypeError, match=r"expected an art.estimators.classification.PyTorchClassifier, got"):
        ATTrainer(thing)


def test_a_classifier_of_another_framework():
    with pytest.raises(TypeError, match=r"PyTorchClassifier, got art\..*LogisticRegression"):
        ATTrainer(SklearnClassifier(LogisticRegression()))


def test_fawa_needs_validation_data_with_a_generator(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    classifier = make_classifier()
    trainer, before = FairTATTrainer(classifier, averaging="fawa"), weights_of(classifier)
    generator = NumpyDataGenerator(*make_data(12), batch_size=6)
    with pytest.raises(
        ValueError, match=r"a policy, or keep_best, needs validation data: give fit_generator\(validation_data=\(x, y\)\)"
    ):
        trainer.fit_generator(generator, nb_epochs=1)
    assert same_weights(before, weights_of(classifier))


def test_too_few_samples_to_hold_any_out(make_classifier: Make, make_data: Make):
    with pytest.raises(ValueError, match="needs validation data and there are too few samples to hold any out"):
        FairTATTrainer(make_classifier(), averaging="fawa").fit(*make_data(3), batch_size=3)


def test_fit_generator_takes_art_s_generators_only(make_classifier: Make, make_data: Make):
    with pytest.raises(TypeError, match=r"expected an art.data_generators.DataGenerator, got zip"):
        ATTrainer(make_classifier()).fit_generator(zip(*make_data(12), strict=True))


@pytest.mark.parametrize(("nb_epochs", "seed"), [(0, 0), (1, -1)])
def test_fit_generator_checks_its_numbers_too(nb_epochs: int, seed: int, make_classifier: Make, make_data: Make):
    generator = NumpyDataGenerator(*make_data(12), batch_size=6)
    with pytest.raises(ValueError, match=r"(nb_epochs must be an integer >= 1, got 0|seed must be an integer >= 0 .* got -1)"):
        ATTrainer(make_classifier()).fit_generator(generator, nb_epochs=nb_epochs, seed=seed)


@pytest.mark.parametrize("wrong", [np.zeros((4, 8, 8)), np.full((4, 1, 8, 8), 7.0), np.zeros((0, 1, 8, 8))])
def test_predict_checks_its_input(wrong: np.ndarray, make_classifier: Make):
    with pytest.raises(ValueError, match=r"^x (must|is)"):
        ATTrainer(make_classifier()).predict(wrong)
