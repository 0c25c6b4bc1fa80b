"""Mean loss of each class in a batch, over all processes that share it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["class_means", "weighted_class_means"]


def class_means(
    losses: Tensor, labels: Tensor, nb_classes: int, *, all_reduce: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """(K,) mean loss of each class, 0 for absent ones, and (K,) number of its samples in the whole batch; without gradient.

    Args:
        losses: (n,) of the samples.
        labels: (n,) classes.
        nb_classes: K.
        all_reduce: sums over the processes that share the batch.
    """
    losses = losses.detach().to(torch.promote_types(losses.dtype, torch.float32))
    both = losses.new_zeros(2, nb_classes)
    both[0].index_add_(0, labels, losses)
    both[1].index_add_(0, labels, torch.ones_like(losses))
    sums, counts = all_reduce(both).unbind()
    return sums / counts.clamp_min(1), counts


def weighted_class_means(losses: Tensor, labels: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    """sum_k p_k m_k over the classes' mean losses m, a scalar; of one process's samples, its summand times its share.

    Args:
        losses: (n,) of the samples.
        labels: (n,) classes.
        weights: (K,) p.
        counts: (K,) samples of each class in the whole batch.
    """
    # As a mean over samples, which is what the engine shares among processes.
    per_sample = (weights * counts.sum() / counts.clamp_min(1)).to(losses.dtype)
    return (per_sample[labels] * losses).mean()
