"""The last linear layer of a classifier, and what long-tailed training does to it afterwards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fairart.models.ensemble import Ensemble

__all__ = ["adjust_logits", "last_linear", "tau_normalise", "tau_normalised"]


def last_linear(model: nn.Module, nb_classes: int) -> nn.Linear:
    """The last linear layer of a model, which must give its K logits.

    Args:
        model: the model.
        nb_classes: K.

    Raises:
        ValueError: the last linear layer, in the order of registration, is missing or has another number of outputs; or
            an ensemble, which has several.
    """
    if isinstance(model, Ensemble):
        raise ValueError("the model must end in one linear layer, got an ensemble, which has one for each member")
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers or layers[-1].out_features != nb_classes:
        came = f"{layers[-1].out_features} outputs" if layers else "no linear layer at all"
        raise ValueError(f"the model must end in a linear layer with {nb_classes} outputs, got {came}")
    return layers[-1]


def tau_normalised(weight: Tensor, tau: float) -> Tensor:
    """(K, d) rows w_k / ||w_k||^tau (Kang et al., ICLR 2020, Eq. 3).

    Args:
        weight: (K, d).
        tau: 0 leaves the rows, 1 gives all the same norm.
    """
    norms = weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    normalised: Tensor = weight / norms**tau
    return normalised


def tau_normalise(layer: nn.Linear, tau: float) -> None:
    """Normalise the rows of a layer in place; its bias becomes 0, as in the paper.

    Args:
        layer: the last linear layer.
        tau: see :func:`tau_normalised`.
    """
    with torch.no_grad():
        layer.weight.copy_(tau_normalised(layer.weight, tau))
        if layer.bias is not None:
            layer.bias.zero_()


def adjust_logits(layer: nn.Linear, counts: npt.NDArray[np.int64], tau: float) -> None:
    """Predict by z - tau log pi, in place of z: the bias of the last layer moves (post-hoc adjustment, Menon et al., ICLR 2021).

    Args:
        layer: the last linear layer.
        counts: (K,) training samples; a class without counts as one with one sample.
        tau: strength, >= 0.

    Raises:
        ValueError: the layer has no bias.
    """
    if layer.bias is None:
        raise ValueError("logits are adjusted by the bias of the last linear layer, which has none")
    there = np.maximum(counts, 1).astype(np.float64)
    shift = torch.as_tensor(tau * np.log(there / there.sum()))
    with torch.no_grad():
        layer.bias.sub_(shift.to(layer.bias))
