"""A warm start whose weights were trained with another normalisation is warned about."""

from __future__ import annotations

import warnings

import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.trainers import ATTrainer


def classifier_of(preprocessing):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    return PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        (1, 4, 4),
        3,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        clip_values=(0, 1),
        preprocessing=preprocessing,
        device_type="cpu",
    )


@pytest.fixture
def file(tmp_path):
    """Weights beside the buffers of a normalisation layer."""
    state = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).state_dict()
    torch.save({**state, "mu": torch.tensor([0.3]), "sigma": torch.tensor([0.4])}, tmp_path / "w.pt")
    return tmp_path / "w.pt"


@pytest.mark.parametrize("preprocessing", [None, (0.5, 0.4), (0.3, 0.2)])
def test_another_one_is_a_warning(file, preprocessing):
    with pytest.warns(UserWarning, match=r"trained with mean 0\.3 and std 0\.4, the classifier's preprocessing has mean"):
        ATTrainer(classifier_of(preprocessing), warm_start=file)


@pytest.mark.parametrize("preprocessing", [(0.3, 0.4), (0.301, 0.402)])
def test_the_same_one_is_not(file, preprocessing):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ATTrainer(classifier_of(preprocessing), warm_start=file)
