"""Layers in bfloat16: close to float32 where that can be, refused where it cannot, and nothing left behind."""

import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart import create
from fairart.engine.network import Network
from fairart.engine.network.folding import FoldedModule
from fairart.engine.network.half_precision import in_bfloat16
from fairart.errors import OptionError

SHAPE = (3, 16, 16)


def network_of(model):
    preprocessing = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0, 1), preprocessing=preprocessing, device_type="cpu"
    )
    return Network(classifier).eval()


def seen(name="small-cnn", **options):
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
def test_logits_and_gradients_are_near_those_in_float32(name, options, x):
    network = network_of(seen(name, **options))
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    form = in_bfloat16(network, x)
    assert isinstance(form.module, FoldedModule)

    def computed(either):
        inputs = x.clone().requires_grad_(True)
        logits = either(inputs)
        return logits.detach(), torch.autograd.grad(logits[:, 3].sum(), inputs)[0].flatten()

    (own, own_gradient), (half, gradient) = computed(network), computed(form)
    assert half.dtype == gradient.dtype == torch.float32
    assert 0 < float((half - own).abs().max()) < 0.1 * float(own.std())
    assert float(torch.cosine_similarity(own_gradient, gradient, dim=0)) > 0.97
    for key, value in network.module.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_a_pass_in_inference_mode_takes_no_gradient_from_the_next_one(x):
    form = in_bfloat16(network_of(seen("preact-resnet-18", width=4)), x)
    with torch.inference_mode():
        form(x)
    inputs = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(form(inputs).square().sum(), inputs)
    assert bool(gradient.abs().sum() > 0)


class Offset(nn.Module):
    """All logits far from 0: in bfloat16 they are equal."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = seen(), nn.Linear(10, 10)
        with torch.no_grad():
            self.last.weight.copy_(torch.eye(10))
            self.last.bias.fill_(10_000)

    def forward(self, x):
        return self.last(self.inner(x))


def test_a_network_that_bfloat16_destroys_is_refused(x):
    with pytest.raises(OptionError, match="does not fit this network: its logits in bfloat16 differ"):
        in_bfloat16(network_of(Offset()), x)


def test_other_weights_than_float32_are_refused(x):
    with pytest.raises(OptionError, match=r"needs a network with float32 weights, got torch\.float64"):
        in_bfloat16(network_of(seen().double()), x.double())
