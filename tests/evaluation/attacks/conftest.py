"""Attacks with few steps, and classifiers of every shape that they are asked to take."""

import importlib.util

import pytest
import torch
from torch import nn

from fairart.engine.network import Network
from fairart.evaluation import AttackTarget

QUICK = {
    "fgsm": {},
    "pgd": {"max_iter": 3},
    "apgd-ce": {"max_iter": 4, "nb_random_init": 1},
    "apgd-dlr": {"max_iter": 4, "nb_random_init": 1},
    "square": {"max_iter": 12},
    "deepfool": {"max_iter": 5},
    "cw": {"max_iter": 4, "binary_search_steps": 3},
    "boundary": {"max_iter": 3, "sample_size": 5, "num_trial": 5},
    "hop-skip-jump": {"max_iter": 2, "max_eval": 20, "init_eval": 10},
    "spatial": {"num_rotations": 3, "num_translations": 3, "max_translation": 20},
    "transfer": {"max_iter": 3},
    "art-autoattack": {"max_iter": 3, "max_queries": 5, "nb_restarts": 1},
}
if importlib.util.find_spec("pyautoattack") is not None:
    QUICK["autoattack"] = {"version": "custom", "attacks_to_run": ("apgd-ce", "fab-t", "square"), "n_iter": 4, "n_queries": 8}


class Net(nn.Module):
    """Two layers of random weights on images scaled to about unit size."""

    def __init__(self, shape, nb_classes, scale, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        size = torch.Size(shape).numel()
        self.scale = scale
        self.first = nn.Parameter(torch.randn((size, 12), generator=generator) / size**0.5)
        self.second = nn.Parameter(torch.randn((12, nb_classes), generator=generator))

    def forward(self, x):
        return torch.tanh(4 * (x.flatten(1) / self.scale - 0.5) @ self.first) @ self.second


@pytest.fixture
def subject(make_classifier):
    """``subject(shape, nb_classes, clip_values, seed)``: an ART classifier of random weights."""

    def make(shape=(1, 8, 8), nb_classes=10, clip_values=(0.0, 1.0), seed=0):
        span = 1.0 if clip_values is None else clip_values[1] - clip_values[0]
        return make_classifier(Net(shape, nb_classes, span, seed), shape=shape, nb_classes=nb_classes, clip_values=clip_values)

    return make


@pytest.fixture
def quick(subject):
    """Options of an attack that make it quick; a surrogate for the one that needs it."""

    def make(name, classifier):
        options = dict(QUICK[name])
        if name == "transfer":
            options["surrogate"] = subject(tuple(classifier.input_shape), classifier.nb_classes, classifier.clip_values, seed=5)
        return options

    return make


@pytest.fixture
def target_of():
    def make(classifier, number):
        return AttackTarget(classifier, Network(classifier).eval(), tuple(range(50, 50 + number)), 3)

    return make


@pytest.fixture
def images_of():
    """``images_of(classifier, number)``: random images and what the classifier says about them, so that all are right."""

    def make(classifier, number, seed=0):
        generator = torch.Generator().manual_seed(seed)
        low, high = map(float, (0.0, 1.0) if classifier.clip_values is None else classifier.clip_values)
        x = low + (high - low) * torch.rand((number, *classifier.input_shape), generator=generator)
        with torch.no_grad():
            return x, Network(classifier).eval()(x).argmax(dim=1)

    return make
