"""What a model says about samples: the predicted class, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.engine.network import Network
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.running.partial import Columns

__all__ = ["Scores", "checked_logits", "predict", "scores_of"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

DIGITS = 6
"""Significant digits that are kept of a confidence: what float32 carries, and what is written to files."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What the model says about n samples.

    Args:
        predictions: (n,) predicted classes.
        confidences: (n,) softmax probability of the predicted class, in (0, 1].
    """

    predictions: IntArray
    confidences: FloatArray

    def columns(self) -> Columns:
        """Both by name."""
        return {"predictions": self.predictions, "confidences": self.confidences}

    def copy(self) -> Scores:
        """The same numbers in arrays of their own."""
        return Scores(self.predictions.copy(), self.confidences.copy())

    def put(self, indices: IntArray, scores: Scores) -> None:
        """Write the scores of some samples over those that stand there."""
        self.predictions[indices], self.confidences[indices] = scores.predictions, scores.confidences


def predict(network: Network, x: Tensor, indices: IntArray, nb_classes: int) -> Scores:
    """Score one batch.

    Args:
        network: the model, in eval mode.
        x: (b, *input_shape) inputs in clip values.
        indices: (b,) their positions in the data, for messages.
        nb_classes: K.

    Raises:
        EvaluationError: no logits of shape (b, K), or some that are not finite.
    """
    return scores_of(checked_logits(network, x, indices, nb_classes))


def checked_logits(network: Network, x: Tensor, indices: IntArray, nb_classes: int) -> Tensor:
    """The logits (b, K) of one batch; see :func:`predict` for arguments and errors."""
    with torch.no_grad():
        logits = network(x)
    if not isinstance(logits, Tensor) or logits.shape != (len(x), nb_classes):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise EvaluationError(f"the model must give logits of shape ({len(x)}, {nb_classes}) for this batch, got {shape}")
    finite = torch.isfinite(logits).all(dim=1)
    if not bool(finite.all()):
        where = int(indices[int((~finite).nonzero()[0])])
        raise EvaluationError(
            f"the model's logits are NaN or infinite for sample {where} ({int((~finite).sum())} of its batch in all). "
            "Likely causes: training that diverged, weights that were not loaded, an overflow in half precision"
        )
    return logits


def scores_of(logits: Tensor) -> Scores:
    """Predicted classes and their confidences.

    Args:
        logits: (b, K).
    """
    predictions = logits.argmax(dim=1)
    chosen = logits.double().softmax(dim=1).gather(1, predictions[:, None])[:, 0]
    return Scores(predictions.cpu().numpy().astype(np.int64), _rounded(chosen.cpu().numpy()))


def _rounded(shares: FloatArray) -> FloatArray:
    """Shares in (0, 1] to significant digits, each as the nearest number that is written with so many."""
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(shares)))
    rounded: FloatArray = np.rint(shares * scale) / scale
    return rounded
