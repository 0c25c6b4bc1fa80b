"""A network that can be bounded: its layers in order, a box carried through them, and bounds of logit differences."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from fairart.bounds.box import Box
from fairart.bounds.errors import NoBoundsError
from fairart.bounds.rules import FUNCTIONS, METHODS, module_rule

__all__ = ["BoundedNetwork"]

AT_ONCE = 1 << 24
"""Entries of weight differences, one matrix a sample, that are held at a time."""

SHAPES = {"view", "reshape", "flatten", "squeeze", "contiguous"}
"""Methods and functions that leave the values as they are: between the last layer and the logits they make no difference."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks")

PLAIN = {"shape": lambda box: box.lower.shape, "ndim": lambda box: box.lower.ndim, "device": lambda box: box.lower.device,
         "dtype": lambda box: box.lower.dtype}  # fmt: skip


class BoundedNetwork:
    """Interval bounds of a module (Gowal et al., arXiv 1810.12715).

    Traced once, by ``torch.fx``; the weights are the module's own in every call, so gradients reach them.

    Args:
        module: logits (n, K) of inputs (n, ...).

    Raises:
        NoBoundsError: it cannot be traced, or has a layer or an operation that is not known here.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, self.graph = module, _traced(module)
        self._check_layers()
        self.last = _last_layer(self.graph, dict(module.named_modules()))

    def _check_layers(self) -> None:
        modules = dict(self.module.named_modules())
        for name, part in modules.items():
            if any(getattr(part, hooks, None) for hooks in HOOKS):
                raise NoBoundsError(f"{name or type(part).__name__} has hooks, which interval bounds would pass by")
        for node in self.graph.nodes:
            if node.op == "call_module" and module_rule(modules[str(node.target)]) is None:
                layer = type(modules[str(node.target)]).__name__
                raise NoBoundsError(
                    f"layer {node.target!r} ({layer}) of {type(self.module).__name__} has no interval bounds here"
                )

    def logits(self, box: Box) -> Box:
        """Bounds of each logit by itself, (n, K).

        Args:
            box: of inputs of the module.
        """
        out, _ = self._run(box)
        return out

    def margins(self, box: Box, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Lower bounds of the differences between the logit of the label and every other one.

        The last layer is folded into the differences: what moves both logits alike cancels (Gowal et al., Section 3).

        Args:
            box: of inputs of the module.
            labels: (n,) classes.

        Returns:
            (n, K) lower bounds of ``z_label - z_k``, 0 at the label itself; and (n, K) logits of the point, None without one.
            A sample whose bounds are all positive but its own keeps its class everywhere in the box.
        """
        out, before = self._run(box)
        rows = torch.arange(len(labels), device=labels.device)
        apart = out.lower[rows, labels][:, None] - out.upper
        bounds = apart if before is None else torch.cat(list(_folded(*before, labels)))
        own = F.one_hot(labels, bounds.shape[1]).bool()
        return bounds.masked_fill(own, 0.0), out.point

    def _run(self, box: Box) -> tuple[Box, tuple[Box, Tensor, Tensor | None] | None]:
        interpreter = _Interpreter(self.module, self.graph, self.last)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            out = interpreter.run(box)
        if not isinstance(out, Box) or out.lower.ndim != 2:
            raise NoBoundsError(f"{type(self.module).__name__} does not give logits (n, K) that depend on the input alone")
        return out, interpreter.before


def _folded(box: Box, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Any:
    """(m, K) lower bounds of logit differences, for some samples at a time."""
    centre, radius = ((box.upper + box.lower) / 2).flatten(1), ((box.upper - box.lower) / 2).flatten(1)
    step = max(1, AT_ONCE // weight.numel())
    for first in range(0, len(labels), step):
        part, chosen = slice(first, first + step), labels[first : first + step]
        difference = weight[chosen][:, None] - weight
        bounds = (difference @ centre[part, :, None] - difference.abs() @ radius[part, :, None]).squeeze(2)
        yield bounds if bias is None else bounds + bias[chosen][:, None] - bias


class _Tracer(fx.Tracer):
    """Layers of torch are leaves, whatever stands around them is traced."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m).__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential)


def _traced(module: nn.Module) -> fx.Graph:
    # As it answers in eval mode; boxes are carried through in whatever mode the module is then.
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        return _Tracer().trace(module)
    except Exception as error:  # a third-party forward may raise any exception when it is traced
        said = " ".join(str(error).split())[:200]
        raise NoBoundsError(
            f"{type(module).__name__} cannot be traced by torch.fx, which interval bounds need ({type(error).__name__}: {said})"
        ) from error
    finally:
        for part, mode in modes:
            part.training = mode


def _last_layer(graph: fx.Graph, modules: dict[str, nn.Module]) -> fx.Node | None:
    """The linear layer that gives the logits, with nothing but changes of shape after it; None if there is none."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    node = output.args[0]
    while isinstance(node, fx.Node):
        if node.op == "call_module":
            module = modules[str(node.target)]
            if isinstance(module, nn.Linear | nn.Conv2d):
                return node
            if not isinstance(module, nn.Flatten | nn.Identity):
                return None
        elif node.op == "call_function" and node.target in (F.linear, F.conv2d, torch.conv2d):
            return node
        elif getattr(node.target, "__name__", node.target) not in SHAPES:
            return None
        node = node.args[0] if node.args else None
    return None


class _Interpreter(fx.Interpreter):
    """Runs the graph on boxes; what does not depend on the input is computed as it stands."""

    def __init__(self, module: nn.Module, graph: fx.Graph, last: fx.Node | None) -> None:
        super().__init__(module, graph=graph)
        self.extra_traceback = False
        self._last = last
        self.before: tuple[Box, Tensor, Tensor | None] | None = None

    def run_node(self, n: fx.Node) -> Any:
        if n is not self._last:
            return super().run_node(n)
        args, named = self.fetch_args_kwargs_from_env(n)
        out = super().run_node(n)
        if n.op == "call_module":
            layer: Any = self.fetch_attr(str(n.target))
            weight, bias = layer.weight, layer.bias
        else:
            given = dict(zip(("input", "weight", "bias"), args, strict=False)) | dict(named)
            weight, bias = given["weight"], given.get("bias")
        # A convolution is a linear layer if its kernel covers the whole map once: one output a channel, no padding.
        box, whole = args[0], isinstance(args[0], Box) and math.prod(out.lower.shape[1:]) == len(weight)
        if whole and box.lower.flatten(1).shape[1] == weight[0].numel():
            self.before = box, weight.flatten(1), bias
        return out

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not any(isinstance(value, Box) for value in args):
            return super().call_module(target, args, kwargs)
        rule = module_rule(self.fetch_attr(str(target)))
        if rule is None or len(args) != 1 or kwargs:
            raise NoBoundsError(f"layer {target!r} has no interval bounds here")
        return rule(args[0])

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not _holds_box(args) and not _holds_box(tuple(kwargs.values())):
            return super().call_function(target, args, kwargs)
        if target is getattr and args[1] in PLAIN:
            return PLAIN[args[1]](args[0])
        return self._apply(FUNCTIONS.get(target), target, args, kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        if not _holds_box(args) and not _holds_box(tuple(kwargs.values())):
            return super().call_method(target, args, kwargs)
        return self._apply(METHODS.get(target), target, args, kwargs)

    def _apply(self, rule: Callable[..., Any] | None, target: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(target, "__name__", target)
        if rule is None:
            raise NoBoundsError(f"operation {name!r} of {type(self.module).__name__} has no interval bounds here")
        try:
            return rule(*args, **kwargs)
        except (TypeError, AttributeError) as error:
            raise NoBoundsError(f"operation {name!r} of {type(self.module).__name__} has no interval bounds: {error}") from error


def _holds_box(values: Any) -> bool:
    return any(isinstance(value, Box) or (isinstance(value, tuple | list) and _holds_box(value)) for value in values)
