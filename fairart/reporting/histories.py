"""What changed over training, as tables: classes down, epochs across. No plotting here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fairart.engine.history import EpochRecord

__all__ = ["History", "epsilon_table", "relabelled_table", "sampling_table", "target_table"]

History = Sequence["EpochRecord | Mapping[str, Any]"]
"""The epochs of one run: records, or the dictionaries that ``history.jsonl`` holds."""

FloatArray = npt.NDArray[np.float64]


def _plain(record: EpochRecord | Mapping[str, Any]) -> Mapping[str, Any]:
    return record if isinstance(record, Mapping) else record.to_dict()


def _mean_table(histories: Sequence[History], column: Callable[[Mapping[str, Any]], FloatArray]) -> tuple[FloatArray, list[int]]:
    """(K, epochs) mean over runs, and the numbers of the epochs."""
    tables, epochs = [], []
    for history in histories:
        records = [_plain(record) for record in history]
        if not records:
            raise ValueError("a history without an epoch cannot be plotted")
        columns = [column(record) for record in records]
        if len({len(values) for values in columns}) > 1:
            raise ValueError("the epochs of a history must have one number of classes")
        tables.append(np.stack(columns, axis=1))
        epochs.append([int(record["epoch"]) for record in records])
    if not tables:
        raise ValueError("expected at least one history")
    if any(numbers != epochs[0] or table.shape != tables[0].shape for numbers, table in zip(epochs, tables, strict=True)):
        raise ValueError("histories of several seeds must have the same epochs and classes")
    mean: FloatArray = np.mean(tables, axis=0)
    return mean, epochs[0]


def epsilon_table(histories: Sequence[History]) -> tuple[FloatArray, list[int]]:
    """Budgets (K, epochs), mean over runs, and the epochs' numbers.

    Args:
        histories: one a run.

    Raises:
        ValueError: no epoch, or runs of other epochs or classes.
    """
    return _mean_table(histories, lambda record: np.asarray(record["epsilons"], dtype=np.float64))


def sampling_table(histories: Sequence[History]) -> tuple[FloatArray, list[int]]:
    """Probability with which an epoch began to draw each class, (K, epochs), mean over runs, and the epochs' numbers.

    Args:
        histories: one a run.

    Raises:
        KeyError: an epoch in which every sample was drawn once.
        ValueError: no epoch, or runs of other epochs or classes.
    """
    return _mean_table(histories, lambda record: np.asarray(record["sampling"], dtype=np.float64))


def relabelled_table(histories: Sequence[History]) -> tuple[FloatArray, list[int]]:
    """Share of each given class that was trained with another label, (K, epochs), mean over runs, and the epochs' numbers.

    Args:
        histories: one a run; 0 in the epochs before labels were replaced.

    Raises:
        KeyError: no epoch in which labels were replaced.
        ValueError: no epoch, or runs of other epochs or classes.
    """
    if not any(_plain(record).get("relabelled") is not None for history in histories for record in history):
        raise KeyError("relabelled")

    def column(record: Mapping[str, Any]) -> FloatArray:
        found = record.get("relabelled")
        return np.zeros(len(record["epsilons"])) if found is None else np.asarray(found, dtype=np.float64)

    return _mean_table(histories, column)


def _aimed_at(record: Mapping[str, Any]) -> FloatArray:
    support = np.asarray(record["robust"], dtype=np.float64).sum(axis=1)
    if record["target_probabilities"] is None:
        return np.full(len(support), np.nan)
    share: FloatArray = support / support.sum() @ np.asarray(record["target_probabilities"], dtype=np.float64)
    return share


def target_table(histories: Sequence[History]) -> tuple[FloatArray, list[int]]:
    """Mean probability with which each class is aimed at, (K, epochs), and the epochs' numbers; NaN without planned targets.

    Args:
        histories: one a run.

    Raises:
        ValueError: no epoch has planned targets, or runs of other epochs or classes.
    """
    table, epochs = _mean_table(histories, _aimed_at)
    if np.isnan(table).all():
        raise ValueError("no epoch has planned targets: the training was untargeted, or chose targets sample by sample")
    return table, epochs
