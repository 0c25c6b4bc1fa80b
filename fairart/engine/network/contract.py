"""What a model must return, checked with one batch of two inputs before any work is done."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fairart.engine.network.network import Network, restored_modes

__all__ = ["ModelError", "check_model", "check_plain", "predicted", "returns_plain_logits"]

RULE = "a model must return a floating tensor of logits (N, K)"


class ModelError(ValueError):
    """A model does not return logits; the message says what it returned and what to do."""


def check_model(
    network: Network, *, nb_classes: int, input_shape: tuple[int, ...], x: Tensor | None = None, training: bool
) -> None:
    """Pass two inputs through a model in eval mode, and check its output. The state of the model is left as it was.

    Args:
        network: the model with its preprocessing.
        nb_classes: K of the classifier.
        input_shape: shape of one input.
        x: (2, *input_shape) inputs in clip values; None for random ones.
        training: whether the model is to be trained: then its parameters are looked at too, and its output may not depend on the
            input yet.

    Raises:
        ModelError: the output is not floating logits (2, K) on the classifier's device, or not finite; the parameters are
            missing, frozen or not initialised; in evaluation, the output does not depend on the input.
    """
    _check_parameters(network.module, training=training)
    noise = _noise(network, input_shape)
    batch = noise if x is None else x.to(network.device, network.dtype)
    logits = _output(network, batch, nb_classes)
    if training:
        _warn_probabilities(logits)
    elif not _depends(logits) and not _depends(_output(network, noise, nb_classes)):
        raise ModelError(
            f"the model returns the same output for every input ({_shown(logits[0])}): expected an output that depends on the "
            "input. Likely causes: weights that were not loaded, or a layer whose weights are all zero"
        )


def check_plain(network: Network, input_shape: tuple[int, ...]) -> None:
    """Check that a model returns logits (N, K) themselves: ART's own attacks take no other output.

    Args:
        network: the model with its preprocessing.
        input_shape: shape of one input.

    Raises:
        ModelError: the model returns a mapping, or logits with further dimensions.
    """
    if not returns_plain_logits(network, input_shape):
        out = _raw(network, _noise(network, input_shape))
        shape = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise ModelError(f"an ART attack needs a model that returns logits (N, K) themselves, this one returns {shape}")


def returns_plain_logits(network: Network, input_shape: tuple[int, ...]) -> bool:
    """Whether a model returns logits (N, K) themselves, as ART expects, and not a mapping with them.

    Args:
        network: the model with its preprocessing.
        input_shape: shape of one input.
    """
    out = _raw(network, _noise(network, input_shape))
    return isinstance(out, Tensor) and out.ndim == 2


def predicted(network: Network, images: npt.NDArray[Any], batch_size: int) -> npt.NDArray[np.float32]:
    """Logits (n, K) in eval mode, batch by batch, for models whose output ART's ``predict`` does not take.

    Args:
        network: the model with its preprocessing.
        images: (n, *input_shape) in clip values.
        batch_size: images at once.
    """
    with restored_modes(network.module, training=False), torch.no_grad():
        parts = [
            network(torch.as_tensor(images[first : first + batch_size], dtype=network.dtype, device=network.device)).cpu()
            for first in range(0, len(images), batch_size)
        ]
    logits: npt.NDArray[np.float32] = torch.cat(parts).float().numpy()
    return logits


def _check_parameters(module: nn.Module, *, training: bool) -> None:
    parameters = dict(module.named_parameters())
    lazy = [name for name, value in parameters.items() if is_lazy(value)]
    if lazy:
        raise ModelError(
            f"the model has lazy layers that are not initialised ({lazy[0]}): pass one batch through it before making the "
            "classifier and its optimizer"
        )
    if training and not parameters:
        raise ModelError("the model has no parameters: there is nothing to train")
    if training and not any(value.requires_grad for value in parameters.values()):
        raise ModelError(
            f"all {len(parameters)} parameters of the model are frozen (requires_grad=False): set requires_grad_(True) on those "
            "to train"
        )


def _noise(network: Network, input_shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand((2, *input_shape), generator=generator).to(network.device, network.dtype)
    low, high = network.clip_values or (0.0, 1.0)
    return low + (high - low) * values


def _output(network: Network, x: Tensor, nb_classes: int) -> Tensor:
    return _checked(_raw(network, x), network.device, nb_classes)


def _raw(network: Network, x: Tensor) -> Any:
    devices = [network.device] if network.device.type == "cuda" else []
    try:
        with restored_modes(network.module, training=False), torch.random.fork_rng(devices=devices), torch.no_grad():
            return network.module(network.preprocessed(x))
    except Exception as error:  # the forward of a third party may raise any exception
        detail = " ".join(str(error).split())[:240]
        raise ModelError(
            f"the model raised {type(error).__name__} for two inputs of shape {tuple(x.shape[1:])}: {detail}. Likely causes: an "
            "input_shape that is not the model's, a linear layer with another in_features, or parameters on another device"
        ) from error


def _checked(out: Any, device: torch.device, nb_classes: int) -> Tensor:
    logits = _tensor(out)
    if not logits.is_floating_point():
        raise ModelError(f"the model returns a tensor of {logits.dtype}: {RULE}, not predicted classes")
    if logits.ndim == 4 and logits.shape[2:] == (1, 1):
        warnings.warn(
            f"the model returns {tuple(logits.shape)}: its last two dimensions are left out. A Flatten as last layer does it",
            UserWarning,
            stacklevel=5,
        )
        logits = logits.flatten(1)
    _check_shape(tuple(logits.shape), nb_classes)
    if logits.device.type != device.type:
        raise ModelError(f"the model returns a tensor on {logits.device}, the classifier is on {device}: move the model there")
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            "the model returns NaN or infinite logits for inputs within the clip values. Likely causes: weights of a diverged "
            "training, weights that were not loaded, an overflow in half precision"
        )
    return logits


def _tensor(out: Any) -> Tensor:
    if isinstance(out, Tensor):
        return out
    found = out.get("logits") if isinstance(out, Mapping) else getattr(out, "logits", None)
    if isinstance(found, Tensor):
        return found
    if isinstance(out, Mapping):
        what = f"a {type(out).__name__} with the keys {', '.join(map(repr, out))}"
        hint = "name the logits 'logits', or return them alone"
    elif isinstance(out, tuple | list):
        what, hint = f"a {type(out).__name__} of {len(out)} values", "return the logits alone, in eval mode too"
    else:
        what, hint = f"{type(out).__name__}", "return the logits"
    raise ModelError(f"the model returns {what}: {RULE}; {hint}")


def _check_shape(shape: tuple[int, ...], nb_classes: int) -> None:
    expected = (2, nb_classes)
    if shape == expected:
        return
    if len(shape) == 2 and shape[0] == 2:
        more = "more" if shape[1] > nb_classes else "fewer"
        raise ModelError(
            f"the model returns {shape[1]} logits, {more} than the {nb_classes} classes of the classifier: change its last "
            "layer, or nb_classes"
        )
    if len(shape) >= 1 and shape[0] != 2:
        raise ModelError(
            f"the model returns shape {shape} for two inputs: expected {expected}. A reshape or flatten mixes samples, "
            "most likely because the inputs have another size than it was written for"
        )
    raise ModelError(f"the model returns shape {shape} for two inputs: expected {expected}, one row of logits an input")


def _depends(logits: Tensor) -> bool:
    return not torch.equal(logits[0], logits[1])


def _shown(row: Tensor) -> str:
    values = ", ".join(f"{value:.4g}" for value in row[:3].tolist())
    return values + (", ..." if len(row) > 3 else "")


def _warn_probabilities(logits: Tensor) -> None:
    values = logits.double()
    ones = torch.ones(len(values), dtype=torch.float64, device=values.device)
    if bool((values >= 0).all()) and torch.allclose(values.sum(dim=1), ones, atol=1e-4):
        what, layer = "probabilities (rows sum to 1)", "softmax"
    elif bool((values <= 0).all()) and torch.allclose(values.exp().sum(dim=1), ones, atol=1e-4):
        what, layer = "log-probabilities", "log-softmax"
    else:
        return
    warnings.warn(
        f"the model returns {what}: the cross-entropy expects logits, so leave the {layer} out",
        UserWarning,
        stacklevel=4,
    )
