"""The small classifier of the tests of evaluation, and an evaluation with outliers alone."""

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.datasets.digits import load_digits
from fairart.evaluation import OodSettings, evaluate

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data():
    return load_digits()


@pytest.fixture(scope="session")
def classifier(data):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    x, y = torch.from_numpy((data.x_train - 0.3) / 0.4), torch.from_numpy(data.y_train)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    return PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), preprocessing=(0.3, 0.4), device_type="cpu"
    )


@pytest.fixture
def run(classifier, data):
    """``run({"noise": "noise"}, scores=..., ...)``: an evaluation of 90 test images; ``of``, ``x``, ... for evaluate itself."""

    def evaluated(sets, *, of=None, number=90, **options):
        own = {name: options.pop(name) for name in ("seed", "batch_size", "checkpoint", "x", "y", "attacks") if name in options}
        x, y = own.pop("x", data.x_test[:number]), own.pop("y", data.y_test[:number])
        settings = OodSettings(**options) if options else None
        given = {"attacks": (), "batch_size": 32, "verbose": False, "sanity_samples": 0, **own}
        return evaluate(of or classifier, x, y, ood=sets, ood_settings=settings, **given)

    return evaluated


@pytest.fixture(scope="session")
def logits(classifier):
    def of(x):
        with torch.no_grad():
            x = torch.from_numpy(np.asarray(x, dtype=np.float32))
            return classifier.model((x - 0.3) / 0.4).double()

    return of
