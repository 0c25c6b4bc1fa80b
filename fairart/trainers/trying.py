"""One real step of a trainer on a few samples, to see what memory it takes."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.datasets.stored import Images, StoredImages
from fairart.engine.data import check_pair
from fairart.engine.data.sources import ArraySource
from fairart.engine.execution import executed
from fairart.engine.method import Budget
from fairart.engine.network import restored_modes
from fairart.engine.randomness import isolated_random_state
from fairart.statistics import Groups
from fairart.trainers.base import FairnessTrainer
from fairart.trainers.given import Pair, training_groups

__all__ = ["try_step"]

ITERATIONS = 3
"""Steps of the inner attack in a trial, at most: further ones take no more memory."""
MEASURED = 256
"""Samples that measures on held-out data take at once, at least."""


def try_step(
    trainer: FairnessTrainer,
    x: Images,
    y: npt.NDArray[np.int64],
    size: int,
    *,
    nb_epochs: int,
    extra_data: Pair | None = None,
    extra_share: float = 0.7,
    groups: npt.ArrayLike | Groups | None = None,
    seed: int = 0,
) -> None:
    """Train an epoch of one batch: inner attack, backward pass, optimizer, statistics, and what is measured after it.

    It is the last epoch of a run, since parts of a method may set in late. The trainer is changed by it: hand in one that is not
    used for anything else. No plugin is told and no checkpoint is written; global random states and modes stay as they were.

    Args:
        trainer: made for this.
        x: (n, *input_shape) training images.
        y: (n,) their labels.
        size: samples of the batch, drawn from them; at most n.
        nb_epochs: of the run.
        extra_data: see :meth:`fairart.trainers.FairnessTrainer.fit`.
        extra_share: see there.
        groups: see there.
        seed: of all that is drawn.
    """
    chosen = np.random.default_rng(seed).permutation(len(y))
    with warnings.catch_warnings():
        # A handful of samples lacks classes, and more that would be worth saying of a whole run.
        warnings.simplefilter("ignore")
        # A pass over all training images takes them in larger batches than the steps may.
        number = max(size, MEASURED) if "training_pass" in trainer.method.needs else size
        rows = chosen[:number]
        images, labels = _drawn(trainer, x, y, rows)
        held = _drawn(trainer, x, y, chosen[: _held_out(trainer, len(y), size)]) if trainer._needs_validation() else None
        grouped = training_groups(groups, len(y), trainer.method, trainer.augmentation, extra=extra_data is not None)
        grouped = None if grouped is None else grouped.of_samples(rows)
        extra = None if extra_data is None else _first(extra_data, size)
        trainer.seed, trainer.budget = seed, _short(trainer)
        source = ArraySource(trainer._with_extra(images, labels, extra, extra_share, grouped, seed=seed), size)
        engine = trainer._engine(seed, None, "epoch")
        trainer._tell_class_counts(source)
        trainer._start_policies()
        # Compiled for every size, a step would take a minute; it needs no more memory than this one.
        execution = dataclasses.replace(trainer.execution, compile=False)
        alone = isolated_random_state(seed, trainer._network.device)
        try:
            with alone, restored_modes(trainer._network), executed(engine, execution):
                engine.run(
                    source,
                    first_epoch=nb_epochs - 1,
                    nb_epochs=nb_epochs,
                    measures=trainer._measures(source, held, seed),
                    on_epoch_end=lambda record: None,
                    verbose=False,
                )
        finally:
            engine.clear_gradients()


def _drawn(trainer: FairnessTrainer, x: Images, y: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Any:
    # As arrays, also where images are on disk: a batch of them is in memory anyway.
    return check_pair(np.asarray(x[rows]), y[rows], trainer._classifier)


def _held_out(trainer: FairnessTrainer, number: int, size: int) -> int:
    """Samples that are measured at once after an epoch."""
    whole = math.ceil(trainer.hold_out * number) + int(trainer._classifier.nb_classes)
    return min(max(size, MEASURED), whole)


def _first(extra: Pair, size: int) -> Pair:
    images, labels = extra[0], np.asarray(extra[1])
    rows = np.arange(min(size, len(labels)))
    return (images if isinstance(images, StoredImages) else np.asarray(images))[rows], labels[rows]


def _short(trainer: FairnessTrainer) -> Budget:
    budget = trainer.budget
    return dataclasses.replace(budget, max_iter=min(ITERATIONS, budget.max_iter))
