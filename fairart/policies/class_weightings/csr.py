"""CSR: pairs of classes weighed by the first singular vectors of the confusion under attack."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_weightings.pairs import PairWeighting
from fairart.statistics import ConfusionMatrix

__all__ = ["ConfusionalSpectralWeighting", "spectral_pair_weights"]

LARGEST, SMALLEST = 2.0, 0.01
"""What the weights are rescaled to: from 0.01 to 2.01 (CSR program)."""


def spectral_pair_weights(training: ConfusionMatrix) -> FloatArray:
    """(K, K) weights G = u1 v1' of the errors' singular value decomposition, rescaled to [0.01, 2.01] (CSR).

    Rows are predicted classes, columns true ones. All are 1 where there are no errors, or where the outer product is flat.

    Args:
        training: rows true, columns predicted.
    """
    errors = training.counts.astype(np.float64).T
    np.fill_diagonal(errors, 0.0)
    left, _, right = np.linalg.svd(errors)
    # The outer product of both vectors has no sign to choose.
    outer: FloatArray = np.outer(left[:, 0], right[0])
    spread = outer.max() - outer.min()
    if not errors.any() or spread <= 1e-12:
        return np.ones_like(errors)
    weights: FloatArray = LARGEST * (outer - outer.min()) / spread + SMALLEST
    return weights


class ConfusionalSpectralWeighting(PairWeighting):
    """CSR: G[predicted, true] from the spectrum of the confusion matrix (Jin et al., ICLR 2025).

    Before every epoch the training set is attacked (PGD in eval mode), each true logit is lowered by a tenth of itself, and the
    errors are counted. The gradient of the spectral norm with respect to the confusion is the outer product of the first singular
    vectors: pairs in it gain weight. With trades: 0.7 CE(f(x), y) + beta KL + 0.3 G CE(f(x'), y).

    Program: the last term is a KL to the scaled one-hot label, the same up to a constant; its attack is PGD-10 on the augmented
    images. Here: on the images as they are, with the trainer's number of steps.

    Args:
        share: of the weighed cross-entropy.
        true_logit_cut: share of itself by which each true logit is lowered.
    """

    def __init__(
        self,
        *,
        share: Annotated[float, Option("share of the weighed cross-entropy", low=0, high=1, source="CSR 0.3")] = 0.3,
        true_logit_cut: Annotated[
            float, Option("share of itself by which each true logit is lowered", low=0, high=1, source="CSR program 0.1")
        ] = 0.1,
    ) -> None:
        super().__init__()
        self.share, self.true_logit_cut = share, true_logit_cut

    def pair_weights(self, training: ConfusionMatrix) -> FloatArray:
        """(K, K) rescaled outer product of the first singular vectors."""
        return spectral_pair_weights(training)
