"""The study of a search: Optuna's, in a journal file that several processes share and a kill does not harm."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from fairart.errors import OptionError
from fairart.runs.lock import FolderInUseError, locked
from fairart.tuning.file import Search, Tuning

try:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import FrozenTrial, Trial, TrialState

    from fairart.tuning.startup import shares, value_at
except ImportError:  # pragma: no cover - said by open_study
    raise RuntimeError("a search needs Optuna: pip install 'fairart[tune]'") from None

__all__ = ["JOURNAL", "NAME", "REFUSED", "Claim", "Study", "open_study"]

JOURNAL = "journal.log"
NAME = "fairart"
ASKED = "fairart"
REFUSED = "refused"
"""Attribute of a trial whose settings fairart refused, with the reason; it does not count as a trial."""
MOST_REFUSED = 20
"""Refusals a trial that are too many: nearly everything in the space is refused."""
PATIENCE = 600.0
"""Seconds to wait for another process that draws a trial."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
# TPE draws fields that only some trials have in groups, which Optuna calls experimental.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning, message="Argument ``group``")


class _SystemLock:
    """Optuna's own lock is a file that a killed process leaves behind; the system releases this one."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


class _SeededByTrial(optuna.samplers.BaseSampler):
    """A sampler made anew for every draw, seeded by the trial's number: what it draws follows from the trials before alone.

    So a search that was killed goes on as if it had not been. The first draws of TPE are spread evenly over each range.
    """

    def __init__(self, search: Search) -> None:
        self.search = search

    @property
    def startup(self) -> int:
        """How many trials TPE draws without a model."""
        return min(10, max(4, self.search.trials // 4))

    def _seed(self, *words: object) -> int:
        text = "/".join(map(str, (self.search.seed, *words)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def _of(self, number: int, name: str = "") -> optuna.samplers.BaseSampler:
        seed = self._seed(number, name)
        if self.search.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=self.startup, multivariate=True, group=True, constant_liar=True
        )

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of(trial.number).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        sampler = self._of(trial.number)
        # The sampler groups parameters when it infers the space, and looks the groups up here.
        sampler.infer_relative_search_space(study, trial)
        return sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self.search.sampler == "tpe" and trial.number < self.startup:
            spread = shares(self.startup, np.random.default_rng(self._seed("startup", param_name)))
            return value_at(param_distribution, float(spread[trial.number]))
        return self._of(trial.number, param_name).sample_independent(study, trial, param_name, param_distribution)


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    if search.pruner == "none":
        return optuna.pruners.NopPruner()
    if search.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=2)
    # Nothing is compared with fewer than four others, nor before class accuracies are smoothed.
    return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=search.smooth, interval_steps=1)


@dataclass(frozen=True)
class Claim:
    """A trial that this process works on, as long as its folder is locked.

    Args:
        trial: Optuna's.
        folder: of the trial.
    """

    trial: Trial
    folder: Path


class Study:
    """The trials of a search.

    Args:
        tuning: the search.
        folder: with the journal.
        study: Optuna's.
    """

    def __init__(self, tuning: Tuning, folder: Path, study: optuna.Study) -> None:
        self.tuning, self.folder, self.study = tuning, folder, study

    def trials(self) -> list[FrozenTrial]:
        """All trials so far, by number."""
        return self.study.get_trials(deepcopy=False)

    def folder_of(self, number: int) -> Path:
        """Folder of a trial."""
        return self.folder / "trials" / f"{number:04d}"

    @contextlib.contextmanager
    def claimed(self) -> Iterator[Claim | None]:
        """Take a trial that a killed process left, else a new one; None where the budget is spent.

        Raises:
            OptionError: nearly all settings of the space are refused.
        """
        with contextlib.ExitStack() as held:
            with locked(self.folder, patience=PATIENCE, what="search"):
                number = self._left(held)
                if number is None and not self._spent():
                    number = self.study.ask().number
                    self._lock(held, number)
            yield None if number is None else Claim(self._trial(number), self.folder_of(number))

    def _left(self, held: contextlib.ExitStack) -> int | None:
        for trial in self.trials():
            if trial.state == TrialState.RUNNING:
                with contextlib.suppress(FolderInUseError):
                    self._lock(held, trial.number)
                    return trial.number
        return None

    def _lock(self, held: contextlib.ExitStack, number: int) -> None:
        folder = self.folder_of(number)
        folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(locked(folder, what="search"))

    def _trial(self, number: int) -> Trial:
        (found,) = (trial for trial in self.trials() if trial.number == number)
        return Trial(self.study, found._trial_id)

    def finished(self) -> bool:
        """Whether the budget is spent, and no trial is under way."""
        return self._spent() and all(trial.state != TrialState.RUNNING for trial in self.trials())

    def _spent(self) -> bool:
        search, trials = self.tuning.search, self.trials()
        refused = [trial.user_attrs[REFUSED] for trial in trials if REFUSED in trial.user_attrs]
        if len(refused) >= MOST_REFUSED * search.trials:
            raise OptionError(
                f"{self.tuning.source}: {len(refused)} settings of the space were refused, the last one: {refused[-1]}"
            )
        if sum(trial.state != TrialState.FAIL for trial in trials) >= search.trials:
            return True
        trained = sum(trial.user_attrs.get("epochs", 0) for trial in trials)
        return search.total_epochs is not None and trained >= search.total_epochs


def open_study(tuning: Tuning, folder: Path) -> Study:
    """The study in a folder, begun if there is none.

    Args:
        tuning: the search.
        folder: it must exist.

    Raises:
        OptionError: the folder has the study of another search; the message says what differs.
    """
    path = folder / JOURNAL
    lock = _SystemLock(folder / ".journal.lock")
    with locked(folder, patience=PATIENCE, what="search"):
        _cut_torn_line(path, lock)
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]  # acquire and release
        study = _begun_or_loaded(storage, tuning.search)
        before = study.user_attrs.get(ASKED)
        if before is None:
            study.set_user_attr(ASKED, tuning.to_dict())
        elif before != tuning.to_dict():
            raise OptionError(
                f"{tuning.source}: {str(folder)!r} has the study of another search "
                f"({_difference(before, tuning.to_dict())}): take another folder (--output)"
            )
    return Study(tuning, folder, study)


def _begun_or_loaded(storage: JournalStorage, search: Search) -> optuna.Study:
    how: dict[str, Any] = {"study_name": NAME, "storage": storage, "sampler": _SeededByTrial(search), "pruner": _pruner(search)}
    # Asked for first: creating a study that is there writes a line to the journal each time.
    if NAME in optuna.get_all_study_names(storage):
        return optuna.load_study(**how)
    maximise = optuna.study.StudyDirection.MAXIMIZE
    return optuna.create_study(**how, directions=[maximise] * (2 if search.objective == "pareto" else 1))


def _cut_torn_line(path: Path, lock: _SystemLock) -> None:
    """A process that is killed while it writes leaves half a line, which would spoil the next one."""
    lock.acquire()
    try:
        text = path.read_bytes() if path.exists() else b""
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            os.truncate(path, whole)
    finally:
        lock.release()


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for part in now:
        for name in dict.fromkeys([*before.get(part, {}), *now[part]]):
            old, new = before.get(part, {}).get(name, "nothing"), now[part].get(name, "nothing")
            if old != new:
                return f"{part}: {name} was {old}, is {new}"
    return "its settings differ"
