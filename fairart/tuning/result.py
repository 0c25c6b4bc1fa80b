"""What a search found: its trials, what is chosen, and how much each setting mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from fairart.tuning.study import REFUSED, Study

__all__ = ["FIGURES", "TrialRow", "TuneResult", "chosen_of", "importance_of", "line_of", "rows_of"]

FIGURES = ("worst_class", "average", "clean_worst_class", "clean_average")
STATES = {
    TrialState.COMPLETE: "whole",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "refused",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial.

    Args:
        number: from 0.
        state: ``"whole"``, ``"pruned"``, ``"diverged"``, ``"refused"`` or ``"running"``.
        settings: what was chosen: field -> value.
        figures: accuracies on held-out images in [0, 1], means over the last epochs.
        epochs: that it trained.
        seconds: that they took.
        detail: why it was refused or diverged.
    """

    number: int
    state: str
    settings: Mapping[str, Any]
    figures: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """The outcome of a search.

    Args:
        folder: where its files are.
        rows: all trials.
        chosen: numbers of the chosen trials: the best one, or those on the front with objective ``"pareto"``.
        importance: setting -> share of the differences between trials that it explains.
        leak: accuracies of the chosen trial's weights on held-out and on test images; None where that was not asked for.
        files: what was written.
        finished: whether the budget is spent and no trial is under way.
        search: what was searched, and how.
    """

    folder: Path
    rows: Sequence[TrialRow]
    chosen: Sequence[int]
    importance: Mapping[str, float]
    leak: Mapping[str, Any] | None
    files: Sequence[Path]
    finished: bool
    search: Mapping[str, Any] = field(default_factory=dict)

    def row(self, number: int) -> TrialRow:
        """The trial of a number."""
        return next(row for row in self.rows if row.number == number)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "output": str(self.folder),
            "search": dict(self.search),
            "finished": self.finished,
            "trials": [row.to_dict() for row in self.rows],
            "chosen": list(self.chosen),
            "importance": dict(self.importance),
            "leak_check": None if self.leak is None else dict(self.leak),
            "files": [str(path) for path in self.files],
        }


def _row(study: Study, trial: FrozenTrial) -> TrialRow:
    attributes = trial.user_attrs
    return TrialRow(
        number=trial.number,
        state="diverged" if attributes.get("diverged") else STATES[trial.state],
        settings=dict(trial.params),
        figures={name: attributes[name] for name in FIGURES if name in attributes},
        epochs=attributes.get("epochs", 0),
        seconds=attributes.get("seconds", 0.0),
        detail=str(attributes.get("diverged") or attributes.get(REFUSED) or ""),
    )


def rows_of(study: Study) -> list[TrialRow]:
    """Every trial of a study."""
    return [_row(study, trial) for trial in study.trials()]


def line_of(study: Study, number: int) -> str:
    """A trial in one line, for the terminal."""
    row = next(row for row in rows_of(study) if row.number == number)
    said = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.settings.items()
    )
    if row.detail:
        return f"trial {number}: {row.state} ({row.detail}); {said}"
    found = f"worst class {100 * row.figures['worst_class']:.1f} %, average {100 * row.figures['average']:.1f} %"
    return f"trial {number}: {found}{f', pruned after epoch {row.epochs}' if row.state == 'pruned' else ''}; {said}"


def chosen_of(study: Study) -> list[int]:
    """The best whole trial, or the front of both accuracies with objective ``"pareto"``.

    Of equals the one with the higher average is taken, then the first.

    Args:
        study: the search.
    """
    whole = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE and not trial.user_attrs.get("diverged")]
    if not whole:
        return []
    if study.tuning.search.objective != "pareto":
        return [max(whole, key=lambda trial: (trial.values[0], trial.user_attrs["average"], -trial.number)).number]
    front: list[FrozenTrial] = []
    for trial in sorted(whole, key=lambda trial: (-trial.values[0], -trial.values[1], trial.number)):
        if not front or trial.values[1] > front[-1].values[1]:
            front.append(trial)
    return [trial.number for trial in front]


def importance_of(study: Study) -> dict[str, float]:
    """Setting -> share of the variance between whole trials (fANOVA; Hutter et al., ICML 2014), over those that have it.

    Nothing where fewer than four trials have it, or it never changes. The shares of settings that not all trials have are each of
    the trials that have them, so they need not sum to 1.

    Args:
        study: the search.
    """
    whole = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    names = dict.fromkeys(name for trial in whole for name in trial.params)
    shared = [name for name in names if all(name in trial.params for trial in whole)]
    found: dict[str, float] = {}
    for group in ([shared] if shared else []) + [[name] for name in names if name not in shared]:
        having = [trial for trial in whole if all(name in trial.params for name in group)]
        if len(having) >= 4 and len({trial.user_attrs["worst_class"] for trial in having}) > 1:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            found |= optuna.importance.get_param_importances(
                study.study, evaluator=evaluator, params=group, target=lambda trial: float(trial.user_attrs["worst_class"])
            )
    return dict(sorted(found.items(), key=lambda item: -item[1]))
