"""How each layer and each operation of torch moves a box."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from fairart.bounds.box import Box
from fairart.bounds.errors import NoBoundsError

__all__ = ["FUNCTIONS", "METHODS", "module_rule"]

MONOTONE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardtanh, nn.Hardsigmoid,
    nn.LogSigmoid, nn.Softsign, nn.Identity, nn.Flatten, nn.Unflatten, nn.PixelShuffle,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d,
)  # fmt: skip
"""Layers that nowhere decrease in any entry of their input: what they give at the two ends are the two ends."""


def module_rule(module: nn.Module) -> Callable[[Box], Box] | None:
    """How a layer moves a box; None for a layer that is not known.

    Args:
        module: a layer of torch.
    """
    decreasing = (isinstance(module, nn.LeakyReLU) and module.negative_slope < 0) or (
        isinstance(module, nn.ELU | nn.CELU) and module.alpha < 0
    )
    if decreasing or (isinstance(module, _ConvNd) and module.transposed):
        return None
    rules: dict[Any, Callable[[Box, Any], Box]] = {
        nn.Linear: lambda box, layer: linear(box, layer.weight, layer.bias),
        _ConvNd: _convolved,
        _BatchNorm: _normalised,
        _DropoutNd: _dropped,
        MONOTONE: lambda box, layer: box.monotone(layer),
    }
    found = next((rule for kinds, rule in rules.items() if isinstance(module, kinds)), None)
    return None if found is None else lambda box: found(box, module)


def linear(box: Box, weight: Tensor, bias: Tensor | None = None) -> Box:
    """A linear layer with weights (out, in)."""
    return box.linear(lambda x: F.linear(x, weight, bias), lambda x: F.linear(x, weight.abs()))


def _convolved(box: Box, module: _ConvNd) -> Box:
    forward: Any = module._conv_forward  # its own stride and padding
    return box.linear(lambda x: forward(x, module.weight, module.bias), lambda x: forward(x, module.weight.abs(), None))


def _convolution(convolve: Callable[..., Tensor]) -> Callable[..., Box]:
    def rule(box: Box, weight: Tensor, bias: Tensor | None = None, *rest: Any, **named: Any) -> Box:
        return box.linear(
            lambda x: convolve(x, weight, bias, *rest, **named), lambda x: convolve(x, weight.abs(), None, *rest, **named)
        )

    return rule


def _normalised(box: Box, module: _BatchNorm) -> Box:
    mean, variance = module.running_mean, module.running_var
    if module.training or mean is None or variance is None:
        mean, variance = _batch_statistics(box, module)
    scale = torch.rsqrt(variance + module.eps)
    if module.weight is not None:
        scale = scale * module.weight
    shift = -mean * scale if module.bias is None else module.bias - mean * scale
    view = [1, -1, *[1] * (box.lower.ndim - 2)]
    return box.times(scale.view(view)).plus(shift.view(view))


def _batch_statistics(box: Box, module: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Mean and variance of the samples themselves; the running ones are brought up to date as the layer does it."""
    if box.point is None:
        raise NoBoundsError("batch-norm without running statistics takes them from the batch: no bounds hold for a sample alone")
    if module.training:
        with torch.no_grad():
            module(box.point)  # for its running statistics alone
    places = [place for place in range(box.point.ndim) if place != 1]
    variance, mean = torch.var_mean(box.point, dim=places, correction=0)
    return mean, variance


def _dropped(box: Box, module: _DropoutNd) -> Box:
    if not module.training or module.p == 0:
        return box
    # One mask for all: it is a factor >= 0, known in this pass.
    return box.times(module(torch.ones_like(box.lower)))


def _same_factor(box: Any, other: Any) -> Box:
    one, two = (box, other) if isinstance(box, Box) else (other, box)
    if isinstance(two, Box):
        raise TypeError("a product of two values that both depend on the input")
    product: Box = one.times(two)
    return product


def _summed(one: Any, other: Any, *, alpha: float = 1) -> Box:
    if alpha != 1:
        other = other.times(alpha) if isinstance(other, Box) else other * alpha
    total: Box = one.plus(other) if isinstance(one, Box) else other.plus(one)
    return total


def _summed_in_place(one: Any, other: Any) -> Box:
    """As ``x += y`` does it: whoever holds the first box sees the sum."""
    total = _summed(one, other)
    if isinstance(one, Box):
        for name in ("lower", "upper", "point"):
            if (values := getattr(one, name)) is not None:
                values.copy_(getattr(total, name))
        return one
    return total


def _negative(box: Box) -> Box:
    return box.times(-1.0)


def _difference(one: Any, other: Any) -> Box:
    return _summed(one, _negative(other) if isinstance(other, Box) else -other)


def _quotient(box: Any, other: Any) -> Box:
    if isinstance(other, Box):
        raise TypeError("a quotient by a value that depends on the input")
    quotient: Box = box.times(1 / other)
    return quotient


def _concatenated(boxes: Any, dim: int = 0) -> Box:
    if not all(isinstance(box, Box) for box in boxes):
        raise TypeError("a concatenation with values that do not depend on the input")
    points = [box.point for box in boxes]
    point = None if any(one is None for one in points) else torch.cat(points, dim)
    return Box(torch.cat([box.lower for box in boxes], dim), torch.cat([box.upper for box in boxes], dim), point)


def _monotone(function: Callable[..., Any]) -> Callable[..., Box]:
    def rule(box: Box, *rest: Any, **named: Any) -> Box:
        return box.monotone(lambda values: function(values, *rest, **named))

    return rule


def _leaky(box: Box, negative_slope: float = 0.01, inplace: bool = False) -> Box:
    if negative_slope < 0:
        raise TypeError("leaky_relu with a negative slope is not monotone")
    return box.monotone(lambda values: F.leaky_relu(values, negative_slope))


def _function_dropout(box: Box, p: float = 0.5, training: bool = True, inplace: bool = False) -> Box:
    return box.times(F.dropout(torch.ones_like(box.lower), p, training)) if training and p else box


_SAME: tuple[Any, ...] = (
    F.relu, torch.relu, torch.relu_, F.relu6, F.hardtanh, torch.sigmoid, torch.tanh, F.softplus, F.logsigmoid,
    torch.flatten, torch.squeeze, torch.unsqueeze, torch.reshape, torch.permute, torch.transpose, torch.clone,
    torch.mean, torch.sum, torch.amax, operator.getitem, F.pad,
    F.avg_pool2d, F.max_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d,
)  # fmt: skip
"""Functions that nowhere decrease in any entry of their first argument."""

FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    F.linear: linear,
    F.conv1d: _convolution(F.conv1d),
    F.conv2d: _convolution(F.conv2d),
    F.conv3d: _convolution(F.conv3d),
    torch.conv2d: _convolution(F.conv2d),
    F.leaky_relu: _leaky,
    F.dropout: _function_dropout,
    operator.add: _summed,
    operator.iadd: _summed_in_place,
    torch.add: _summed,
    operator.sub: _difference,
    torch.sub: _difference,
    operator.neg: _negative,
    torch.neg: _negative,
    operator.mul: _same_factor,
    torch.mul: _same_factor,
    operator.truediv: _quotient,
    torch.cat: _concatenated,
    **{function: _monotone(function) for function in _SAME},
}
"""Functions of torch -> what they do to boxes. What is not here has no bounds."""

METHODS: Mapping[str, Callable[..., Any]] = {
    **{
        name: _monotone(getattr(Tensor, name))
        for name in (
            "view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "contiguous", "clone", "relu",
            "relu_", "sigmoid", "tanh", "mean", "sum", "amax",
        )
    },
    "add": _summed,
    "add_": _summed_in_place,
    "sub": _difference,
    "mul": _same_factor,
    "neg": _negative,
    "size": lambda box, *rest: box.lower.size(*rest),
    "dim": lambda box: box.lower.dim(),
}  # fmt: skip
"""Methods of tensors -> the same."""
