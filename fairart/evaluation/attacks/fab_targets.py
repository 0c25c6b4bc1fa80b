"""FAB-T of the AutoAttack package with several target classes in one batch.

The package tries the target classes one after the other, each on the few samples that are still right. A pass over 15 samples
takes about as long as one over 30, and so do the hundred small operations around it. Targeted FAB draws no random numbers and
treats each row of a batch by itself, so several targets side by side find what they find one after the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["try_targets_together"]

ROWS = 128
"""Rows of a batch up to which further targets join it: from about there on, a pass takes as long per row as in a larger batch."""


def try_targets_together(fab: Any, *, rows: int = ROWS) -> None:
    """Let a ``FABAttack_PT`` of pyautoattack try several targets at once in its ``perturb``.

    Its own ``attack_single_run`` does the attack; the loop over the targets around it is another one. Untargeted runs and those
    with restarts, which draw random numbers, are left to the package.

    Args:
        fab: the attack; changed in place.
        rows: of a batch, at most, unless one target has more.
    """
    package_perturb = fab.perturb

    def perturb(x: Tensor, y: Tensor) -> Tensor:
        if fab.targeted and fab.n_restarts == 1:
            found = _targeted(fab, x, y, rows)
            if found is not None:
                return found
        result: Tensor = package_perturb(x, y)
        return result

    fab.perturb = perturb


@torch.no_grad()
def _targeted(fab: Any, x: Tensor, y: Tensor, most: int) -> Tensor | None:
    """What ``fab.perturb(x, y)`` gives; None where rounding made a sample wrong that was right in another batch."""
    found, logits = x.clone(), fab._predict_fn(x)
    right, order = logits.max(dim=1)[1] == y, logits.sort(dim=-1)[1]
    # The package counts from the most likely class, which is the label.
    ranks = list(range(2, fab.n_target_classes + 2))
    while ranks and bool(right.any()):
        place = right.nonzero().squeeze(1)
        together = max(1, most // len(place))
        group, ranks = ranks[:together], ranks[together:]
        targets = torch.cat([order[place, -rank] for rank in group])
        images, labels = x[place].repeat(len(group), *[1] * (x.ndim - 1)), y[place].repeat(len(group))
        tried = _single_run(fab, images, labels, targets)
        if tried is None:
            return None
        fooled = (fab._predict_fn(tried).max(dim=1)[1] != labels) & (_distance(fab, tried, images) <= fab.eps)
        # From the last to the first: the first target that fools a sample is the one that counts.
        for new, hit in zip(reversed(tried.chunk(len(group))), reversed(fooled.chunk(len(group))), strict=True):
            found[place[hit]] = new[hit]
            right[place[hit]] = False
    return found


def _single_run(fab: Any, x: Tensor, y: Tensor, targets: Tensor) -> Tensor | None:
    """One run with a target of its own for each row; None where it left out rows."""
    gradients, complete = fab.get_diff_logits_grads_batch_targeted, True

    def of_own_targets(images: Tensor, labels: Tensor, common: Tensor) -> Any:
        nonlocal complete
        complete = complete and len(images) == len(targets)
        return gradients(images, labels, targets if complete else common)

    fab.get_diff_logits_grads_batch_targeted, fab.target_class = of_own_targets, 2
    try:
        found: Tensor = fab.attack_single_run(x, y, use_rand_start=False, is_targeted=True)
    finally:
        del fab.get_diff_logits_grads_batch_targeted
    return found if complete else None


def _distance(fab: Any, one: Tensor, other: Tensor) -> Tensor:
    """(n,) in the norm of the attack, computed as the package does."""
    apart = (one - other).reshape(len(one), -1)
    return apart.abs().max(dim=1)[0] if fab.norm == "Linf" else (apart**2).sum(dim=-1).sqrt()
