"""One scale for the losses of all methods, so that one learning rate means the same for each."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from fairart.engine.processes import Processes
from fairart.policies import ClassWeighting
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["sum_of_coefficients", "unit_terms"]


def unit_terms(terms: LossTerms) -> LossTerms:
    """The same terms with every loss of every sample 1: what a weighting makes of them is the sum of its coefficients.

    Args:
        terms: a batch's losses.
    """
    one = torch.ones_like(terms.natural)
    return dataclasses.replace(
        terms,
        natural=one,
        adversarial=one,
        boundary=None if terms.boundary is None else one,
        extra=None if terms.extra is None else terms.extra_terms * one,
        adversarial_logits=terms.adversarial_logits.detach(),
        clean_logits=None if terms.clean_logits is None else terms.clean_logits.detach(),
    )


def sum_of_coefficients(weighting: ClassWeighting, terms: LossTerms, labels: Tensor, processes: Processes) -> Tensor:
    """What the coefficients of a sample's terms sum to, in the mean over the whole batch; a scalar without gradient.

    Every weighting is linear in the losses, so combining losses of 1 gives this number; a weighting that chooses its weights by
    the losses of the batch gives those of equal losses. Nothing is read from the device.

    Args:
        weighting: how the batch is weighed.
        terms: its losses.
        labels: (n,) true classes.
        processes: who shares the batch.
    """
    with torch.no_grad():
        local = weighting.combine(unit_terms(terms), labels)
        number = local.new_tensor([float(len(labels))])
        both = processes.reduce_(torch.cat([(local * number).reshape(1), number]))
    return both[0] / both[1]
