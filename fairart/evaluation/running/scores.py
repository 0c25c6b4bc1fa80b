"""What a model says about samples: the predicted class, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.engine.network import Network
from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.running.partial import Columns
from fairart.models.ensemble import Ensemble, combined_logits

__all__ = ["Scores", "checked_logits", "ensemble_of", "predict", "scores_of", "vote_columns"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

NOT_MORE = frozenset({"predictions", "confidences", "moved", "excess"})

DIGITS = 6
"""Significant digits that are kept of a confidence: what float32 carries, and what is written to files."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What the model says about n samples.

    Args:
        predictions: (n,) predicted classes.
        confidences: (n,) softmax probability of the predicted class, in (0, 1].
        more: name -> (n,) further confidences, such as scaled ones, and the predictions of the members of an ensemble.
    """

    predictions: IntArray
    confidences: FloatArray
    more: Columns = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """What :meth:`columns` gave; columns of an attack are left out."""
        more = {name: values for name, values in columns.items() if name not in NOT_MORE}
        return cls(columns["predictions"], columns["confidences"], more)

    def columns(self) -> Columns:
        """All by name."""
        return {"predictions": self.predictions, "confidences": self.confidences, **self.more}

    def copy(self) -> Scores:
        """The same numbers in arrays of their own."""
        return Scores.of({name: values.copy() for name, values in self.columns().items()})

    def put(self, indices: IntArray, scores: Scores) -> None:
        """Write the scores of some samples over those that stand there."""
        for name, values in scores.columns().items():
            self.columns()[name][indices] = values


def predict(
    network: Network,
    x: Tensor,
    indices: IntArray,
    nb_classes: int,
    scale: Callable[[FloatArray], Columns] | None = None,
    *,
    votes: bool = False,
) -> Scores:
    """Score one batch.

    Args:
        network: the model, in eval mode.
        x: (b, *input_shape) inputs in clip values.
        indices: (b,) their positions in the data, for messages.
        nb_classes: K.
        scale: further confidences of logits (b, K), or None.
        votes: of an ensemble, the predictions of each member too, under the names of :func:`vote_columns`.

    Raises:
        EvaluationError: no logits of shape (b, K), or some that are not finite.
    """
    ensemble = ensemble_of(network)
    if not votes or ensemble is None:
        return scores_of(checked_logits(network, x, indices, nb_classes), scale)
    # The members once, for their own predictions and for those of the ensemble.
    with torch.no_grad():
        members = ensemble.member_logits(network.preprocessed(x))
        logits = _checked(combined_logits(members, ensemble.combine), len(x), indices, nb_classes)
    found = scores_of(logits, scale)
    guesses = [one.argmax(dim=1).cpu().numpy().astype(np.int64) for one in members]
    return Scores(found.predictions, found.confidences, {**found.more, **dict(zip(vote_columns(network), guesses, strict=True))})


def ensemble_of(network: Network) -> Ensemble | None:
    """The model, if it is an ensemble.

    Args:
        network: the model with its preprocessing.
    """
    return network.module if isinstance(network.module, Ensemble) else None


def vote_columns(network: Network) -> list[str]:
    """Names of the members' predictions among the columns; none where the model is no ensemble.

    Args:
        network: the model with its preprocessing.
    """
    ensemble = ensemble_of(network)
    return [] if ensemble is None else [f"vote_{place}" for place in range(len(ensemble.names))]


def checked_logits(network: Network, x: Tensor, indices: IntArray, nb_classes: int) -> Tensor:
    """The logits (b, K) of one batch; see :func:`predict` for arguments and errors."""
    with torch.no_grad():
        logits = network(x)
    return _checked(logits, len(x), indices, nb_classes)


def _checked(logits: Any, number: int, indices: IntArray, nb_classes: int) -> Tensor:
    if not isinstance(logits, Tensor) or logits.shape != (number, nb_classes):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise EvaluationError(f"the model must give logits of shape ({number}, {nb_classes}) for this batch, got {shape}")
    finite = torch.isfinite(logits).all(dim=1)
    if not bool(finite.all()):
        where = int(indices[int((~finite).nonzero()[0])])
        raise EvaluationError(
            f"the model's logits are NaN or infinite for sample {where} ({int((~finite).sum())} of its batch in all). "
            "Likely causes: training that diverged, weights that were not loaded, an overflow in half precision"
        )
    return logits


def scores_of(logits: Tensor, scale: Callable[[FloatArray], Columns] | None = None) -> Scores:
    """Predicted classes and their confidences.

    Args:
        logits: (b, K).
        scale: further confidences of logits, or None.
    """
    predictions = logits.argmax(dim=1)
    chosen = logits.double().softmax(dim=1).gather(1, predictions[:, None])[:, 0]
    more = {} if scale is None else scale(logits.double().cpu().numpy())
    return Scores(
        predictions.cpu().numpy().astype(np.int64),
        _rounded(chosen.cpu().numpy()),
        {name: _rounded(values) for name, values in more.items()},
    )


def _rounded(shares: FloatArray) -> FloatArray:
    """Shares in (0, 1] to significant digits, each as the nearest number that is written with so many."""
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(shares)))
    rounded: FloatArray = np.rint(shares * scale) / scale
    return rounded
