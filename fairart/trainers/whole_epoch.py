"""What a fit that fails leaves behind: the classifier as it was, or as the last whole epoch left it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["WholeEpoch", "say_what_is_left"]


class WholeEpoch:
    """A copy of the weights and of the optimizer's state between two epochs.

    Args:
        trained: the modules that are trained, each with its optimizer.
    """

    def __init__(self, trained: Sequence[tuple[nn.Module, torch.optim.Optimizer]]) -> None:
        self._trained = list(trained)
        self._kept: list[tuple[Mapping[str, Tensor], dict[str, Any]]] = []
        self.origin = ""
        self.keep("")

    def keep(self, origin: str) -> None:
        """Take a copy of the present state.

        Args:
            origin: what the weights are, for a message; empty for those before the fit.
        """
        self.origin = origin
        self._kept = [
            ({name: value.detach().clone() for name, value in module.state_dict().items()}, copy.deepcopy(optimizer.state_dict()))
            for module, optimizer in self._trained
        ]

    def put_back(self) -> None:
        """Restore the state of the last copy."""
        for (module, optimizer), (weights, state) in zip(self._trained, self._kept, strict=True):
            module.load_state_dict(weights)
            optimizer.load_state_dict(state)


def say_what_is_left(error: BaseException, text: str) -> None:
    """Add a sentence to an error; Python 3.10 has no notes, there it is a warning.

    Args:
        error: the error on its way to the user.
        text: the sentence.
    """
    if hasattr(error, "add_note"):
        error.add_note(text)
    else:
        warnings.warn(text, UserWarning, stacklevel=2)
