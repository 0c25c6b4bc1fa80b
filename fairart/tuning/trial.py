"""One trial: drawn, trained, judged on held-out images, and told to the study."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

from optuna.trial import Trial, TrialState

from fairart.datasets import Dataset
from fairart.engine import TrainingDivergedError
from fairart.engine.overfitting import CatastrophicOverfittingError
from fairart.errors import OptionError, PluginError
from fairart.files import write_text
from fairart.runs.config import RunConfig
from fairart.runs.recorder import Observer
from fairart.runs.run import train_run
from fairart.trainers.base import FairnessTrainer
from fairart.tuning.file import Tuning
from fairart.tuning.held_out import HeldOut, Line, score
from fairart.tuning.study import REFUSED, Claim, Study

__all__ = ["SETTINGS", "run_trial"]

DIVERGED = "diverged"
SETTINGS = "settings.json"


class _PrunedError(Exception):
    """Ends a training from within an observer."""


class _Draws:
    """Optuna's trial as what a space picks with."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def choose(self, name: str, values: tuple[Any, ...]) -> Any:
        """One of some values, by their text: Optuna stores only plain ones."""
        labels = [str(value) for value in values]
        return values[labels.index(str(self.trial.suggest_categorical(name, labels)))]

    def number(self, name: str, low: float, high: float, *, whole: bool, log: bool, step: float | None) -> float | int:
        """A number of a range."""
        if whole:
            return self.trial.suggest_int(name, int(low), int(high), log=log, step=int(step or 1))
        return self.trial.suggest_float(name, low, high, log=log, step=step)


def run_trial(study: Study, claim: Claim) -> None:
    """Run a trial, or what is left of it.

    Settings that fairart refuses end it as failed and do not count. Training that diverges counts with accuracies of 0.

    Args:
        study: the search.
        claim: the trial, locked.
    """
    trial, tuning = claim.trial, study.tuning
    picked = tuning.space.pick(tuning.base, _Draws(trial))
    write_text(claim.folder / SETTINGS, json.dumps(picked, indent=1) + "\n")
    lines: list[Line] = []

    def observers(trainer: FairnessTrainer, data: Dataset) -> Sequence[Observer]:
        return [_Reporting(HeldOut(trainer, data, claim.folder, _report(tuning, trial)), lines)]

    state, problem = TrialState.COMPLETE, ""
    try:
        config = tuning.config(picked)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train_run(config, claim.folder / "run", resume=True, verbose=False, observers=observers)
    except (TrainingDivergedError, CatastrophicOverfittingError) as error:
        problem = str(error)
    except PluginError as error:
        if not isinstance(error.__cause__, _PrunedError):
            raise
        state = TrialState.PRUNED
    except (OptionError, ValueError) as error:
        trial.set_user_attr(REFUSED, " ".join(str(error).split()))
        study.study.tell(trial, state=TrialState.FAIL)
        return
    _tell(study, trial, lines, state, problem)


class _Reporting:
    """Passes everything on to the held-out measurement, and shares its lines."""

    def __init__(self, held_out: HeldOut, lines: list[Line]) -> None:
        self.held_out, self.lines = held_out, lines

    def start(self, history: Sequence[Any]) -> None:
        self.held_out.start(history)
        self.lines[:] = self.held_out.lines

    def epoch(self, record: Any) -> None:
        try:
            self.held_out.epoch(record)
        finally:
            self.lines[:] = self.held_out.lines

    def end(self) -> None:
        self.held_out.end()


def _report(tuning: Tuning, trial: Trial) -> Any:
    def report(lines: Sequence[Line]) -> None:
        if tuning.search.pruner == "none":
            return
        step = len(lines)
        if step not in trial.storage.get_trial(trial._trial_id).intermediate_values:
            trial.report(score(lines, tuning.search).values(tuning.search)[0], step)
        if step < _epochs(tuning, trial) and trial.should_prune():
            raise _PrunedError

    return report


def _epochs(tuning: Tuning, trial: Trial) -> int:
    return int(trial.params.get("epochs", tuning.base.get("epochs", RunConfig.declared()["epochs"].default)))


def _tell(study: Study, trial: Trial, lines: Sequence[Line], state: TrialState, problem: str) -> None:
    search = study.tuning.search
    figures = {"average": 0.0, "worst_class": 0.0, "clean_average": 0.0, "clean_worst_class": 0.0}
    values: tuple[float, ...] = (0.0,) * len(study.study.directions)
    if not problem:
        found = score(lines, search)
        figures, values = found.to_dict(), found.values(search)
    elif search.floor is not None:
        values = (-search.floor,)
    about = {**figures, "epochs": len(lines), "seconds": round(sum(line["seconds"] for line in lines), 3)}
    for name, value in {**about, **({DIVERGED: problem} if problem else {})}.items():
        trial.set_user_attr(name, value)
    if state == TrialState.PRUNED:
        study.study.tell(trial, state=state)
    else:
        study.study.tell(trial, list(values))
