"""What one epoch of training measured: the statistics that policies read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.statistics.by_value import ComparedByValue
from fairart.statistics.confusion_matrix import ConfusionMatrix

__all__ = ["EpochStatistics", "ValidationStatistics"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidationStatistics(ComparedByValue):
    """What one pass over the validation data measured, in eval mode.

    Args:
        clean: clean predictions.
        robust: predictions under attack.
        natural_loss: (K,) mean cross-entropy of each class on clean data; None unless a policy asked.
        boundary_loss: (K,) mean KL between adversarial and clean predictions; None unless a policy asked.
    """

    clean: ConfusionMatrix
    robust: ConfusionMatrix
    natural_loss: FloatArray | None = None
    boundary_loss: FloatArray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochStatistics(ComparedByValue):
    """What one epoch measured; policies read it between epochs.

    Args:
        epoch: number of the epoch that ended, from 0.
        robust: predictions on the batches that were trained on, the logits of the training step itself.
        nb_epochs: length of the whole run, so that a policy can start after a share of it.
        clean: predictions on the clean training batches; None unless a policy or ``clean_statistics`` asks for them.
        validation: the validation pass; None unless a policy asked or validation data was given.
        mean_probabilities: (K, K) mean softmax output over class i's training samples; None unless a policy asked.
    """

    epoch: int
    robust: ConfusionMatrix
    nb_epochs: int = 0
    clean: ConfusionMatrix | None = None
    validation: ValidationStatistics | None = None
    mean_probabilities: FloatArray | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON."""
        plain: dict[str, Any] = {"epoch": self.epoch, "robust": self.robust.to_list()}
        if self.clean is not None:
            plain["clean"] = self.clean.to_list()
        if self.validation is not None:
            plain["validation_clean"] = self.validation.clean.to_list()
            plain["validation_robust"] = self.validation.robust.to_list()
        return plain
