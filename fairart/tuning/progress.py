"""How far a search in a folder is, read without changing it."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from fairart.tuning.study import JOURNAL, NAME, REFUSED

__all__ = ["trials_so_far"]


def trials_so_far(folder: Path) -> tuple[int, int]:
    """How many trials of a search were begun, and how many of them have ended; refused settings do not count.

    Args:
        folder: of the search; it need not exist.
    """
    path = folder / JOURNAL
    if not path.is_file():
        return 0, 0
    storage = JournalStorage(JournalFileBackend(str(path)))
    if NAME not in optuna.get_all_study_names(storage):
        return 0, 0
    trials = optuna.load_study(study_name=NAME, storage=storage).get_trials(deepcopy=False)
    counting = [trial for trial in trials if REFUSED not in trial.user_attrs]
    return len(counting), sum(trial.state not in (TrialState.RUNNING, TrialState.WAITING) for trial in counting)
