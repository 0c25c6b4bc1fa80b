from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fairart.datasets.digits import load_digits
from fairart.errors import OptionError
from fairart.models.small_cnn import small_cnn


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([1, 3]), st.integers(8, 70), st.integers(8, 70), st.booleans())
def test_it_takes_every_image_size(channels: int, height: int, width: int, batch_norm: bool):
    model = small_cnn(input_shape=(channels, height, width), nb_classes=3, width=2, batch_norm=batch_norm).eval()
    assert model(torch.rand(2, channels, height, width)).shape == (2, 3)


@pytest.mark.parametrize(("side", "features"), [(8, 4), (16, 4), (28, 7), (32, 8), (64, 8), (96, 6)])
def test_the_map_before_the_linear_layer_stays_small(side: int, features: int):
    model = small_cnn(input_shape=(1, side, side), nb_classes=10, width=8)
    assert model.features(torch.rand(2, 1, side, side)).shape == (2, 16, features, features)


def test_batch_norm_is_an_option():
    def norms(batch_norm: bool) -> int:
        model = small_cnn(input_shape=(1, 28, 28), nb_classes=10, batch_norm=batch_norm)
        return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())

    assert (norms(True), norms(False)) == (3, 0)


def test_spectral_normalisation_is_an_option():
    # Weights whose two largest singular values are close need many more steps.
    torch.manual_seed(0)
    plain = small_cnn(input_shape=(1, 8, 8), nb_classes=4, width=4, batch_norm=False)
    model = small_cnn(input_shape=(1, 8, 8), nb_classes=4, width=4, batch_norm=False, spectral_norm=True)
    for _ in range(300):  # a step of power iteration in every pass
        model(torch.rand(2, 1, 8, 8))
    layers = [layer for layer in (*model.features, model.head) if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2).item() == pytest.approx(1, abs=1e-3)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in plain.parameters())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_head_is_a_linear_layer_over_the_flattened_map_and_keeps_its_layout(layout: torch.memory_format):
    head = small_cnn(input_shape=(3, 28, 40), nb_classes=5, width=4).double().head
    features = torch.rand(6, *head.feature_map, dtype=torch.float64).to(memory_format=layout).requires_grad_(True)
    flattened = nn.functional.linear(features.flatten(1), head.weight, head.bias)
    torch.testing.assert_close(head(features), flattened)
    weights = torch.rand(6, 5, dtype=torch.float64)
    gradients = [torch.autograd.grad((weights * out).sum(), features)[0] for out in (head(features), flattened)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("side", [20, 28, 36])
def test_another_image_size_makes_no_logits(side: int):
    model = small_cnn(input_shape=(1, 24, 24), nb_classes=3, width=2)
    assert model(torch.rand(2, 1, 24, 24)).shape == (2, 3)
    with pytest.raises((RuntimeError, ValueError)):
        nn.functional.cross_entropy(model(torch.rand(2, 1, side, side)), torch.tensor([0, 1]))


def test_width_scales_the_channels():
    def channels(width: int) -> list[int]:
        model = small_cnn(input_shape=(3, 32, 32), nb_classes=10, width=width)
        return [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]

    assert (channels(16), channels(5)) == ([16, 32, 32], [5, 10, 10])


def test_a_28_pixel_image_costs_less_than_a_million_multiplications():
    model = small_cnn(input_shape=(1, 28, 28), nb_classes=10)
    spent = 0

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal spent
        spent += int(module.weight[0].numel() * out[0].numel())  # type: ignore[operator, index]

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model.eval()(torch.rand(1, 1, 28, 28))
    assert 0 < spent < 1_000_000


@pytest.mark.parametrize("batch_norm", [True, False])
def test_it_learns_the_digits_in_seconds(batch_norm: bool):
    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    model = small_cnn(input_shape=data.input_shape, nb_classes=10, batch_norm=batch_norm).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(6):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    predictions = model.eval()(torch.from_numpy(data.x_test)).argmax(1).numpy()
    assert (predictions == data.y_test).mean() > 0.95


def test_a_width_below_one_is_refused():
    with pytest.raises(OptionError, match="model 'small-cnn': width must be >= 1, got 0"):
        small_cnn(input_shape=(1, 28, 28), nb_classes=10, width=0)
