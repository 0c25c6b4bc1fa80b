"""The runs of a report, grouped into methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairart.evaluation import EvaluationResult
from fairart.evaluation.results.canonical import canonical

__all__ = ["Run", "group_methods", "paired"]

NO_SETTING = ("seed", "data_root", "device", "plugins_dir")
"""Keys of a config in which two runs of one method may differ: they change the random draws or the machine, not the method."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One trained run, or an evaluation alone.

    Args:
        name: such as its folder; no two runs of a report have the same.
        trainer: the method's registered name, or the name of the file if that is not known.
        config: all settings of the run; empty for an evaluation alone.
        history: the epochs as ``history.jsonl`` holds them.
        result: its evaluation; None if there is none yet.
        notices: sentences for the reader, such as that it is still being trained.
        label_noise: the noise of its training labels (``noise``, ``noisy``, ``by_class``); None where there was none.
    """

    name: str
    trainer: str
    config: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    result: EvaluationResult | None = None
    notices: tuple[str, ...] = ()
    label_noise: Mapping[str, Any] | None = None

    @property
    def seed(self) -> int | None:
        """Seed of the training; None if it is not known."""
        return self.config.get("seed")

    @property
    def settings(self) -> dict[str, Any]:
        """The config without the keys that may differ between runs of one method."""
        return {key: canonical(value) for key, value in self.config.items() if key not in NO_SETTING}


def group_methods(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs into methods: runs that differ only in the seed are one method.

    Args:
        runs: in the order of the methods.

    Returns:
        Label -> its runs. Labels of two methods of one trainer name their differing settings: ``"fair-tat (eps=0.1)"``.

    Raises:
        ValueError: two runs have the same name, or two runs of one method have the same seed.
    """
    _check_names(runs)
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if (run.trainer, run.settings) == (group[0].trainer, group[0].settings):
                group.append(run)
                break
        else:
            groups.append([run])
    for group in groups:
        _check_seeds(group)
    return dict(zip(_labels(groups), groups, strict=True))


def _check_names(runs: Sequence[Run]) -> None:
    # Results and notes are found by the name of the run.
    for name, count in Counter(run.name for run in runs).items():
        if count > 1:
            raise ValueError(f"expected a name of its own for each run, but {count} runs are named {name!r}: rename them")


def _check_seeds(group: Sequence[Run]) -> None:
    seen: dict[int, Run] = {}
    for run in group:
        if run.seed is None:
            continue
        if run.seed in seen:
            raise ValueError(
                f"{seen[run.seed].name} and {run.name} are of one method, with the same settings and seed {run.seed}: "
                "they would count as two seeds; leave one out"
            )
        seen[run.seed] = run


def _labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    labels = []
    for group in groups:
        trainer, settings = group[0].trainer, group[0].settings
        others = [other[0].settings for other in groups if other is not group and other[0].trainer == trainer]
        apart = [key for key, value in settings.items() if any(other.get(key, value) != value for other in others)]
        labels.append(f"{trainer} ({', '.join(f'{key}={_short(settings[key])}' for key in apart)})" if apart else trainer)
    # A run without a config has nothing else to tell it apart by. Names of runs are unique, but a trainer may be called so too.
    while len(set(labels)) < len(labels):
        counts = Counter(labels)
        labels = [
            label if counts[label] == 1 else f"{label} [{group[0].name}]" for label, group in zip(labels, groups, strict=True)
        ]
    return labels


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return (
            " ".join(f"{key}.{name}={_short(item)}" for key, inner in value.items() for name, item in dict(inner).items())
            or "none"
        )
    return str(value)


def paired(first: Sequence[Run], second: Sequence[Run]) -> tuple[list[tuple[Run, Run]], str]:
    """Pair the runs of two methods.

    If all seeds are known, by the seed: the same seed means the same initial weights and batches. Otherwise in the given order,
    if both methods have the same number of runs.

    Args:
        first: runs of one method.
        second: runs of another.

    Returns:
        The pairs, and the reason if runs are left out or none are paired; else an empty text.
    """
    if len(first) == len(second) == 1:
        return [(first[0], second[0])], ""
    if any(run.seed is None for run in (*first, *second)):
        if len(first) != len(second):
            return [], f"not tested: {len(first)} and {len(second)} runs of unknown seeds cannot be paired"
        return list(zip(first, second, strict=True)), "seeds unknown, paired in the order given"
    by_seed = {run.seed: run for run in second}
    pairs = [(run, by_seed[run.seed]) for run in first if run.seed in by_seed]
    if not pairs:
        return [], "not tested: no seed in common"
    left_out = len(first) + len(second) - 2 * len(pairs)
    return pairs, f"tested on the {len(pairs)} seed{'s' * (len(pairs) != 1)} in common" if left_out else ""
