"""A small classifier with batch-norm and dropout, and separable data for it."""

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart import create

SHAPE = (1, 4, 4)
OPTIONS = {"eps": 0.1, "eps_step": 0.04, "max_iter": 2, "hold_out": 0.25}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_classifier(nb_classes, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, nb_classes)
        )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return PyTorchClassifier(
        model, nn.CrossEntropyLoss(), SHAPE, nb_classes, optimizer=optimizer, clip_values=(0, 1), device_type="cpu"
    )


def make_data(nb_classes, per_class=8, seed=0):
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(nb_classes), per_class)
    centres = random.random((nb_classes, *SHAPE))
    x = np.clip(centres[y] + 0.1 * random.normal(size=(len(y), *SHAPE)), 0, 1).astype(np.float32)
    return x, y


def make_trainer(name, nb_classes, **options):
    classifier = make_classifier(nb_classes)
    return create("trainer", name, classifier=classifier, **{**OPTIONS, **options})


def fit(trainer, nb_classes, *, nb_epochs=3, seed=0, **options):
    x, y = make_data(nb_classes)
    trainer.fit(x, y, batch_size=6, nb_epochs=nb_epochs, seed=seed, verbose=False, **options)
    return trainer
