"""What a fit that fails leaves behind: the classifier as it was, or as the last whole epoch left it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["WholeEpoch", "say_what_is_left"]


class WholeEpoch:
    """A copy of the weights and of the optimizer's state between two epochs.

    Args:
        module: the classifier's model.
        optimizer: its optimizer.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._module, self._optimizer = module, optimizer
        self._weights: Mapping[str, Tensor] = {}
        self._state: dict[str, Any] = {}
        self.origin = ""
        self.keep("")

    def keep(self, origin: str) -> None:
        """Take a copy of the present state.

        Args:
            origin: what the weights are, for a message; empty for those before the fit.
        """
        self.origin = origin
        self._weights = {name: value.detach().clone() for name, value in self._module.state_dict().items()}
        self._state = copy.deepcopy(self._optimizer.state_dict())

    def put_back(self) -> None:
        """Restore the state of the last copy."""
        self._module.load_state_dict(self._weights)
        self._optimizer.load_state_dict(self._state)


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
