"""What every registered model promises, checked for all of them alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fairart import create, registered
from fairart.errors import OptionError
from fairart.plugins.options import declared_options

# Narrow and shallow, as the contract does not depend on the size.
SMALL: dict[str, dict[str, Any]] = {
    "small-cnn": {"width": 4},
    "preact-resnet-18": {"width": 4},
    "wide-resnet-34-10": {"depth": 10, "widen_factor": 1},
    "xcit-s12": {"embed_dim": 32, "depth": 2, "num_heads": 4},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=SMALL)
def built(request: pytest.FixtureRequest) -> nn.Module:
    if request.param == "xcit-s12":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    model: nn.Module = create("model", request.param, input_shape=(3, 8, 16), nb_classes=7, **SMALL[request.param])
    return model


ZOOS = {"robustbench", "timm", "torchvision", "hf"}
"""They take a name after a colon; tests/models/zoos is about them."""


def test_every_built_in_model_is_in_this_table():
    assert {name for name, entry in registered("model").items() if entry.plugin == "fairart"} == set(SMALL) | ZOOS


def test_images_become_finite_logits(built: nn.Module):
    with torch.no_grad():
        logits = built.eval()(torch.rand(2, 3, 8, 16))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()
    assert logits.min() < 0  # logits, not probabilities


def test_an_image_is_scored_alone_in_eval_mode(built: nn.Module):
    x = torch.rand(3, 3, 8, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together, alone = built.eval()(x), built(x[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_pixel_and_every_parameter(built: nn.Module):
    x = torch.rand(2, 3, 8, 16, generator=torch.Generator().manual_seed(2), requires_grad=True)
    built.train()(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.99
    assert [name for name, parameter in built.named_parameters() if parameter.grad is None] == []
    built.zero_grad()


def test_nothing_normalises_the_input(built: nn.Module):
    # Statistics of images would be buffers or constants in front: the only buffers are those of batch norm.
    kept = {name.rpartition(".")[2] for name, _ in built.named_buffers()}
    assert kept <= {"running_mean", "running_var", "num_batches_tracked"}
    first = next(module for module in built.modules() if not list(module.children()))
    assert isinstance(first, nn.Conv2d)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (8, 8)}, "three positive integers"),
        ({"input_shape": (3, 8, 8, 8)}, "three positive integers"),
        ({"input_shape": (3, 8.0, 8)}, "three positive integers"),
        ({"input_shape": (0, 8, 8)}, "three positive integers"),
        ({"input_shape": (3, True, 8)}, "three positive integers"),
        ({"input_shape": 32}, "input_shape expects"),
        ({"input_shape": (3, 7, 8)}, "at least 8x8 pixels, got 7x8"),
        ({"input_shape": (32, 32, 3)}, r"at least 8x8 pixels, got 32x3 .* read as \(C, H, W\)"),
        ({"nb_classes": 1}, "nb_classes must be >= 2"),
        ({"nb_classes": "ten"}, "nb_classes|number such as"),
        ({"colour": 5}, "no option 'colour'"),
    ],
)
def test_bad_arguments_are_refused_with_the_rule(name: str, changes: dict[str, Any], message: str):
    with pytest.raises(OptionError, match=message):
        create("model", name, **{"input_shape": (3, 8, 8), "nb_classes": 10, **changes})


@pytest.mark.parametrize("name", SMALL)
def test_direct_calls_are_checked_like_those_by_name(name: str):
    build = registered("model")[name].load()
    with pytest.raises(OptionError, match=f"model '{name}': nb_classes must be >= 2"):
        build(input_shape=(3, 8, 8), nb_classes=0)


@pytest.mark.parametrize("name", SMALL)
def test_every_option_is_described(name: str):
    options = declared_options(registered("model")[name].load())
    assert {"input_shape", "nb_classes"} <= set(options)
    assert [option.name for option in options.values() if not option.option.description] == []


def test_shapes_may_be_lists_as_configuration_files_have_them():
    model = create("model", "small-cnn", input_shape=[1, 8, 8], nb_classes=2)
    assert model.eval()(torch.zeros(1, 1, 8, 8)).shape == (1, 2)
