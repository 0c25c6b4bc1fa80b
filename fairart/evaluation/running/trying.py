"""One real batch of an evaluation, to see what memory it takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from fairart.attacks import frozen, pgd
from fairart.datasets.stored import Images
from fairart.engine.network import restored_modes
from fairart.engine.randomness import isolated_random_state
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.running.batches import input_batch

__all__ = ["try_batch"]

ITERATIONS = 2
"""Steps of the attack: further ones take no more memory."""
EPS = 1 / 255
"""Budget, in the units of the input; memory does not depend on it."""


def try_batch(target: AttackTarget, x: Images, labels: npt.NDArray[np.int64], size: int) -> None:
    """Attack a batch by PGD in eval mode, and predict it: the passes that every attack consists of.

    Weights, modes and global random states stay as they were.

    Args:
        target: what is evaluated.
        x: (n, *input_shape) checked images.
        labels: (n,) their labels.
        size: samples of the batch; at most n.
    """
    network, rows = target.network, np.arange(size)
    alone = isolated_random_state(0, network.device)
    with restored_modes(network, training=False), frozen(network), alone:
        batch = input_batch(target, x, rows)
        y = torch.as_tensor(labels[rows], device=network.device)
        attacked = pgd(network, batch, y, eps=EPS, eps_step=EPS, max_iter=ITERATIONS, clip_values=network.clip_values)
        with torch.no_grad():
            network(attacked)
