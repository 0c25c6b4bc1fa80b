"""A network as its run executes it: mixed precision, memory layout, compiled, folded, graphed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from fairart.engine.method import Method
from fairart.engine.network import Network, logits_of
from fairart.engine.network.cuda_graphs import GraphedNetwork
from fairart.engine.network.folding import FoldedModule
from fairart.engine.network.layout import ChannelsLastWeights, runs_with_channels_last
from fairart.engine.network.strided import phase_gradients, takes_part
from fairart.errors import OptionError
from fairart.execution import Execution
from fairart.plugins import origin

if TYPE_CHECKING:
    from fairart.engine.loop import Engine

__all__ = ["ExecutedNetwork", "check_execution", "chosen_execution", "executed"]


FORMS = 64
"""Compiled forms of one ``forward``."""


class ExecutedNetwork(Network):
    """A :class:`Network` under an :class:`Execution`; takes and gives float32 as the network itself does.

    Args:
        network: whose module, preprocessing and clip values are used; nothing of it is changed.
        execution: how to run it.
        module: run in place of the network's own module.
    """

    _call: Callable[[Tensor], Tensor]

    def __init__(self, network: Network, execution: Execution, *, module: nn.Module | None = None) -> None:
        nn.Module.__init__(self)
        self.module = network.module if module is None else module
        self.device, self.dtype, self.clip_values = network.device, network.dtype, network.clip_values
        self._operations = network._operations
        self.execution = execution
        call: Callable[[Tensor], Tensor] = torch.compile(self.module) if execution.compile else self.module
        # Not registered: the parameters stay those of the module, under their own names.
        self.__dict__["_call"] = call

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K) of inputs (n, ...) in clip values."""
        x = self.preprocessed(x)
        if self.execution.channels_last:
            x = x.to(memory_format=torch.channels_last)
        mixed = self.execution.precision == "bf16-mixed"
        # A graph replays its casts; a weight cast earlier would stay as it was then.
        cached = not self.execution.cuda_graphs
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed, cache_enabled=cached):
            logits = logits_of(self._call(x))
        return logits.to(self.dtype)


class TrainedNetwork(ExecutedNetwork):
    """What a run trains: the executed network, and the form of it that the attacks see."""

    _folded: FoldedModule | None
    _attacked: Network

    def __init__(self, network: Network, execution: Execution) -> None:
        super().__init__(network, execution)
        attacked: ExecutedNetwork = self
        folded = None
        if execution.fold_batch_norm:
            mixed = execution.precision == "bf16-mixed"
            folded = FoldedModule(
                network.module, dtype=torch.bfloat16 if mixed else None, channels_last=bool(execution.channels_last)
            )
            attacked = ExecutedNetwork(network, execution, module=folded)
        self.__dict__["_folded"] = folded
        self.__dict__["_attacked"] = GraphedNetwork(attacked) if execution.cuda_graphs else attacked

    def for_attack(self) -> Network:
        """The network with the weights of now, for the passes of one attack."""
        if self._folded is not None:
            self._folded.refresh()
        return self._attacked


@contextlib.contextmanager
def executed(engine: Engine, execution: Execution) -> Iterator[None]:
    """Let an engine train its network under an execution for a while.

    Args:
        engine: its ``network`` and ``while_training`` are exchanged, and put back. Between epochs the module is as the user
            gave it, for validation, policies, plugins and checkpoints.
        execution: as :func:`chosen_execution` gives it.
    """
    network, before = engine.network, engine.while_training
    layout = ChannelsLastWeights(network.module, engine.optimizer) if execution.channels_last else None

    @contextlib.contextmanager
    def while_training() -> Iterator[None]:
        with contextlib.ExitStack() as around:
            if layout is not None:
                around.enter_context(layout.laid_out())
            if execution.phase_gradients:
                around.enter_context(phase_gradients(network.module))
            if execution.compile:
                around.enter_context(many_compiled_forms())
            yield

    engine.while_training = while_training
    if str(dataclasses.replace(execution, phase_gradients=False)):
        engine.network = TrainedNetwork(network, execution)
    try:
        yield
    finally:
        engine.network, engine.while_training = network, before


@contextlib.contextmanager
def many_compiled_forms() -> Iterator[None]:
    """Let torch compile one ``forward`` in more forms than its usual 8, past which it would run uncompiled without an error.

    Attack, training and clean passes are a form each, so are other batch sizes, and every model of a class shares them.
    """
    dynamo: Any = importlib.import_module("torch._dynamo.config")
    # Renamed in torch 2.6.
    name = "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit"
    with dynamo.patch({name: FORMS}):
        yield


def chosen_execution(execution: Execution, network: Network, classifier: PyTorchClassifier) -> Execution:
    """The execution with what was left open decided.

    Args:
        execution: as the user gave it, and :func:`check_execution` found it sound.
        network: what is to be trained.
        classifier: it belongs to.

    Returns:
        The same with True or False for ``channels_last`` and ``phase_gradients``. ``channels_last`` is True on the CPU where the
        network runs so, torch's own optimizer trains it and it is not compiled already; ``phase_gradients`` where it then has
        a strided first layer.
    """
    layout, phases = execution.channels_last, execution.phase_gradients
    plain = network.device.type == "cpu" and not any(map(_is_compiled, network.module.modules()))
    if layout is None:
        # Another optimizer may take its kernels apart by view().
        known = type(classifier.optimizer).__module__.startswith("torch.optim.")
        layout = plain and known and classifier.channels_first
        layout = layout and runs_with_channels_last(network, tuple(classifier.input_shape))
    if phases is None:
        # With channels first a 3 x 3 kernel of stride 2 is slower by phases.
        phases = plain and bool(layout) and not _phases(dataclasses.replace(execution, phase_gradients=True), network)
    return dataclasses.replace(execution, channels_last=layout, phase_gradients=phases)


def _is_compiled(module: nn.Module) -> bool:
    # By name: importing torch._dynamo takes seconds.
    return type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None


def check_execution(execution: Execution, network: Network, method: Method, input_shape: tuple[int, ...]) -> None:
    """Refuse what cannot be, before any work.

    Args:
        execution: what is asked for.
        network: what is to be trained.
        method: says how it is attacked.
        input_shape: of one sample.

    Raises:
        OptionError: what does not fit, why, and what would.
    """
    for reason in (
        _precision(execution, network),
        _layout(execution, input_shape),
        _phases(execution, network),
        _graphs(execution, network, method),
        _folding(execution, network, method),
        compiler_trouble(network.device.type) if execution.compile else "",
    ):
        if reason:
            raise OptionError(reason)


def _precision(execution: Execution, network: Network) -> str:
    if execution.precision == "32-true":
        return ""
    if network.dtype != torch.float32:
        return f"precision='bf16-mixed' expects a model with float32 weights, got {network.dtype}"
    if network.device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return "precision='bf16-mixed': this CUDA device has no bfloat16; take '32-true'"
    return ""


def _layout(execution: Execution, input_shape: tuple[int, ...]) -> str:
    if execution.channels_last and len(input_shape) != 3:
        return f"channels_last expects images (C, H, W), got samples of shape {input_shape}"
    return ""


def _phases(execution: Execution, network: Network) -> str:
    if not execution.phase_gradients:
        return ""
    if network.device.type != "cpu":
        return f"phase_gradients is for classifiers on the CPU, this one is on {network.device.type}"
    if execution.precision != "32-true" or execution.compile:
        return "phase_gradients would go unused: it works without compile and with precision='32-true'"
    if not takes_part(network.module):
        return (
            f"phase_gradients would go unused: {type(network.module).__name__} has no nn.Conv2d of at most 4 input channels and "
            "a stride above 1, without dilation and groups"
        )
    return ""


def _graphs(execution: Execution, network: Network, method: Method) -> str:
    if not execution.cuda_graphs:
        return ""
    if network.device.type != "cuda":
        return f"cuda_graphs needs a classifier on a CUDA device, this one is on {network.device.type}"
    return _attack_of_its_own("cuda_graphs", method)


def _folding(execution: Execution, network: Network, method: Method) -> str:
    if not execution.fold_batch_norm:
        return ""
    reason = _attack_of_its_own("fold_batch_norm", method)
    if reason:
        return reason
    if method.objective.attack_mode != "eval":
        return (
            f"fold_batch_norm: {origin(method.objective)} attacks in {method.objective.attack_mode} mode, where batch-norm takes "
            "the batch's own statistics. Take an objective that attacks in eval mode (trades, fat, bat), or attack_mode='eval'"
        )
    FoldedModule(network.module)
    return ""


def _attack_of_its_own(option: str, method: Method) -> str:
    if not method.objective.perturbs:
        return f"{option} would go unused: {origin(method.objective)} attacks nothing"
    if method.attack is not None:
        return f"{option} would go unused: {type(method.attack.attack).__name__} attacks through ART"
    return ""


def _probe(x: Tensor) -> Tensor:
    return (x * 2).sin()


@functools.cache
def compiler_trouble(device_type: str) -> str:
    """Why ``torch.compile`` cannot work here, in one sentence; empty where it does. Compiles a line to find out."""
    try:
        import torch._inductor.config as inductor

        # A kernel from the cache would need no compiler.
        patched: Any = inductor
        with patched.patch(force_disable_caches=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.compile(_probe)(torch.ones(8, device=device_type))
    except Exception as error:  # whatever the tool chain raises, this is its verdict
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        tool = "a C++ compiler (g++ or clang++)" if device_type == "cpu" else "Triton and a C compiler"
        said = lines[0] if lines else type(error).__name__
        return (
            f"compile: torch.compile cannot build kernels for {device_type} here ({said}). It needs {tool}; or leave compile off"
        )
    return ""
