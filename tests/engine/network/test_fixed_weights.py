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


@pytest.mark.parametrize("rectify", [nn.ReLU(), nn.functional.relu, torch.relu])
def test_a_folded_network_rectifies_in_place_where_nothing_else_needs_the_values(rectify, x):
    class Branching(nn.Module):
        """The second convolution's output is needed twice, the first one's once."""

        def __init__(self):
            super().__init__()
            self.one, self.norm_one = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.two, self.norm_two = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.rectify = rectify

        def forward(self, x):
            first = self.rectify(self.norm_one(self.one(x)))
            second = self.norm_two(self.two(first))
            return (self.rectify(second) - 2 * second).flatten(1)[:, :10]

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Branching()
        model(torch.rand(8, *SHAPE))
    folded, before = FoldedModule(model.eval()), x.clone()
    in_place = [node for node in folded.traced.graph.nodes if node.target is torch.relu_]
    assert [str(node.args[0]) for node in in_place] == ["folded_0"]
    torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(x, before)


def test_without_gradients_logits_alone_decide(x):
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = seen()

        def forward(self, x):
            with torch.no_grad():
                some = self.module(x)
            return some + 1e-3 * self.module(x)

    network = network_of(Cut())
    with with_fixed_weights(network, x) as form:
        assert not isinstance(getattr(form, "module", None), FoldedModule)
    with with_fixed_weights(network, x, gradients=False) as form, torch.inference_mode():
        assert isinstance(form.module, FoldedModule)
        torch.testing.assert_close(form(x), network(x), rtol=1e-4, atol=1e-5)


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
