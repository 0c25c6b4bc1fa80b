"""An ensemble against the mean of what ART says of its members, and its gradient against that of a hand formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from art.defences.preprocessor import GaussianAugmentation
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fairart.models import Ensemble
from fairart.models.ensemble import combined_logits

SCALINGS = (None, (0.4, 0.3), (np.full((1, 1, 1), 0.5, dtype=np.float32), np.full((1, 1, 1), 0.2, dtype=np.float32)))


def classifier(seed, *, scaling=None, nb_classes=3, side=4, clip_values=(0.0, 1.0), **more):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(side * side, 8), nn.ReLU(), nn.Linear(8, nb_classes))
    return PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, side, side),
        nb_classes=nb_classes,
        clip_values=clip_values,
        preprocessing=scaling,
        device_type="cpu",
        **more,
    )


@pytest.fixture
def members():
    return [classifier(seed, scaling=scaling) for seed, scaling in enumerate(SCALINGS)]


@pytest.fixture
def x():
    return np.random.default_rng(0).random((20, 1, 4, 4), dtype=np.float32)


def test_both_means_are_those_of_the_predictions_of_art(members, x):
    logits = np.stack([one.predict(x) for one in members])
    shares = torch.tensor(logits).softmax(dim=2).mean(dim=0).numpy()
    found = Ensemble(members, combine="probabilities").classifier().predict(x)
    np.testing.assert_allclose(np.exp(found), shares, atol=1e-6)
    np.testing.assert_allclose(Ensemble(members, combine="logits").classifier().predict(x), logits.mean(axis=0), atol=1e-5)


def test_the_gradient_is_the_weighted_mean_of_the_gradients_of_the_members(members, x):
    """d log mean(p_m) = sum(p_m d log p_m) / sum(p_m), for the probability of the true class."""
    labels = np.arange(len(x)) % 3
    one_hot = np.eye(3, dtype=np.float32)[labels]
    ensemble = Ensemble(members).classifier()
    # ART gives the gradient of each sample's loss, -log p of the label.
    found = ensemble.loss_gradient(x, one_hot) * len(x)
    shares = np.stack([torch.tensor(one.predict(x)).softmax(dim=1).numpy()[np.arange(len(x)), labels] for one in members])
    gradients = np.stack([one.loss_gradient(x, one_hot) for one in members]) * len(x)
    weights = (shares / shares.sum(axis=0))[:, :, None, None, None]
    np.testing.assert_allclose(found, (weights * gradients).sum(axis=0), rtol=1e-3, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(0, 2**16), st.floats(0.1, 200.0))
def test_the_mean_of_probabilities_sums_to_one_at_any_scale_and_does_not_depend_on_the_order(number, seed, scale):
    logits = scale * torch.randn(number, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = combined_logits(list(logits), "probabilities")
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.exp(), logits.softmax(dim=2).mean(dim=0))
    torch.testing.assert_close(found, combined_logits(list(logits.flip(0)), "probabilities"))


def test_small_probabilities_keep_their_gaps():
    logits = torch.tensor([[0.0, -300.0, -310.0]])
    found = combined_logits([logits, logits], "probabilities")
    assert float(found[0, 1] - found[0, 2]) == pytest.approx(10.0, rel=1e-4)


def test_a_later_change_of_a_member_changes_the_ensemble(members, x):
    ensemble = Ensemble(members).classifier()
    before = ensemble.predict(x)
    with torch.no_grad():
        members[1].model[1].weight.zero_()
    assert not np.allclose(before, ensemble.predict(x))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"nb_classes": 4}, "same number of classes: member 1 has 3, member 2 has 4"),
        ({"side": 5}, r"same input shape: member 1 has \(1, 4, 4\), member 2 has \(1, 5, 5\)"),
        ({"clip_values": (0.0, 255.0)}, "same clip values"),
    ],
)
def test_members_that_do_not_fit_together_are_named(change, told):
    with pytest.raises(ValueError, match=told):
        Ensemble([classifier(0), classifier(1, **change)])


def test_what_is_no_ensemble_is_refused(members):
    with pytest.raises(ValueError, match="two members or more, got 1"):
        Ensemble(members[:1])
    with pytest.raises(ValueError, match="one model twice"):
        Ensemble([members[0], members[0]])
    with pytest.raises(TypeError, match="PyTorchClassifiers, got torch"):
        Ensemble([members[0], members[1].model])
    with pytest.raises(ValueError, match="'probabilities', 'logits', got 'votes'"):
        Ensemble(members, combine="votes")
    with pytest.raises(ValueError, match="3 different texts"):
        Ensemble(members, names=["a", "a", "b"])
    augmented = classifier(5, preprocessing_defences=[GaussianAugmentation(augmentation=False, apply_predict=True)])
    with pytest.raises(ValueError, match="member 2: its preprocessing has GaussianAugmentation"):
        Ensemble([members[0], augmented])
