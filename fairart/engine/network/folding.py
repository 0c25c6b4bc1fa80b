"""Batch-norm folded into the convolution before it, for attacks in eval mode: an operation less in each pass and gradient."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fairart.engine.network.network import restored_modes
from fairart.errors import OptionError

__all__ = ["FoldedModule"]

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
PAIRS = {(nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d)}
"""Exactly these types: a subclass, or a parametrised layer, may compute something else."""


class FoldedModule(nn.Module):
    """A module in eval mode whose batch-norms, where they follow a convolution alone, are part of its weights.

    In eval mode batch-norm is an affine map a channel, so ``norm(convolution(x))`` is a convolution with weights
    ``w gamma / sqrt(var + eps)`` and bias ``beta + (b - mean) gamma / sqrt(var + eps)``. Everything else is the module's own. The
    weights are those of the last :meth:`refresh`.

    Args:
        module: traced, not changed.
        dtype: of the folded weights; None for the module's own. What autocast would cast in every pass is cast once.
        channels_last: memory layout of the folded weights.

    Raises:
        OptionError: the module cannot be traced, has hooks that tracing would pass by, or nothing to fold.
    """

    def __init__(self, module: nn.Module, *, dtype: torch.dtype | None = None, channels_last: bool = False) -> None:
        super().__init__()
        graph = _trace(module)
        self._folded = _fold(module, graph, dtype, torch.channels_last if channels_last else torch.preserve_format)
        if not self._folded:
            raise OptionError(
                f"fold_batch_norm: {type(module).__name__} has no batch-norm that takes the output of a convolution and of "
                "nothing else; leave fold_batch_norm off"
            )
        root = {**dict(module.named_modules()), **self._folded, **dict(module.named_parameters()), **dict(module.named_buffers())}
        self.traced = fx.GraphModule(root, graph, class_name=type(module).__name__)
        self.refresh()

    def refresh(self) -> None:
        """Take the module's weights and statistics of now."""
        for convolution in self._folded.values():
            convolution.refresh()

    def forward(self, x: Tensor) -> Tensor:
        """What the module gives in eval mode."""
        out: Tensor = self.traced(x)
        return out


class FoldedConvolution(nn.Module):
    """A convolution and the batch-norm after it."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self, convolution: Convolution, norm: _BatchNorm, dtype: torch.dtype | None, memory_format: torch.memory_format
    ) -> None:
        super().__init__()
        # In a tuple: their parameters are the module's, not this one's.
        self._pair = convolution, norm
        weight = torch.empty_like(convolution.weight, dtype=dtype, memory_format=memory_format).detach()
        bias = torch.empty(len(weight), dtype=weight.dtype, device=weight.device)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    @torch.no_grad()
    def refresh(self) -> None:
        """Fold anew, into the same memory."""
        convolution, norm = self._pair
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        scale = torch.rsqrt(variance + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight
        shift = -mean if convolution.bias is None else convolution.bias - mean
        shift = shift * scale if norm.bias is None else torch.addcmul(norm.bias, shift, scale)
        self.weight.copy_(convolution.weight * scale.view(-1, *[1] * (convolution.weight.ndim - 1)))
        self.bias.copy_(shift)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution's own padding and stride, with the folded weights."""
        out: Tensor = self._pair[0]._conv_forward(x, self.weight, self.bias)
        return out


def _trace(module: nn.Module) -> fx.Graph:
    hooked = next((name for name, part in module.named_modules() if _has_hooks(part)), None)
    if hooked is not None:
        raise OptionError(
            f"fold_batch_norm: {hooked or type(module).__name__} has hooks, which a folded model would pass by; "
            "leave fold_batch_norm off"
        )
    try:
        with restored_modes(module, training=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fx.Tracer().trace(module)
    except Exception as error:  # a third-party forward may raise any exception when it is traced
        said = " ".join(str(error).split())[:200]
        raise OptionError(
            f"fold_batch_norm: {type(module).__name__} cannot be traced by torch.fx ({type(error).__name__}: {said}); "
            "leave fold_batch_norm off"
        ) from error


def _has_hooks(module: nn.Module) -> bool:
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name, None) for name in names)


def _fold(
    module: nn.Module, graph: fx.Graph, dtype: torch.dtype | None, memory_format: torch.memory_format
) -> dict[str, FoldedConvolution]:
    """Replace each pair in the graph; name in the graph -> folded convolution."""
    modules: dict[str, Any] = dict(module.named_modules())
    folded: dict[str, FoldedConvolution] = {}
    for node in list(graph.nodes):
        before = node.args[0] if node.op == "call_module" and len(node.args) == 1 else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        # A node of ours, folded_0, is in no module.
        norm, convolution = modules.get(str(node.target)), modules.get(str(before.target))
        if norm is None or convolution is None or (type(convolution), type(norm)) not in PAIRS or norm.running_mean is None:
            continue
        name = f"folded_{len(folded)}"
        folded[name] = FoldedConvolution(convolution, norm, dtype, memory_format)
        with graph.inserting_before(node):
            made = graph.call_module(name, before.args, before.kwargs)
            node.replace_all_uses_with(made)
        graph.erase_node(node)
        graph.erase_node(before)
        _rectify_in_place(graph, modules, made)
    return folded


def _rectify_in_place(graph: fx.Graph, modules: dict[str, Any], made: fx.Node) -> None:
    """Let the rectifier that alone takes a convolution's output write over it: no further memory is fetched."""
    users = list(made.users)
    if len(users) == 1 and _rectifies(users[0], modules):
        with graph.inserting_before(users[0]):
            users[0].replace_all_uses_with(graph.call_function(torch.relu_, (made,)))
        graph.erase_node(users[0])


def _rectifies(node: fx.Node, modules: dict[str, Any]) -> bool:
    if node.op == "call_module":
        return type(modules.get(str(node.target))) is nn.ReLU
    return node.op == "call_function" and node.target in (torch.relu, nn.functional.relu)
