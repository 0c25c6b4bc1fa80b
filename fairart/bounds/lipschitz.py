"""A Lipschitz constant of a network in L2: the product of the constants of its layers, sums over its branches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from fairart.bounds.errors import NoBoundsError
from fairart.bounds.network import BoundedNetwork
from fairart.bounds.spectral import convolution_norm, matrix_norm

__all__ = ["Slopes", "lipschitz_constant"]

SLOPES: dict[type[nn.Module], float] = {
    nn.ReLU: 1.0, nn.ReLU6: 1.0, nn.Tanh: 1.0, nn.Sigmoid: 0.25, nn.Softplus: 1.0, nn.Hardtanh: 1.0, nn.Softsign: 1.0,
    nn.LogSigmoid: 1.0, nn.Hardsigmoid: 1 / 6, nn.Identity: 1.0, nn.Flatten: 1.0, nn.Unflatten: 1.0, nn.PixelShuffle: 1.0,
    nn.CELU: 1.0, nn.SELU: 1.7580993408473766, nn.ZeroPad2d: 1.0, nn.ConstantPad2d: 1.0,
}  # fmt: skip
"""Layers whose constant depends on nothing."""

FREE = {"view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "contiguous", "clone", "relu", "relu_",
        "tanh", "relu6", "hardtanh", "softplus"}  # fmt: skip
"""Functions and methods whose constant is 1: changes of shape, parts, and activations with slopes of at most 1."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """What is known of a value that depends on the input.

    Args:
        value: (1, ...) some value of it, for its shape.
        constant: by how much it changes at most, in L2, if the input changes by 1.
    """

    value: Tensor
    constant: float


def lipschitz_constant(bounded: BoundedNetwork, example: Tensor) -> tuple[float, Tensor | None]:
    """A Lipschitz constant of the network up to its last layer, and that layer's weights.

    Args:
        bounded: the network, in eval mode.
        example: (1, ...) an input of the module, for the shapes.

    Returns:
        The constant of what goes into the last layer, and its weights (K, d); or the constant of the logits, and None where the
        network does not end in a linear layer.

    Raises:
        NoBoundsError: a layer or an operation whose constant is not known here.
    """
    interpreter = _Interpreter(bounded)
    with torch.no_grad():
        out = interpreter.run(Slopes(example, 1.0))
    if not isinstance(out, Slopes):
        raise NoBoundsError(f"{type(bounded.module).__name__} gives logits that do not depend on the input")
    return interpreter.before if interpreter.before is not None else (out.constant, None)


def _constant_of(layer: nn.Module, value: Tensor) -> float | None:
    """The constant of a layer for an input of this shape; None for a layer that is not known."""
    if isinstance(layer, nn.Linear):
        return matrix_norm(layer.weight)
    if isinstance(layer, _ConvNd) and not layer.transposed and layer.padding_mode == "zeros":
        return convolution_norm(layer.weight, stride=layer.stride, dilation=layer.dilation, groups=layer.groups)
    if isinstance(layer, _BatchNorm) and layer.running_var is not None:
        scale = torch.rsqrt(layer.running_var.double() + layer.eps)
        return float((scale if layer.weight is None else scale * layer.weight.double()).abs().max())
    slopes = {nn.LeakyReLU: "negative_slope", nn.ELU: "alpha"}
    if type(layer) in slopes:
        return max(1.0, abs(float(getattr(layer, slopes[type(layer)]))))
    return 1.0 if isinstance(layer, _DropoutNd) else SLOPES.get(type(layer), _pooled(layer, value))


def _pooled(layer: nn.Module, value: Tensor) -> float | None:
    if isinstance(layer, nn.MaxPool2d):
        return _max_pool(layer.kernel_size, layer.stride, layer.dilation)
    if isinstance(layer, nn.AvgPool2d) and layer.padding in (0, (0, 0)) and not layer.ceil_mode and not layer.divisor_override:
        return _average_pool(layer.kernel_size, layer.stride)
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return 1 / math.sqrt(math.prod(value.shape[2:]))
    return None


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _max_pool(kernel: Any, stride: Any, dilation: Any = 1) -> float | None:
    """The root of the number of windows that one entry can be in."""
    if _pair(dilation) != (1, 1):
        return None
    steps = _pair(stride or kernel)
    return math.sqrt(math.prod(-(-size // step) for size, step in zip(_pair(kernel), steps, strict=True)))


def _average_pool(kernel: Any, stride: Any) -> float:
    sizes = _pair(kernel)
    weight = torch.full((1, 1, *sizes), 1 / math.prod(sizes), dtype=torch.float64)
    return convolution_norm(weight, stride=_pair(stride or kernel), dilation=(1, 1), groups=1)


def _largest(factor: Any) -> float:
    return float(torch.as_tensor(factor, dtype=torch.float64).abs().max())


class _Interpreter(fx.Interpreter):
    """Runs the graph on :class:`Slopes`; what does not depend on the input is computed as it stands."""

    def __init__(self, bounded: BoundedNetwork) -> None:
        super().__init__(bounded.module, graph=bounded.graph)
        self.extra_traceback = False
        self._last = bounded.last
        self.before: tuple[float, Tensor] | None = None

    def run_node(self, n: fx.Node) -> Any:
        args, named = self.fetch_args_kwargs_from_env(n)
        if n.op in ("placeholder", "output", "get_attr") or not _held([*args, *named.values()]):
            return super().run_node(n)
        values = fx.node.map_aggregate((args, named), lambda one: one.value if isinstance(one, Slopes) else one)
        plain: Any = getattr(self, n.op)(n.target, *values)
        if not isinstance(plain, Tensor):  # a shape, for example
            return plain
        if n is self._last:
            weight = self.fetch_attr(str(n.target)).weight if n.op == "call_module" else args[1]
            if math.prod(plain.shape[1:]) == len(weight) and args[0].value[0].numel() == weight[0].numel():
                self.before = args[0].constant, weight.flatten(1)
        constant = self._constant(n, args, named, plain)
        if constant is None:
            name = getattr(n.target, "__name__", n.target)
            kind = f" ({type(self.fetch_attr(str(n.target))).__name__})" if n.op == "call_module" else ""
            raise NoBoundsError(f"{name!r}{kind} of {type(self.module).__name__} has no Lipschitz constant here")
        return Slopes(plain, constant)

    def _constant(self, n: fx.Node, args: Any, named: Any, plain: Tensor) -> float | None:
        if n.op == "call_module":
            found = _constant_of(self.fetch_attr(str(n.target)), args[0].value)
            return None if found is None else found * args[0].constant
        name = getattr(n.target, "__name__", str(n.target))
        name = {"iadd": "add", "add_": "add", "truediv": "div", "amax": "max"}.get(name, name)
        if name in FREE:
            return float(args[0].constant)
        rule = _RULES.get(name)
        return None if rule is None else rule(args, named, plain)


def _held(values: Any) -> list[Slopes]:
    found: list[Slopes] = []
    for value in values:
        found += [value] if isinstance(value, Slopes) else _held(value) if isinstance(value, tuple | list) else []
    return found


def _sum(args: Any, named: Any, plain: Tensor) -> float:
    return sum(one.constant for one in _held(args)) * _largest(named.get("alpha", 1))


def _product(args: Any, named: Any, plain: Tensor) -> float | None:
    if len(_held(args)) != 1:
        return None
    one, factor = args if isinstance(args[0], Slopes) else (args[1], args[0])
    return float(one.constant * _largest(factor))


def _quotient(args: Any, named: Any, plain: Tensor) -> float | None:
    return None if isinstance(args[1], Slopes) else float(args[0].constant * _largest(1 / torch.as_tensor(args[1])))


def _joined(args: Any, named: Any, plain: Tensor) -> float:
    return math.sqrt(sum(one.constant**2 for one in _held(args)))


def _mean(args: Any, named: Any, plain: Tensor) -> float:
    """The mean of m values changes by at most 1 / sqrt(m) of their change."""
    return float(args[0].constant / math.sqrt(args[0].value.numel() / plain.numel()))


def _linear(args: Any, named: Any, plain: Tensor) -> float | None:
    return None if isinstance(args[1], Slopes) else float(args[0].constant * matrix_norm(args[1]))


def _convolved(args: Any, named: Any, plain: Tensor) -> float | None:
    given = dict(zip(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), args, strict=False)) | dict(named)
    stride, dilation = _pair(given.get("stride", 1)), _pair(given.get("dilation", 1))
    weight = given["weight"]
    if weight.shape[2:] == args[0].value.shape[2:] and math.prod(plain.shape[2:]) == 1 and given.get("groups", 1) == 1:
        return float(args[0].constant * matrix_norm(weight.flatten(1)))
    norm = convolution_norm(weight, stride=stride, dilation=dilation, groups=given.get("groups", 1))
    return float(args[0].constant * norm)


def _part(args: Any, named: Any, plain: Tensor) -> float | None:
    """A part of the values, each at most once."""
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    once = all(one is None or one is Ellipsis or isinstance(one, int | slice) for one in index)
    return float(args[0].constant) if once else None


def _padded(args: Any, named: Any, plain: Tensor) -> float | None:
    """Padding by a constant; other modes repeat values."""
    mode = args[2] if len(args) > 2 else named.get("mode", "constant")
    return float(args[0].constant) if mode == "constant" else None


def _max_pooled(args: Any, named: Any, plain: Tensor) -> float | None:
    given = dict(zip(("input", "kernel", "stride", "padding", "dilation"), args, strict=False)) | {
        key.replace("_size", ""): value for key, value in named.items()
    }
    found = _max_pool(given["kernel"], given.get("stride"), given.get("dilation", 1))
    return None if found is None else args[0].constant * found


def _average_pooled(args: Any, named: Any, plain: Tensor) -> float | None:
    if len(args) > 3 or set(named) - {"kernel_size", "stride"}:
        return None
    given = dict(zip(("input", "kernel_size", "stride"), args, strict=False)) | dict(named)
    return float(args[0].constant * _average_pool(given["kernel_size"], given.get("stride")))


_RULES: dict[str, Callable[[Any, Any, Tensor], float | None]] = {
    "add": _sum, "sub": _sum, "neg": _sum, "mul": _product, "div": _quotient, "cat": _joined, "mean": _mean,
    "linear": _linear, "conv2d": _convolved, "max_pool2d": _max_pooled,
    "avg_pool2d": _average_pooled, "getitem": _part, "pad": _padded, "sigmoid": lambda args, named, plain: args[0].constant / 4,
}  # fmt: skip
"""Name of a function or method -> its constant."""
