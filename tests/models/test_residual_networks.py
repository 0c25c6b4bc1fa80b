from __future__ import annotations

import pytest
import torch
from torch import nn

from fairart import create
from fairart.errors import OptionError
from fairart.models._blocks import PreActivationBlock
from fairart.models.preact_resnet import preact_resnet_18
from fairart.models.wide_resnet import WideResNet, wide_resnet_34_10


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def convolutions(model: nn.Module, size: int) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (size, size)]


def test_preact_resnet_18_has_the_published_size():
    with torch.device("meta"):
        model = preact_resnet_18(input_shape=(3, 32, 32), nb_classes=10)
    # 11 171 146 is published for the variant without the last norm, of 512 scales and 512 shifts.
    assert parameters(model) == 11_171_146 + 2 * 512
    assert len(convolutions(model, 3)) + 1 == 18
    assert [module.stride for module in convolutions(model, 1)] == [(2, 2)] * 3


def test_wide_resnet_34_10_has_the_published_size():
    with torch.device("meta"):
        model = wide_resnet_34_10(input_shape=(3, 32, 32), nb_classes=10)
    assert parameters(model) == 46_160_474
    # Its depth counts the stem, two in each of fifteen blocks, and the three shortcuts.
    assert len(convolutions(model, 3)) + len(convolutions(model, 1)) == 34
    assert max(module.out_channels for module in convolutions(model, 3)) == 640


@pytest.mark.parametrize(
    ("depth", "widen_factor", "published"),
    [(16, 4, 2.7), (28, 10, 36.5), (40, 4, 8.9)],  # million parameters on CIFAR-10: Zagoruyko and Komodakis, Tables 4 and 5
)
def test_other_depths_and_widths_have_their_published_sizes(depth: int, widen_factor: int, published: float):
    with torch.device("meta"):
        model = wide_resnet_34_10(input_shape=(3, 32, 32), nb_classes=10, depth=depth, widen_factor=widen_factor)
    assert round(parameters(model) / 1e6, 1) == pytest.approx(published, abs=0.051)
    assert len(convolutions(model, 3)) + len(convolutions(model, 1)) == depth


def test_weights_of_the_published_size_fit_the_model_without_options():
    with torch.device("meta"):
        default = wide_resnet_34_10(input_shape=(3, 32, 32), nb_classes=10).state_dict()
        published = WideResNet(3, 10, depth=34, widen_factor=10).state_dict()
    assert {name: value.shape for name, value in default.items()} == {name: value.shape for name, value in published.items()}


def test_channels_and_classes_change_only_the_ends():
    with torch.device("meta"):
        colour = parameters(preact_resnet_18(input_shape=(3, 32, 32), nb_classes=10))
        grey = parameters(preact_resnet_18(input_shape=(1, 28, 28), nb_classes=100))
    assert grey - colour == -2 * 64 * 9 + 90 * 513


@pytest.mark.parametrize("side", [8, 9, 28, 33, 64])
def test_every_image_size_from_8_up_works(side: int):
    images = torch.rand(2, 3, side, side)
    for model in (
        preact_resnet_18(input_shape=(3, side, side), nb_classes=5, width=2),
        WideResNet(3, 5, depth=10, widen_factor=1),
    ):
        assert model.eval()(images).shape == (2, 5)


@pytest.mark.parametrize(("stride", "out_channels"), [(1, 4), (2, 4), (2, 6), (1, 6)])
def test_a_block_is_its_definition(stride: int, out_channels: int):
    torch.manual_seed(0)
    block = PreActivationBlock(4, out_channels, stride=stride).eval()
    for norm in (block.norm1, block.norm2):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.running_mean, -1, 1)
    x = torch.randn(2, 4, 8, 8)
    active = block.norm1(x).clamp(min=0)
    inner = nn.functional.conv2d(active, block.conv1.weight, stride=stride, padding=1)
    branch = nn.functional.conv2d(block.norm2(inner).clamp(min=0), block.conv2.weight, padding=1)
    changed = stride != 1 or out_channels != 4
    skip = nn.functional.conv2d(active, block.shortcut.weight, stride=stride) if block.shortcut is not None else x
    assert (block.shortcut is not None) is changed
    torch.testing.assert_close(block(x), branch + skip)


def test_the_last_norm_and_relu_stand_before_the_head():
    model = preact_resnet_18(input_shape=(3, 16, 16), nb_classes=5, width=4).eval()
    seen: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    nn.init.constant_(model.norm.bias, -1000.0)  # everything below zero: only a ReLU after the norm gives zeros
    model(torch.rand(2, 3, 16, 16))
    assert seen[0].shape == (2, 32)
    assert (seen[0] == 0).all()


def test_wide_convolutions_start_by_outgoing_connections():
    torch.manual_seed(0)
    model = WideResNet(3, 10, depth=10, widen_factor=4)
    widest = max(convolutions(model, 3), key=lambda module: module.out_channels)
    assert widest.weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert (model.head.bias == 0).all()


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    model = WideResNet(3, 4, depth=10, widen_factor=1, dropout=0.5)
    x = torch.rand(2, 3, 8, 8)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize("depth", [4, 18, 35])
def test_a_depth_that_three_equal_stages_cannot_have_is_refused(depth: int):
    with pytest.raises(OptionError, match=f"6n \\+ 4 layers .* got depth {depth}"):
        WideResNet(3, 10, depth=depth, widen_factor=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 4}, "depth must be >= 10, got 4"),
        ({"depth": 18}, r"depth must be 6n \+ 4 \(10, 16, 22, 28, 34, \.\.\.\), got 18"),
        ({"depth": 34.0}, r"depth expects int, got 34\.0"),
        ({"widen_factor": 0}, "widen_factor must be >= 1, got 0"),
        ({"widen_factor": 0.5}, r"widen_factor expects int, got 0\.5"),
    ],
)
def test_a_size_that_does_not_exist_is_refused_by_the_name_of_the_model(options: dict[str, float], message: str):
    with pytest.raises(OptionError, match=f"model 'wide-resnet-34-10': {message}"):
        create("model", "wide-resnet-34-10", input_shape=(3, 32, 32), nb_classes=10, **options)


def test_dropout_outside_its_range_is_refused():
    with pytest.raises(OptionError, match=r"model 'wide-resnet-34-10': dropout must be >= 0 and <= 0\.9"):
        wide_resnet_34_10(input_shape=(3, 32, 32), nb_classes=10, dropout=1.0)
