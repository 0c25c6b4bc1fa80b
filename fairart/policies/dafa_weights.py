"""Class weights of DAFA (Lee et al., ICLR 2024) as a pure function of class similarities."""

from __future__ import annotations

import numpy as np

from fairart.policies.base import FloatArray

__all__ = ["dafa_weights"]


def dafa_weights(similarity: FloatArray, strength: float = 1.0) -> FloatArray:
    """(K,) weights: harder classes take from the easier ones that they resemble (DAFA).

    W_i = 1; for each j != i: + strength * S_ij * S_jj where S_ii < S_jj, else - strength * S_ji * S_ii. What one class gains the
    other loses, so the sum stays K unless two diagonal entries are equal. A class that was absent has a zero row and weight 1.

    Args:
        similarity: (K, K) mean softmax probability of class j over class i's adversarial training samples.
        strength: lambda, >= 0 (1 for CIFAR-10, 1.5 for CIFAR-100 and STL-10).

    Returns:
        The weights as the paper has them; a class that others are mistaken for all the time can get a negative one, which the
        policies raise to 0.
    """
    own = np.diag(similarity)
    harder = own[:, None] < own[None, :]
    moved = np.where(harder, similarity * own[None, :], -similarity.T * own[:, None])
    np.fill_diagonal(moved, 0.0)
    weights: FloatArray = 1.0 + strength * moved.sum(axis=1)
    return weights
