"""Budgets and targets of each class over the epochs of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure

from fairart.reporting.histories import History, epsilon_table, target_table
from fairart.reporting.plots.heatmaps import heat_map

__all__ = ["epsilon_per_class_over_epochs", "target_distribution_over_epochs"]


def epsilon_per_class_over_epochs(
    *histories: History,
    base: float | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "Budget of each class over training",
) -> Figure:
    """Heat map of the budget that each class was trained with: classes down, epochs across; mean over runs.

    A heat map rather than lines, since ten lines of this kind cross and a hundred cannot be told apart. Up to 30 classes, the
    last epoch's budget stands at the right.

    Args:
        *histories: one a seed, each a list of :class:`~fairart.engine.history.EpochRecord` or of the dictionaries in
            ``history.jsonl``.
        base: the eps that class-wise budgets start from, marked in the colour bar; None marks nothing.
        class_names: K names; numbers by default.
        title: of the figure.

    Returns:
        The figure, with the data as the image of its first axes.

    Raises:
        ValueError: no epoch, or histories of other epochs or classes.
    """
    table, epochs = epsilon_table(histories)
    return heat_map(
        table, epochs, names=_names(class_names, len(table)), title=_over_seeds(title, histories),
        label="eps (in units of the input)", digits=3, low=None,
        mark=None if base is None else ("base", base),
    )  # fmt: skip


def target_distribution_over_epochs(
    *histories: History,
    class_names: Sequence[str] | None = None,
    title: str = "How often each class is aimed at",
) -> Figure:
    """Heat map of the probability that a training sample's attack aims at a class: classes down, epochs across.

    The mean over the training samples, each true class's row of probabilities counted as often as it has samples, and over
    runs. A line in the colour bar marks 1 / K, aiming at all classes alike. Epochs without planned targets stay white.

    Args:
        *histories: one a seed, each a list of :class:`~fairart.engine.history.EpochRecord` or of the dictionaries in
            ``history.jsonl``.
        class_names: K names; numbers by default.
        title: of the figure.

    Returns:
        The figure, with the data as the image of its first axes.

    Raises:
        ValueError: no epoch has planned targets, or histories of other epochs or classes.
    """
    table, epochs = target_table(histories)
    return heat_map(
        table, epochs, names=_names(class_names, len(table)), title=_over_seeds(title, histories),
        label="probability of being aimed at", digits=2, low=0.0,
        mark=("1/K", 1 / len(table)),
    )  # fmt: skip


def _names(names: Sequence[str] | None, nb_classes: int) -> list[str]:
    chosen = [str(index) for index in range(nb_classes)] if names is None else [str(name) for name in names]
    if len(chosen) != nb_classes:
        raise ValueError(f"class_names must be {nb_classes} names, got {len(chosen)}")
    return chosen


def _over_seeds(title: str, histories: Sequence[npt.ArrayLike | Any]) -> str:
    return title if len(histories) == 1 else f"{title} (mean of {len(histories)} seeds)"
