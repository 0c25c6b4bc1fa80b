"""Of the classifier's loss, the label smoothing is used; everything else that would be ignored is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from fairart import create
from fairart.errors import OptionError
from fairart.objectives.base import Batch, cross_entropy
from fairart.trainers import ATTrainer

CLASSES = 4


def classifier_of(loss, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, CLASSES))
    return PyTorchClassifier(
        model,
        loss=loss,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        input_shape=(1, 3, 3),
        nb_classes=CLASSES,
        clip_values=(0, 1),
        device_type="cpu",
    )


@given(
    smoothing=st.floats(0, 0.99),
    logits=st.lists(st.lists(st.floats(-20, 20), min_size=CLASSES, max_size=CLASSES), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_the_smoothed_cross_entropy_is_its_equation(smoothing, logits):
    z = torch.tensor(logits, dtype=torch.float64)
    y = torch.arange(len(z)) % CLASSES
    weights = torch.full_like(z, smoothing / CLASSES)
    weights[torch.arange(len(z)), y] += 1 - smoothing
    expected = -(weights * z.log_softmax(1)).sum(1)
    torch.testing.assert_close(cross_entropy(z, y, smoothing), expected)


@pytest.mark.parametrize("name", ["standard", "at", "fat", "trades", "bat"])
def test_every_objective_smooths_its_cross_entropy(name):
    torch.manual_seed(1)
    objective = create("objective", name)
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, CLASSES))
    x, y = torch.rand(6, 1, 3, 3), torch.arange(6) % CLASSES
    examples = tuple((x + 0.1 * torch.rand_like(x)).clamp(0, 1) for _ in range(objective.nb_examples))
    sizes = {"eps": torch.full((6,), 0.1), "eps_step": torch.full((6,), 0.05), "max_iter": 2}
    plain, smoothed = (
        objective.losses(network, Batch(x=x, y=y, label_smoothing=value, **sizes), examples) for value in (0.0, 0.2)
    )
    logits = network(x if name in ("trades",) else examples[0])
    expected = F.cross_entropy(logits, y, reduction="none", label_smoothing=0.2)
    torch.testing.assert_close(smoothed.natural, expected)
    assert not torch.allclose(plain.natural, smoothed.natural)
    if plain.boundary is not None:
        torch.testing.assert_close(plain.boundary, smoothed.boundary)


def weights_after(loss):
    classifier = classifier_of(loss)
    x = np.random.default_rng(0).random((16, 1, 3, 3), dtype=np.float32)
    ATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2).fit(
        x, np.arange(16) % CLASSES, batch_size=8, nb_epochs=2, seed=0, verbose=False
    )
    return classifier.model[1].weight.detach().clone()


def test_a_fit_uses_the_label_smoothing_of_the_classifier():
    plain, smoothed = (weights_after(nn.CrossEntropyLoss(label_smoothing=value)) for value in (0.0, 0.3))
    assert torch.equal(plain, weights_after(F.cross_entropy))
    assert not torch.allclose(plain, smoothed)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.MSELoss(), r"loss MSELoss would be ignored: .*objective="),
        (nn.NLLLoss(), "loss NLLLoss would be ignored"),
        (lambda z, y: F.cross_entropy(z, y), "loss <lambda> would be ignored"),
        (nn.CrossEntropyLoss(weight=torch.ones(CLASSES)), "class weights, .*class_weighting="),
        (nn.CrossEntropyLoss(reduction="sum"), "reduction 'sum'"),
        (nn.CrossEntropyLoss(ignore_index=0), "ignore_index 0"),
    ],
)
def test_what_would_be_ignored_is_refused(loss, message):
    with pytest.raises(OptionError, match=message):
        ATTrainer(classifier_of(loss))
