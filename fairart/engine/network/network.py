"""An ART classifier seen from torch: logits of inputs in clip values, gradients through its preprocessing included."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from art.estimators.classification import PyTorchClassifier
from art.preprocessing.standardisation_mean_std.pytorch import StandardisationMeanStdPyTorch
from art.preprocessing.standardisation_mean_std.utils import broadcastable_mean_std
from torch import Tensor, nn

from fairart.attacks.common import ClipValues
from fairart.models.logits import logits_of

__all__ = ["Network", "clip_values_of", "logits_of", "restored_modes"]

Operation = Callable[[Tensor], Tensor]


@contextlib.contextmanager
def restored_modes(module: nn.Module, *, training: bool | None = None) -> Iterator[None]:
    """Put train or eval mode of every submodule back afterwards.

    Args:
        module: the module.
        training: mode to set meanwhile, or None to leave it.
    """
    modes = [(submodule, submodule.training) for submodule in module.modules()]
    try:
        if training is not None:
            module.train(training)
        yield
    finally:
        for submodule, mode in modes:
            submodule.training = mode


def clip_values_of(classifier: PyTorchClassifier, device: torch.device, dtype: torch.dtype) -> ClipValues:
    """The classifier's clip values as numbers, or as tensors where they are given per feature; None where it has none."""
    if classifier.clip_values is None:
        return None
    low, high = (np.asarray(value, dtype=np.float64) for value in classifier.clip_values)
    if low.ndim == 0 and high.ndim == 0:
        return float(low), float(high)
    shape = tuple(classifier.input_shape)

    def tensor(values: Any) -> Tensor:
        spread = values.reshape(shape) if values.size == np.prod(shape) else np.broadcast_to(values, shape)
        return torch.as_tensor(spread.copy(), dtype=dtype, device=device)

    return tensor(low), tensor(high)


# Classes and not functions of functions: a trainer that holds them can be pickled and copied.
class _Standardised:
    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean, self.std = mean, std

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class _Forward:
    def __init__(self, op: PreprocessorPyTorch) -> None:
        self.op = op

    def __call__(self, x: Tensor) -> Tensor:
        out: Tensor = self.op.forward(x, None)[0]
        return out


class _StraightThrough(_Forward):
    """The value of the operation with the gradient of its own estimate (BPDA, Athalye et al. 2018)."""

    def __call__(self, x: Tensor) -> Tensor:
        estimate: Tensor = self.op.estimate_forward(x)
        with torch.no_grad():
            exact = super().__call__(x)
        return estimate + (exact - estimate).detach()


class Network(nn.Module):
    """Logits of an ART ``PyTorchClassifier`` for tensors in its own input space.

    ART's preprocessing (mean and standard deviation, torch preprocessors) runs inside :meth:`forward`, so that input
    gradients pass through it. A preprocessor that has its own ``estimate_forward`` provides the gradient (BPDA, Athalye et al.
    2018).

    Args:
        classifier: the ART classifier; its model is used as it is, nothing of it is changed.
        fit: use the preprocessors that ART applies in ``fit``; else those of ``predict``.

    Raises:
        TypeError: no ``PyTorchClassifier``.
        ValueError: preprocessing that is not torch, or that passes no gradient on.
    """

    def __init__(self, classifier: PyTorchClassifier, *, fit: bool = False) -> None:
        super().__init__()
        if not isinstance(classifier, PyTorchClassifier):
            raise TypeError(
                "expected an art.estimators.classification.PyTorchClassifier, got "
                f"{type(classifier).__module__}.{type(classifier).__qualname__}"
            )
        self.module: nn.Module = classifier.model
        parameter = next(self.module.parameters(), None)
        self.device = torch.device(classifier.device)
        self.dtype = parameter.dtype if parameter is not None and parameter.is_floating_point() else torch.float32
        self.clip_values = clip_values_of(classifier, self.device, self.dtype)
        self._operations: list[Operation] = []
        self._build([op for op in _active(classifier, fit=fit) if not _is_identity(op)], tuple(classifier.input_shape))

    def _operation(self, op: PreprocessorPyTorch, input_shape: tuple[int, ...]) -> Operation:
        if type(op) is StandardisationMeanStdPyTorch:
            # ART makes these two tensors anew in every call; once is enough.
            sample = np.empty((1, *input_shape))
            mean, std = (
                torch.as_tensor(value, dtype=self.dtype, device=self.device)
                for value in broadcastable_mean_std(sample, op.mean, op.std)
            )
            return _Standardised(mean, std)
        if type(op).estimate_forward is PreprocessorPyTorch.estimate_forward:
            return _Forward(op)
        return _StraightThrough(op)

    def _build(self, ops: list[PreprocessorPyTorch], input_shape: tuple[int, ...]) -> None:
        if not ops:
            return
        low, high = self.clip_values or (0.0, 1.0)
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand((2, *input_shape), generator=generator).to(self.device, self.dtype)
        x = low + (high - low) * noise
        # A preprocessor may draw random numbers; the process's own stay as they were.
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []), torch.enable_grad():
            for op in ops:
                # Each is probed with what the one before it gives: it may have changed the shape.
                x = x.detach().requires_grad_(True)
                operation = self._operation(op, tuple(x.shape[1:]))
                out = operation(x)
                _check_passes_gradient(op, out, x)
                self._operations.append(operation)
                x = out

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K) of inputs (n, ...) in clip values."""
        out = self.module(self.preprocessed(x))
        return logits_of(out)

    def preprocessed(self, x: Tensor) -> Tensor:
        """What the module is given for inputs in clip values."""
        for operation in self._operations:
            x = operation(x)
        return x

    @property
    def standardisation(self) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation of the preprocessing, flattened; None if it does not standardise, or not that alone."""
        if len(self._operations) != 1 or not isinstance(self._operations[0], _Standardised):
            return None
        return self._operations[0].mean.flatten(), self._operations[0].std.flatten()

    @property
    def is_monotone(self) -> bool:
        """Whether the preprocessing is none, or standardises: then it nowhere decreases in any feature."""
        return not self._operations or (self.standardisation is not None and bool((self.standardisation[1] > 0).all()))

    def for_attack(self) -> Network:
        """The network as the passes of one attack see it."""
        return self


def _active(classifier: PyTorchClassifier, *, fit: bool) -> list[PreprocessorPyTorch]:
    operations = [op for op in classifier.preprocessing_operations if (op.apply_fit if fit else op.apply_predict)]
    for op in operations:
        if not isinstance(op, PreprocessorPyTorch):
            raise ValueError(
                f"the classifier's preprocessing cannot be differentiated: {type(op).__name__} works on numpy arrays. "
                "Expected ART preprocessors for PyTorch (subclasses of PreprocessorPyTorch)"
            )
    return operations


def _check_passes_gradient(op: PreprocessorPyTorch, out: Tensor, x: Tensor) -> None:
    # Unequal weights: the plain sum of a per-image standardisation is constant, though its gradient is sound.
    weights = torch.linspace(-1, 2, out.numel(), dtype=out.dtype, device=out.device).view_as(out).square()
    gradient = torch.autograd.grad((weights * out).sum(), x, allow_unused=True)[0] if out.requires_grad else None
    if gradient is None or not bool(gradient.abs().sum() > 0):
        raise ValueError(
            "the classifier's preprocessing cannot be differentiated: no gradient reaches the input through "
            f"{type(op).__name__}. Expected torch operations, or a PreprocessorPyTorch with a differentiable "
            "estimate_forward"
        )


def _is_identity(op: PreprocessorPyTorch) -> bool:
    return type(op) is StandardisationMeanStdPyTorch and bool(np.all(op.mean == 0) and np.all(op.std == 1))
