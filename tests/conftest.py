"""Fixtures of the whole suite: golden values, tiny models on 8 x 8 images, and data that can be learnt in a few batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from fairart.statistics import ConfusionMatrix, EpochStatistics, ValidationStatistics

torch.set_num_threads(1)

DATA = Path(__file__).parent / "data"
SHAPE = (1, 8, 8)
Weights = dict[str, Tensor]


class TinyNet(nn.Module):
    """A convolution, both kinds of batch-norm, and a linear layer; the flat batch-norm cannot train on one sample."""

    def __init__(self, nb_classes: int, channels: int = 1, width: int = 4) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.flat_norm = nn.BatchNorm1d(width * 16)
        self.linear = nn.Linear(width * 16, nb_classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.convolution(x)))
        return self.linear(self.flat_norm(hidden.flatten(1)))


@pytest.fixture(params=[10, 7], ids=["10 classes", "7 classes"])
def golden_policies(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((DATA / f"policies_{request.param}_classes.json").read_text())


@pytest.fixture(params=[10, 7], ids=["10 classes", "7 classes"])
def golden_losses(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((DATA / f"losses_{request.param}_classes.json").read_text())


@pytest.fixture(scope="session")
def make_statistics() -> Callable[..., EpochStatistics]:
    def make(
        counts: npt.ArrayLike, *, epoch: int = 0, nb_epochs: int = 8, validation: npt.ArrayLike | None = None
    ) -> EpochStatistics:
        held = None
        if validation is not None:
            held = ValidationStatistics(clean=ConfusionMatrix(counts), robust=ConfusionMatrix(validation))
        return EpochStatistics(epoch=epoch, nb_epochs=nb_epochs, robust=ConfusionMatrix(counts), validation=held)

    return make


@pytest.fixture(scope="session")
def make_model() -> Callable[..., nn.Module]:
    def make(nb_classes: int = 3, *, channels: int = 1, seed: int = 0) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return TinyNet(nb_classes, channels)

    return make


@pytest.fixture(scope="session")
def make_classifier(make_model: Callable[..., nn.Module]) -> Callable[..., PyTorchClassifier]:
    """``make(nb_classes=3, lr=0.05, **what PyTorchClassifier takes)``: the same weights every time."""

    def make(nb_classes: int = 3, *, model: nn.Module | None = None, lr: float = 0.05, **options: Any) -> PyTorchClassifier:
        shape = options.pop("input_shape", SHAPE)
        network = make_model(nb_classes, channels=shape[0]) if model is None else model
        options.setdefault("optimizer", torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9))
        options.setdefault("clip_values", (0.0, 1.0))
        return PyTorchClassifier(
            network,
            loss=nn.CrossEntropyLoss(),
            input_shape=shape,
            nb_classes=nb_classes,
            device_type="cpu",
            **options,
        )

    return make


@pytest.fixture(scope="session")
def make_data() -> Callable[..., tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """``make(n, nb_classes)``: noisy copies of one random image a class, every class present, float32 in [0, 1]."""

    def make(
        n: int = 24, nb_classes: int = 3, *, seed: int = 0, shape: tuple[int, ...] = SHAPE
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        random = np.random.default_rng(seed)
        prototypes = np.random.default_rng(99).uniform(0.1, 0.9, (nb_classes, *shape))
        labels = random.permutation(np.arange(n) % nb_classes)
        images = np.clip(prototypes[labels] + random.normal(0, 0.25, (n, *shape)), 0, 1)
        return images.astype(np.float32), labels.astype(np.int64)

    return make


@pytest.fixture(scope="session")
def weights_of() -> Callable[[PyTorchClassifier], Weights]:
    def weights(classifier: PyTorchClassifier) -> Weights:
        return {name: value.detach().clone() for name, value in classifier.model.state_dict().items()}

    return weights


@pytest.fixture(scope="session")
def same_weights() -> Callable[[Weights, Weights], bool]:
    """Whether two state dictionaries are the same to the last bit."""

    def same(first: Weights, second: Weights) -> bool:
        return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)

    return same
