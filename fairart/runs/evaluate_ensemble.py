"""Several runs evaluated as one classifier: attacks go through all of them at once."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairart.datasets import Dataset
from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult
from fairart.models.ensemble import COMBINATIONS, Combination, Ensemble
from fairart.runs import build
from fairart.runs.config import RunConfig
from fairart.runs.data_memory import at_most_free
from fairart.runs.evaluating import Request, carry_out, prepare
from fairart.runs.evaluation import Budget
from fairart.runs.folders import WEIGHTS, RunError, check_evaluation_output, read_config
from fairart.runs.outliers import UNSEEN
from fairart.runs.run import load_run
from fairart.runs.shared_evaluation import shared
from fairart.runs.weights import WeightsAbout, load_weights, read_about, read_scaling

__all__ = ["evaluate_ensemble"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Member:
    """A run that takes part: its folder as it was given, and what stands in it."""

    name: str
    folder: Path
    config: RunConfig
    about: WeightsAbout


def evaluate_ensemble(
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    combine: Combination = "probabilities",
    request: Request | None = None,
) -> EvaluationResult:
    """Evaluate runs as one classifier on the test images of the first run's data set, and write ``evaluation.json``.

    The result has the disagreement of the members, and under ``config["ensemble"]`` each member's folder, method, seed and the
    SHA-256 of its weights. ``fairart compare``, ``report`` and ``plot`` take the folder like that of a run.

    Args:
        folders: of the runs, two or more.
        output: folder of the file; created if it does not exist. An earlier evaluation in it is replaced.
        combine: ``"probabilities"`` or ``"logits"``, whose mean the ensemble takes.
        request: attacks, corruptions and their settings. The budget is by default that of the members, if all have the same.

    Raises:
        RunError: a folder is no finished run, is given twice, or was trained for other classes or images than the first.
        OptionError: fewer than two runs, an unknown ``combine``, members of different budgets without ``eps``, or bad options.
        UnknownNameError: no such attack or corruption.
        FileExistsError: the output has a run, or is a file.
        EvaluationError: an attack did nothing.
    """
    asked = request or Request()
    if combine not in COMBINATIONS:
        raise OptionError(f"ensemble must be one of {', '.join(COMBINATIONS)}, got {combine!r}")
    members = _members(folders)
    for member in members:
        build.load_plugins(member.config, missing_ok=True)
    return shared(
        _evaluate_ensemble,
        request=asked,
        budget=_budget(members, asked),
        output=output,
        device=asked.device or members[0].config.device,
        folders=folders,
        combine=combine,
    )


def _evaluate_ensemble(
    *,
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    combine: Combination,
    request: Request,
    fabric: Any,
) -> EvaluationResult:
    asked = request
    members = _members(folders)
    budget = _budget(members, asked)
    folder = check_evaluation_output(output)
    first = members[0].config
    for member in members:
        build.load_plugins(member.config, missing_ok=True)
    asked = dataclasses.replace(asked, data_root=asked.data_root or first.data_root)
    device = build.resolved_device(asked.device or first.device)
    prepared = prepare(asked, budget, surrogate=lambda path: load_run(path, device=device).classifier)
    notes = _notes(members)
    if asked.verbose:
        for note in notes:
            print(f"fairart: {note}", file=sys.stderr)
    data = build.build_dataset(at_most_free(first, device=device, processes=asked.devices))
    ensemble = _load(members, data, combine, device)
    about = {
        "dataset": first.dataset,
        "ensemble": {"combine": combine, "members": [_record(member) for member in members], "notes": notes},
    }
    wanted = asked.ood is not None and UNSEEN in asked.ood.sets.values()
    unseen = build.unseen_images(first) if wanted else None
    return carry_out(prepared, ensemble.classifier(), data, folder, device=device, about=about, unseen=unseen, fabric=fabric)


def _members(folders: Sequence[str | os.PathLike[str]]) -> list[_Member]:
    """Read what is known of each run without its data, and refuse what cannot be one classifier."""
    if len(folders) < 2:
        raise OptionError(f"an ensemble has two runs or more, got {len(folders)}")
    found: list[_Member] = []
    for given in folders:
        path = Path(given).expanduser()
        if path.resolve() in [member.folder.resolve() for member in found]:
            raise RunError(f"{str(given)!r} is given twice: every member of an ensemble is a run of its own")
        config = read_config(path)
        found.append(_Member(name=str(given), folder=path, config=config, about=read_about(path / WEIGHTS)))
    first = found[0]
    for member in found[1:]:
        for what, one, other in (
            ("images", first.about.input_shape, member.about.input_shape),
            ("classes", first.about.classes, member.about.classes),
        ):
            if one != other:
                raise RunError(
                    f"members of an ensemble must have the same {what}: {first.name!r} has {_short(one)}, "
                    f"{member.name!r} has {_short(other)}"
                )
    return found


def _short(values: tuple[Any, ...]) -> str:
    if all(isinstance(value, int) for value in values):
        return f"shape {values}"
    names = ", ".join(map(str, values[:5]))
    return f"{len(values)} ({names}{', ...' if len(values) > 5 else ''})"


def _budget(members: Sequence[_Member], asked: Request) -> Budget:
    """The budget that all members were trained for."""
    first = members[0].config
    same_norm = all(str(member.config.norm) == str(first.norm) for member in members)
    same_eps = same_norm and all(member.config.eps == first.eps for member in members)
    if not same_eps and asked.eps is None and asked.attacks:
        trained = ", ".join(f"{member.name} {member.config.eps:g} ({member.config.norm})" for member in members)
        raise OptionError(f"the members were trained for different budgets: {trained}. Set the budget of the attacks with --eps")
    same_step = all(member.config.eps_step == first.eps_step for member in members)
    return Budget(
        first.eps if same_eps else None,
        first.eps_step if same_eps and same_step else None,
        first.norm if same_norm else "inf",
    )


def _notes(members: Sequence[_Member]) -> list[str]:
    """Sentences about members whose data set is not that of the first: its test images may be among their training images."""
    first = members[0]

    def data_of(config: RunConfig) -> tuple[Any, ...]:
        return config.dataset, config.options.get("dataset", {})

    return [
        f"{member.name} was trained on {member.config.dataset!r} with other settings than {first.name} "
        f"({first.config.dataset!r}), whose test images are used: make sure that it was not trained on them"
        for member in members[1:]
        if data_of(member.config) != data_of(first.config)
    ]


def _load(members: Sequence[_Member], data: Dataset, combine: Combination, device: str) -> Ensemble:
    classifiers = []
    for member in members:
        path = member.folder / WEIGHTS
        classifier = build.build_classifier(member.config, data, device=device, scaling=read_scaling(path, data))
        load_weights(classifier.model, path)
        classifiers.append(classifier)
    return Ensemble(classifiers, combine=combine, names=[member.name for member in members])


def _record(member: _Member) -> dict[str, Any]:
    checksum = hashlib.sha256((member.folder / WEIGHTS).read_bytes()).hexdigest()
    return {
        "run": member.name,
        "trainer": member.config.trainer,
        "model": member.config.model,
        "dataset": member.config.dataset,
        "seed": member.config.seed,
        "sha256": checksum,
    }
