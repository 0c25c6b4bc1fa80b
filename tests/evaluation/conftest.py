"""One small trained classifier on real digits, and plugins that live for one test."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from torch import nn

import fairart.plugins
from fairart import hookimpl
from fairart.plugins import PluginManager


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """These batches are too small to share: threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return SimpleNamespace(x=x[order][:120], y=y[order][:120], x_train=x[order][120:], y_train=y[order][120:])


def wrap(model, *, shape=(1, 8, 8), nb_classes=10, **options):
    options = {"clip_values": (0, 1), "device_type": "cpu", **options}
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), shape, nb_classes, **options)


@pytest.fixture
def make_classifier():
    return wrap


@pytest.fixture(scope="session")
def trained_weights(digits):
    torch.manual_seed(0)
    model = new_model()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    x, y = torch.from_numpy((digits.x_train - 0.3) / 0.4), torch.from_numpy(digits.y_train)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.state_dict()


def new_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))


@pytest.fixture
def classifier(trained_weights):
    model = new_model()
    model.load_state_dict(trained_weights)
    return wrap(model, preprocessing=(0.3, 0.4))


@pytest.fixture
def register(monkeypatch):
    """Registers attacks, defences and metrics of a plugin named 'stranger' for one test."""

    def add(**things):
        manager = PluginManager(entry_points=False, strict=True)
        monkeypatch.setattr(fairart.plugins.manager, "_manager", manager)

        class Stranger:
            @hookimpl
            def fairart_register_attacks(self, register):
                for name, function in things.get("attacks", {}).items():
                    register(name, function)

            @hookimpl
            def fairart_register_defences(self, register):
                for name, function in things.get("defences", {}).items():
                    register(name, function)

            @hookimpl
            def fairart_register_fairness_metrics(self, register):
                for name, function in things.get("metrics", {}).items():
                    register(name, function)

        manager.register(Stranger(), "stranger")

    return add
