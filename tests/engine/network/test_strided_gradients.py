"""The other way to the input gradient of a strided convolution: the same numbers, for any geometry, and nothing left behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from fairart.engine.network.folding import FoldedModule
from fairart.engine.network.strided import convolve, input_gradient, phase_gradients, takes_part
from fairart.errors import OptionError
from fairart.models.small_cnn import small_cnn
from fairart.trainers import ATTrainer, FairnessTrainer, TRADESTrainer

Make = Callable[..., Any]


def images(*shape: int, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(memory_format=layout)


@settings(max_examples=150, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.integers(1, 5),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    channels=st.integers(1, 4),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_gradients_are_those_of_conv2d(
    kernel: tuple[int, int],
    stride: int,
    padding: tuple[int, int],
    size: tuple[int, int],
    channels: int,
    layout: torch.memory_format,
):
    size = (max(size[0], kernel[0] - 2 * padding[0]), max(size[1], kernel[1] - 2 * padding[1]))
    given = [
        images(2, channels, *size, layout=layout).requires_grad_(True),
        images(3, channels, *kernel, layout=layout).requires_grad_(True),
        torch.arange(3.0, dtype=torch.float64).requires_grad_(True),
    ]
    expected = F.conv2d(*given, stride, padding)
    found = convolve(*given, stride=stride, padding=padding)
    assert torch.equal(found, expected)
    towards = images(*expected.shape)
    for ours, theirs in zip(
        torch.autograd.grad(found, given, towards), torch.autograd.grad(expected, given, towards), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_gradients_of_gradients_are_right_too():
    x, weight = images(1, 2, 5, 6).requires_grad_(True), images(2, 2, 3, 3).requires_grad_(True)
    assert torch.autograd.gradgradcheck(lambda *given: convolve(*given, None, stride=2, padding=(1, 0)), (x, weight))


def test_the_input_gradient_is_what_torch_nn_grad_gives():
    weight, gradient = images(6, 3, 4, 4), images(2, 6, 7, 8)
    found = input_gradient(gradient, weight, (14, 17), stride=2, padding=(1, 1))
    expected = torch.nn.grad.conv2d_input((2, 3, 14, 17), weight, gradient, stride=2, padding=1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("layer", "taken"),
    [
        (nn.Conv2d(1, 8, 4, 2, padding=1), True),
        (nn.Conv2d(4, 8, (3, 5), 3, padding=(0, 2), bias=False), True),
        (nn.Conv2d(5, 8, 4, 2), False),
        (nn.Conv2d(3, 8, 3), False),
        (nn.Conv2d(3, 8, 3, (2, 1)), False),
        (nn.Conv2d(3, 8, 3, 2, dilation=2), False),
        (nn.Conv2d(4, 8, 3, 2, groups=2), False),
        (nn.Conv2d(3, 8, 3, 2, padding=1, padding_mode="reflect"), False),
        (type("Own", (nn.Conv2d,), {})(3, 8, 3, 2), False),
        (nn.Conv1d(1, 8, 4, 2), False),
    ],
    ids=str,
)
def test_it_takes_part_where_it_pays_and_where_it_is_right(layer: nn.Module, taken: bool):
    assert takes_part(nn.Sequential(layer)) is taken
    with phase_gradients(layer):
        assert ("_conv_forward" in vars(layer)) is taken
    assert "_conv_forward" not in vars(layer)


def test_a_network_gives_the_same_logits_and_gradients_meanwhile_and_is_left_as_it_was():
    model = small_cnn(input_shape=(1, 16, 20), nb_classes=3, width=5).double()
    x = images(5, 1, 16, 20).requires_grad_(True)
    seen: list[bool] = []
    watched = model.features.conv1.register_forward_hook(lambda *_: seen.append(True))

    def gradients(network: nn.Module) -> list[Tensor]:
        return list(torch.autograd.grad(network(x).square().sum(), [x, *network.parameters()]))

    expected = gradients(model)
    with phase_gradients(model):
        for one, other in zip(gradients(model), expected, strict=True):
            torch.testing.assert_close(one, other)
        assert "_ConvolutionBackward" in names_of_the_graph(model(x))
        assert "_ConvolutionBackward" not in names_of_the_graph(model(x.detach()))
        watched.remove()
        copied = copy.deepcopy(model)
        folded = FoldedModule(small_cnn(input_shape=(1, 16, 20), nb_classes=3, width=5))
    assert len(seen) == 4
    with pytest.raises(ZeroDivisionError), phase_gradients(model):
        raise ZeroDivisionError
    assert all("_conv_forward" not in vars(module) for module in model.modules())
    with torch.no_grad():
        copied.features.conv1.weight.mul_(2)
        assert not torch.equal(copied.features.conv1(x), model.features.conv1(x))
    assert folded(x.float()).shape == (5, 3)


def names_of_the_graph(out: Tensor) -> set[str]:
    waiting, names = [out.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None:
            names.add(type(node).__name__)
            waiting += [before for before, _ in node.next_functions]
    return names


def test_under_autocast_the_convolution_is_torch_s_own():
    model = nn.Conv2d(1, 4, 4, 2, padding=1)
    x = images(2, 1, 8, 8).float().requires_grad_(True)
    with phase_gradients(model), torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
    assert out.dtype == torch.bfloat16
    assert "_ConvolutionBackward" not in names_of_the_graph(out)
    assert torch.autograd.grad(out.float().sum(), x)[0].dtype == torch.float32


@pytest.mark.parametrize("trainer", [ATTrainer, TRADESTrainer])
@pytest.mark.parametrize("options", [{}, {"fold_batch_norm": True}, {"weight_perturbation": "awp"}], ids=str)
def test_in_float64_the_weights_of_an_epoch_are_the_same_to_rounding(
    trainer: type[FairnessTrainer],
    options: dict[str, Any],
    make_classifier: Make,
    make_data: Make,
    monkeypatch: pytest.MonkeyPatch,
):
    calls = 0

    def counted(*arguments: Any, **named: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return input_gradient(*arguments, **named)

    monkeypatch.setattr("fairart.engine.network.strided.input_gradient", counted)
    if trainer is ATTrainer:
        options = {name: value for name, value in options.items() if name != "fold_batch_norm"}

    def weights(phases: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = small_cnn(input_shape=(1, 16, 16), nb_classes=3, width=5).double()
        classifier = make_classifier(model=model, input_shape=(1, 16, 16))
        made = trainer(classifier, eps=0.1, eps_step=0.04, max_iter=3, phase_gradients=phases, **options)
        made.fit(*make_data(24, shape=(1, 16, 16)), batch_size=8, nb_epochs=1, seed=0, verbose=False)
        return {name: value.clone() for name, value in model.state_dict().items()}

    expected = weights(False)
    assert calls == 0
    found = weights(True)
    assert calls == 3 * 3, "three batches of three attack steps"
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    ("options", "size", "told"),
    [
        ({"precision": "bf16-mixed"}, 16, "would go unused: it works without compile and with precision='32-true'"),
        ({}, 8, "would go unused: SmallCNN has no nn.Conv2d of at most 4 input channels and a stride above 1"),
    ],
)
def test_where_it_would_go_unused_it_is_refused_and_by_default_left_out(
    options: dict[str, Any], size: int, told: str, make_classifier: Make
):
    shape = (1, size, size)
    classifier = make_classifier(model=small_cnn(input_shape=shape, nb_classes=3, width=5), input_shape=shape)
    with pytest.raises(OptionError, match=told):
        ATTrainer(classifier, phase_gradients=True, **options)
    assert ATTrainer(classifier, **options).execution.phase_gradients is False


def test_by_default_it_is_on_where_the_network_has_a_strided_first_layer(make_classifier: Make):
    classifier = make_classifier(model=small_cnn(input_shape=(1, 16, 16), nb_classes=3, width=5), input_shape=(1, 16, 16))
    assert ATTrainer(classifier).execution.phase_gradients is True
    assert ATTrainer(classifier, phase_gradients=False).execution.phase_gradients is False
    # It pays with channels last only.
    assert ATTrainer(classifier, channels_last=False).execution.phase_gradients is False
    assert ATTrainer(classifier, channels_last=False, phase_gradients=True).execution.phase_gradients is True
