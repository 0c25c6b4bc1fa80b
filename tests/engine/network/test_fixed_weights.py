"""The faster form of a network with fixed weights: equal up to rounding, refused where it is not, and gone afterwards."""

import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart import create
from fairart.engine.network import Network
from fairart.engine.network.fixed_weights import FixedNetwork, with_fixed_weights
from fairart.engine.network.folding import FoldedModule

SHAPE = (3, 16, 16)


def network_of(model, preprocessing=None):
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0, 1), preprocessing=preprocessing, device_type="cpu"
    )
    return Network(classifier).eval()


def seen(name="small-cnn", **options):
    """A registered model whose batch-norm has statistics of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create("model", name, input_shape=SHAPE, nb_classes=10, **options)
        for _ in range(3):
            model(torch.rand(8, *SHAPE))
    return model


@pytest.fixture
def x():
    return torch.rand((12, *SHAPE), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "options"), [("small-cnn", {}), ("preact-resnet-18", {"width": 4})])
def test_logits_and_gradients_are_the_networks_own(name, options, x):
    network = network_of(seen(name, **options), preprocessing=((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)))

    def computed(form):
        inputs = x.clone().requires_grad_(True)
        logits = form(inputs)
        return logits.detach(), torch.autograd.grad(logits[:, 3].sum(), inputs)[0]

    own = computed(network)
    tensors = [parameter.data_ptr() for parameter in network.module.parameters()]
    with with_fixed_weights(network, x) as form:
        assert isinstance(form, FixedNetwork)
        assert isinstance(form.module, FoldedModule)
        faster = computed(form)
    torch.testing.assert_close(faster[0], own[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(faster[1], own[1], rtol=1e-3, atol=1e-5)
    assert [parameter.data_ptr() for parameter in network.module.parameters()] == tensors


def test_kernels_come_back_after_an_error(x):
    network = network_of(seen())
    tensors = [parameter.data_ptr() for parameter in network.module.parameters()]
    with pytest.raises(KeyError), with_fixed_weights(network, x):
        raise KeyError
    assert [parameter.data_ptr() for parameter in network.module.parameters()] == tensors


class Wrapped(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.inner, self.change = seen(), change

    def forward(self, x):
        return self.change(self.inner, x)


def blocked(inner, x):
    # Straight through: tracing would leave the no_grad out, and the gradient would be another.
    with torch.no_grad():
        rest = inner(x) - x.flatten(1)[:, :10]
    return rest + x.flatten(1)[:, :10]


def noisy(inner, x):
    return inner(x + 0.1 * torch.randn_like(x))


def test_what_tracing_would_change_runs_as_it_is(x):
    network = network_of(Wrapped(blocked))
    with with_fixed_weights(network, x) as form:
        assert isinstance(form, FixedNetwork)
        assert form.module is network.module


def test_random_networks_and_those_without_convolutions_have_no_faster_form(x):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(768, 10))
    for module in (Wrapped(noisy), flat):
        with with_fixed_weights(network_of(module), x) as form:
            assert form is None
