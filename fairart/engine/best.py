"""The epoch that was best on held-out images, kept beside the last one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fairart.engine.history import EpochRecord
from fairart.execution import KeepBest

__all__ = ["BestEpoch"]


class BestEpoch:
    """The weights of the epoch with the highest accuracy under PGD on validation data; of equals, the first.

    Robust accuracy on held-out images often falls in the last epochs (robust overfitting; Rice et al., ICML 2020). The weights
    are those of the epoch itself, not averaged ones.

    Args:
        criterion: ``"average"`` or ``"worst-class"``.
    """

    def __init__(self, criterion: KeepBest) -> None:
        self.criterion = criterion
        self.epoch: int | None = None
        self.value = -1.0
        self.weights: dict[str, Tensor] = {}

    def __repr__(self) -> str:
        found = "none yet" if self.epoch is None else f"epoch {self.epoch}, {self.value:.1%}"
        return f"{type(self).__name__}({self.criterion}: {found})"

    def value_of(self, record: EpochRecord) -> float:
        """What the criterion makes of an epoch, in [0, 1].

        Args:
            record: of the epoch.

        Raises:
            ValueError: nothing was measured on validation data.
        """
        if record.validation is None:
            raise ValueError("the best epoch is chosen on validation data, got none")
        robust = record.validation.robust
        return robust.accuracy if self.criterion == "average" else robust.worst_class_accuracy()

    def look_at(self, record: EpochRecord, module: nn.Module) -> bool:
        """Keep a copy of the weights if the epoch is the best so far.

        Args:
            record: of the epoch that ended.
            module: with its weights.

        Returns:
            Whether it is.
        """
        value = self.value_of(record)
        if record.overfitted or not value > self.value:
            return False
        self.epoch, self.value = record.epoch, value
        self.weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        return True

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {"criterion": self.criterion, "epoch": self.epoch, "value": self.value, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take it back.

        Args:
            state: what :meth:`state_dict` gave.
            device: where the weights go.
        """
        self.epoch, self.value = state["epoch"], float(state["value"])
        self.weights = {name: tensor.to(device) for name, tensor in state["weights"].items()}
