"""Lipschitz constants: exact where they can be, never below the slope between two points, and refused where not known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from fairart import create
from fairart.bounds import BoundedNetwork, NoBoundsError
from fairart.bounds.lipschitz import lipschitz_constant
from fairart.bounds.spectral import convolution_norm


def matrix_of(layer, shape):
    """The linear map as a matrix, column by column."""
    size = math.prod(shape)
    with torch.no_grad():
        columns = layer(torch.eye(size, dtype=torch.float64).view(size, *shape)) - layer(
            torch.zeros(1, *shape, dtype=torch.float64)
        )
    return columns.flatten(1).T.numpy()


@given(
    seed=st.integers(0, 10**6),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
)
@settings(deadline=None, max_examples=40)
def test_no_convolution_stretches_more_than_its_bound(seed, kernel, stride, padding, dilation, groups):
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    bound = convolution_norm(layer.weight, stride=layer.stride, dilation=layer.dilation, groups=groups)
    exact = np.linalg.norm(matrix_of(layer, (2, 12, 12)), 2)
    assert exact <= bound * (1 + 1e-9)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2)])
def test_over_large_images_the_bound_is_tight(kernel, stride):
    layer = nn.Conv2d(1, 2, kernel, stride, padding=1, bias=False).double()
    bound = convolution_norm(layer.weight, stride=layer.stride, dilation=(1, 1), groups=1)
    exact = np.linalg.norm(matrix_of(layer, (1, 32, 32)), 2)
    assert exact <= bound <= 1.05 * exact


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.stem((x - 0.3) / 0.5)))
        x = x + 0.5 * torch.tanh(self.one(x))
        x = torch.cat([F.max_pool2d(x, 2), F.avg_pool2d(self.two(x), 2)], dim=1)
        return self.head(x.mean(dim=(2, 3)))


def built(kind, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "branches":
            model = Branches()
            model.norm.running_var.uniform_(0.2, 2)
        elif kind == "small-cnn":
            model = create("model", "small-cnn", input_shape=(1, 8, 8), nb_classes=3, width=4)
        else:
            model = nn.Sequential(
                nn.Conv2d(1, 3, 3), nn.MaxPool2d(3, 2), nn.ELU(), nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(3, 3), nn.SELU(),
                nn.Linear(3, 3),
            )  # fmt: skip
    return model.double().eval()


@given(seed=st.integers(0, 1000), kind=st.sampled_from(["branches", "small-cnn", "pools"]))
@settings(deadline=None, max_examples=25)
def test_no_two_points_are_further_apart_than_the_constant_allows(seed, kind):
    model = built(kind, seed)
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    constant, weight = lipschitz_constant(BoundedNetwork(model), x)
    assert weight is not None
    assert weight.shape[0] == 3
    # The largest slope at a point is the spectral norm of the Jacobian; here of the difference of two logits.
    jacobian = torch.autograd.functional.jacobian(lambda one: model(one)[0], x).flatten(1)
    slope = float((jacobian[0] - jacobian[1]).norm())
    weight = weight.detach()
    assert slope <= constant * float((weight[0] - weight[1]).norm()) * (1 + 1e-9)
    y = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    moved = float((model(y) - model(x)).norm() / (y - x).norm())
    assert moved <= constant * float(torch.linalg.matrix_norm(weight, ord=2)) * (1 + 1e-9)


def test_linear_layers_multiply_and_sums_add():
    one, two = torch.randn(5, 64, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 4)).double().eval()
    with torch.no_grad():
        model[1].weight.copy_(one)
        model[3].weight.copy_(two)
    constant, weight = lipschitz_constant(BoundedNetwork(model), torch.zeros(1, 1, 8, 8, dtype=torch.float64))
    assert constant == pytest.approx(np.linalg.norm(one.numpy(), 2))
    torch.testing.assert_close(weight, two)


class Repeats(nn.Module):
    def forward(self, x):
        return F.pad(x, (3, 3, 3, 3), mode="reflect").flatten(1)[:, :3]


class Indexed(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, [0, 0, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.ReflectionPad2d(1), nn.Flatten(), nn.Linear(100, 3)), r"'0' \(ReflectionPad2d\) of Sequential"),
        (Repeats, "'pad' of Repeats has no Lipschitz constant"),
        (Indexed, "'getitem' of Indexed has no Lipschitz constant"),
    ],
)
def test_what_has_no_constant_is_named(make, message):
    with pytest.raises(NoBoundsError, match=message):
        lipschitz_constant(BoundedNetwork(make().eval()), torch.zeros(1, 1, 8, 8))
