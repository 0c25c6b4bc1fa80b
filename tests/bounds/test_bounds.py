"""Interval bounds: ART's numbers, soundness on random networks, every model of ours, and what is refused."""

import math

import numpy as np
import pytest
import torch
from art.estimators.certification.interval import PyTorchIBPClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from fairart import create
from fairart.bounds import BoundedNetwork, Box, NoBoundsError


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def ball(x, eps, *, point=False):
    return Box(x - eps, x + eps, x if point else None)


def convolutional(classes=4):
    return nn.Sequential(
        nn.Conv2d(1, 5, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(5, 6, 4), nn.ReLU(), nn.Flatten(), nn.Linear(6, classes)
    )


class ForART(nn.Module):
    """The same weights in the form that ART knows: convolutions, ReLU and linear layers, flattened in between."""

    def __init__(self):
        super().__init__()
        model = seeded(convolutional)
        self.one, self.two, self.three, self.four, self.five = (model[place] for place in (0, 1, 2, 3, 5))

    def forward(self, x):
        return self.five(self.four(self.three(self.two(self.one(x)))).flatten(1))


@pytest.mark.filterwarnings("ignore:\\nThis estimator")
@pytest.mark.parametrize("eps", [0.0, 0.02, 0.3])
def test_bounds_are_arts(eps):
    model = seeded(convolutional)
    x = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    art = PyTorchIBPClassifier(ForART(), nn.CrossEntropyLoss(), (1, 8, 8), 4, clip_values=(0, 1), device_type="cpu")
    theirs = art.predict_intervals(x.numpy(), bounds=eps, limits=[0.0, 1.0])
    found = BoundedNetwork(model).logits(Box((x - eps).clamp(min=0), (x + eps).clamp(max=1)))
    np.testing.assert_allclose(found.lower.detach(), theirs[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.upper.detach(), theirs[:, 1], rtol=1e-4, atol=1e-5)


class Residual(nn.Module):
    """Sums, a constant, a concatenation, a product with a buffer, and a readout that is written as a convolution."""

    def __init__(self, channels=3):
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        self.inner = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.head = nn.Linear(2 * channels * 16, 3)
        self.register_buffer("mean", torch.tensor(0.4))
        self.register_buffer("scale", torch.tensor([1.5, -0.5, 2.0]).view(1, 3, 1, 1))

    def forward(self, x):
        x = self.relu(self.norm(self.stem((x - self.mean) / 0.3)))
        kept = x
        y = torch.tanh(self.inner(x)) * self.scale - 0.1
        y += kept
        z = torch.cat([F.max_pool2d(y, 2), F.avg_pool2d(-y, 2)], dim=1)
        weight = self.head.weight.view(3, z.shape[1], 4, 4)
        return F.conv2d(z, weight, self.head.bias).flatten(1)


def mixed(seed):
    model = seeded(Residual, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model.norm.running_mean.copy_(torch.randn(3, generator=generator))
        model.norm.running_var.copy_(torch.rand(3, generator=generator) + 0.2)
        model.norm.weight.copy_(torch.randn(3, generator=generator))
    return model.eval()


def dense(seed):
    kinds = [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.Softplus]
    return seeded(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 12), kinds[seed % 6](), nn.BatchNorm1d(12), nn.Dropout(), nn.Linear(12, 8), nn.ReLU(),
            nn.Linear(8, 3),
        ).eval(),
        seed,
    )  # fmt: skip


@given(seed=st.integers(0, 10**6), eps=st.floats(0, 0.5), build=st.sampled_from([mixed, dense]))
@settings(deadline=None, max_examples=40)
def test_no_point_of_a_box_leaves_its_bounds(seed, eps, build):
    model = build(seed % 1000).double()
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 1, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (2,), generator=generator)
    bounded = BoundedNetwork(model)
    with torch.no_grad():
        found, (margins, point) = bounded.logits(ball(x, eps)), bounded.margins(ball(x, eps, point=True), labels)
    torch.testing.assert_close(point, model(x))
    rows = torch.arange(2)
    assert (margins[rows, labels] == 0).all()
    # Folding is never looser.
    apart = found.lower[rows, labels][:, None] - found.upper
    apart[rows, labels] = 0
    assert (margins >= apart - 1e-9).all()
    inside = x + eps * (2 * torch.rand(200, *x.shape, generator=generator, dtype=torch.float64) - 1)
    corners = x + eps * torch.where(torch.rand(100, *x.shape, generator=generator) < 0.5, -1.0, 1.0).double()
    sought = x.clone()
    for _ in range(10):  # towards the smallest margin
        sought.requires_grad_(True)
        z = model(sought)
        z[rows, labels].sub(z.masked_fill(F.one_hot(labels, 3).bool(), -math.inf).amax(dim=1)).sum().backward()
        sought = torch.clamp(sought.detach() - eps / 4 * sought.grad.sign(), x - eps, x + eps)
    points = torch.cat([inside, corners, sought[None]])
    with torch.no_grad():
        z = model(points.flatten(0, 1)).view(-1, 2, 3)
    assert (z >= found.lower - 1e-9).all()
    assert (z <= found.upper + 1e-9).all()
    assert (z[:, rows, labels][..., None] - z >= margins - 1e-9).all()


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("small-cnn", {}, (1, 8, 8)),
        ("small-cnn", {"batch_norm": False}, (3, 32, 32)),
        ("preact-resnet-18", {"width": 4}, (3, 8, 8)),
    ],
)
def test_our_models_have_bounds_that_hold(name, options, shape):
    model = seeded(lambda: create("model", name, input_shape=shape, nb_classes=5, **options)).double().eval()
    x = torch.rand(2, *shape, dtype=torch.float64)
    with torch.no_grad():
        bounded = BoundedNetwork(model)
        here = bounded.logits(ball(x, 0.0))
        torch.testing.assert_close(here.lower, model(x))
        margins, _ = bounded.margins(ball(x, 1e-5), torch.tensor([1, 2]))
        near = model(x + 1e-5 * (2 * torch.rand(20, *x.shape, dtype=torch.float64) - 1).flatten(0, 0)[0])
    found = near[[0, 1], [1, 2]][:, None] - near
    assert (found >= margins - 1e-9).all()
    assert bounded.last is not None, "the last layer is folded"


def test_in_train_mode_batch_norm_takes_its_statistics_from_the_samples():
    model = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)))
    other = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)))
    x = torch.rand(9, 1, 8, 8)
    margins, point = BoundedNetwork(model).margins(ball(x, 0.01, point=True), torch.zeros(9, dtype=torch.long))
    torch.testing.assert_close(point, other(x))
    torch.testing.assert_close(model[2].running_mean, other[2].running_mean)
    torch.testing.assert_close(model[2].running_var, other[2].running_var)
    assert model[2].num_batches_tracked == 1
    margins.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


class Branching(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :3] if x.sum() > 0 else x.flatten(1)[:, 3:6]


class Squared(nn.Module):
    def forward(self, x):
        flat = x.flatten(1)[:, :3]
        return flat * flat


class Sorted(nn.Module):
    def forward(self, x):
        return torch.sort(x.flatten(1)).values[:, :3]


def hooked():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    model[1].register_forward_hook(lambda *_: None)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 3)),
            r"layer '2' \(GELU\) of Sequential has no",
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)), r"layer '2' \(Softmax\)"),
        (lambda: nn.Sequential(nn.LeakyReLU(-0.1), nn.Flatten(), nn.Linear(64, 3)), r"layer '0' \(LeakyReLU\)"),
        (Branching, "cannot be traced by torch.fx"),
        (Squared, "operation 'mul' of Squared has no interval bounds: a product of two values"),
        (Sorted, "operation 'sort' of Sorted has no interval bounds"),
        (hooked, "1 has hooks"),
        (lambda: nn.Flatten(2), r"does not give logits \(n, K\)"),
    ],
)
def test_what_cannot_be_bounded_is_named(make, message):
    with pytest.raises(NoBoundsError, match=message):
        BoundedNetwork(make()).logits(ball(torch.rand(2, 1, 8, 8), 0.1))
