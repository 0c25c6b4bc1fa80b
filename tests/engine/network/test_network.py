"""An ART classifier seen from torch: the same logits, and gradients that reach the input."""

import numpy as np
import pytest
import torch
from art.defences.preprocessor import FeatureSqueezing
from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from art.estimators.classification import PyTorchClassifier
from art.preprocessing.standardisation_mean_std.pytorch import StandardisationMeanStdPyTorch
from torch import nn

from fairart.engine.network import Network, restored_modes

SHAPES = {"NCHW": (3, 5, 4), "NHWC": (5, 4, 3)}
MEAN, STD = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.3, 0.7])


def classifier(shape=(3, 5, 4), features=60, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(features, 4))
    options = {"clip_values": (0, 1), "device_type": "cpu", **options}
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), shape, 4, **options)


def images(shape=(3, 5, 4), n=6):
    return np.random.default_rng(0).random((n, *shape), dtype=np.float32)


def assert_same_logits(art_classifier, x):
    with torch.no_grad():
        logits = Network(art_classifier)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, art_classifier.predict(x), rtol=1e-5, atol=1e-6)


class Rounding(PreprocessorPyTorch):
    """Rounds to eight levels; lends the gradient of the identity."""

    def forward(self, x, y=None):
        return (x * 8).round() / 8, y

    def estimate_forward(self, x, y=None):
        return x


class RoundingWithoutGradient(PreprocessorPyTorch):
    def forward(self, x, y=None):
        return (x * 8).round() / 8, y


class Halving(PreprocessorPyTorch):
    """Keeps every other column, so that what follows sees another shape."""

    def forward(self, x, y=None):
        return x[..., ::2], y


class Standardising(PreprocessorPyTorch):
    """Each image less its mean: the plain sum of what comes out is constant."""

    def forward(self, x, y=None):
        return x - x.mean(dim=(1, 2, 3), keepdim=True), y


class Noisy(PreprocessorPyTorch):
    def forward(self, x, y=None):
        return x + 0.1 * torch.randn_like(x), y


@pytest.mark.parametrize("layout", sorted(SHAPES))
@pytest.mark.parametrize("preprocessing", [None, (0.4, 0.3), (MEAN, STD)], ids=["none", "numbers", "vectors"])
def test_logits_are_those_of_predict(layout, preprocessing):
    shape = SHAPES[layout]
    made = classifier(shape, channels_first=layout == "NCHW", preprocessing=preprocessing)
    assert_same_logits(made, images(shape))


@pytest.mark.parametrize("defence", [Rounding(), Standardising(), [Rounding(), Standardising()]])
def test_torch_preprocessors_run_inside(defence):
    assert_same_logits(classifier(preprocessing_defences=defence, preprocessing=(MEAN, STD)), images())


def test_each_preprocessor_gets_the_shape_that_the_one_before_it_gives():
    full = np.full((3, 5, 2), 0.5)
    made = classifier(features=30, preprocessing_defences=Halving(), preprocessing=(full, full))
    assert_same_logits(made, images())


def test_the_gradient_passes_through_mean_and_standard_deviation():
    made = classifier(preprocessing=(MEAN, STD))
    x = torch.from_numpy(images()).requires_grad_(True)
    Network(made)(x)[:, 1].sum().backward()
    weight = made.model[1].weight[1].view(3, 5, 4)
    expected = weight / torch.tensor(STD, dtype=torch.float32).view(3, 1, 1)
    torch.testing.assert_close(x.grad, expected.detach().expand_as(x))


def test_a_lent_gradient_stands_in_for_the_missing_one():
    made = classifier(preprocessing_defences=Rounding())
    x = torch.from_numpy(images()).requires_grad_(True)
    Network(made)(x)[:, 1].sum().backward()
    torch.testing.assert_close(x.grad, made.model[1].weight[1].view(3, 5, 4).detach().expand_as(x))


def test_preprocessing_of_fit_and_of_predict_are_told_apart():
    only_fit = Rounding(apply_fit=True, apply_predict=False)
    made, x = classifier(preprocessing_defences=only_fit), torch.from_numpy(images())
    with torch.no_grad():
        torch.testing.assert_close(Network(made)(x), made.model(x))
        torch.testing.assert_close(Network(made, fit=True)(x), made.model((x * 8).round() / 8))


def test_numpy_preprocessors_are_refused():
    with pytest.raises(ValueError, match="FeatureSqueezing works on numpy arrays"):
        Network(classifier(preprocessing_defences=FeatureSqueezing(clip_values=(0, 1))))


def test_preprocessing_without_gradient_is_refused_by_name():
    with pytest.raises(ValueError, match="no gradient reaches the input through RoundingWithoutGradient"):
        Network(classifier(preprocessing_defences=[Standardising(), RoundingWithoutGradient()]))


def test_looking_for_the_gradient_leaves_the_random_state_alone():
    made = classifier(preprocessing_defences=Noisy())
    state = torch.get_rng_state()
    Network(made)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_no_pytorch_classifier_is_refused():
    with pytest.raises(TypeError, match=r"expected an art.*PyTorchClassifier, got torch\.nn.*Linear"):
        Network(nn.Linear(2, 2))


def test_clip_values_as_numbers_arrays_and_none():
    assert Network(classifier()).clip_values == (0.0, 1.0)
    low, high = np.zeros((3, 1, 1)), np.array([1, 2, 3]).reshape(3, 1, 1)
    found = Network(classifier(clip_values=(np.broadcast_to(low, (3, 5, 4)), np.broadcast_to(high, (3, 5, 4))))).clip_values
    assert found[1].shape == (3, 5, 4)
    assert found[1][:, 0, 0].tolist() == [1, 2, 3]
    assert Network(classifier(clip_values=None)).clip_values is None


def test_a_standardisation_that_does_nothing_costs_nothing():
    made = classifier(preprocessing=StandardisationMeanStdPyTorch(0.0, 1.0, device_type="cpu"))
    x = torch.from_numpy(images())
    seen = []
    made.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    Network(made)(x)
    assert seen[0] is x


def test_dtype_follows_the_model():
    made = classifier()
    made.model.double()
    assert Network(made).dtype == torch.float64


def test_modes_come_back_for_every_module_even_after_an_error():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    model.train()
    model[1][0].eval()
    before = [module.training for module in model.modules()]
    with restored_modes(model, training=False):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before
    with pytest.raises(RuntimeError, match="stop"), restored_modes(model, training=False):
        raise RuntimeError("stop")
    assert [module.training for module in model.modules()] == before
    with restored_modes(model):
        assert [module.training for module in model.modules()] == before
