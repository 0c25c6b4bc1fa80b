"""Scores of logits that say how much an input looks like the training data: larger means more in-distribution.

All are differentiable, so that an attack can follow their gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LOGIT_SCORES", "energy", "log_odds", "max_logit", "max_softmax", "max_softmax_margin", "negative_entropy"]


def max_softmax(logits: Tensor) -> Tensor:
    """Largest softmax probability, MSP (Hendrycks & Gimpel, ICLR 2017).

    Args:
        logits: (n, K).

    Returns:
        (n,) in [1 / K, 1].
    """
    return logits.softmax(dim=1).amax(dim=1)


def max_softmax_margin(logits: Tensor) -> Tensor:
    """The log-odds of the largest softmax probability, log(p / (1 - p)): orders inputs as :func:`max_softmax` does.

    Attacks follow this one: where the softmax is saturated, the gradient of p is zero and that of its log-odds is not.

    Args:
        logits: (n, K), K >= 2.

    Returns:
        (n,).
    """
    return log_odds(logits, logits.argmax(dim=1))


def log_odds(logits: Tensor, classes: Tensor) -> Tensor:
    """Log-odds of the softmax probability of one class each, z_c - logsumexp of the others.

    Args:
        logits: (n, K), K >= 2.
        classes: (n,).

    Returns:
        (n,).
    """
    place = classes[:, None]
    others = logits.scatter(1, place, -torch.inf)
    return logits.gather(1, place)[:, 0] - others.logsumexp(dim=1)


def max_logit(logits: Tensor) -> Tensor:
    """Largest logit (Hendrycks et al., ICML 2022).

    Args:
        logits: (n, K).

    Returns:
        (n,).
    """
    return logits.amax(dim=1)


def energy(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Negative free energy T logsumexp(z / T) (Liu et al., NeurIPS 2020, Eq. 4, whose E(x) has the other sign).

    Args:
        logits: (n, K).
        temperature: T > 0.

    Returns:
        (n,).
    """
    return temperature * (logits / temperature).logsumexp(dim=1)


def negative_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax in nats, with a minus sign (as in Macedo et al., 2021).

    Args:
        logits: (n, K).

    Returns:
        (n,) in [-log K, 0].
    """
    logs = logits.log_softmax(dim=1)
    return (logs.exp() * logs).sum(dim=1)


LOGIT_SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "energy": energy,
    "msp": max_softmax,
    "max-logit": max_logit,
    "entropy": negative_entropy,
}
"""Name -> score; all need nothing but the logits."""
