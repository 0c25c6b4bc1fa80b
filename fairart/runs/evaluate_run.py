"""Evaluate a run on its test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairart.evaluation import EvaluationResult
from fairart.runs import build
from fairart.runs.config import RunConfig
from fairart.runs.evaluating import Request, carry_out, prepare
from fairart.runs.evaluation import Attack, Budget
from fairart.runs.folders import read_config
from fairart.runs.label_noise import read_label_noise, summary
from fairart.runs.outliers import UNSEEN
from fairart.runs.run import load_run
from fairart.runs.shared_evaluation import shared

__all__ = ["evaluate_run"]


def evaluate_run(folder: str | Path, attacks: Sequence[Attack] = ("pgd",), **options: Any) -> EvaluationResult:
    """Evaluate a run on its test images, class by class, and write ``evaluation.json`` into its folder.

    With ``devices`` above 1 it starts so many processes, or joins those of ``torchrun``, which share the images.

    Args:
        folder: of the run.
        attacks: registered names, or (name, options) pairs, with a ``label`` for a second setting of one attack. Where an attack
            has ``eps`` and ``eps_step``, they are the run's own by default.
        **options: the other fields of :class:`fairart.runs.evaluating.Request`. ``device`` is by default the run's own.

    Raises:
        RunError: the folder is not a complete run.
        UnknownNameError: no such attack or corruption.
        OptionError: options of an attack that is not run, or that it does not have; CUDA requested and not available.
        CorruptionFolderError: a damaged folder of corruptions, or one for other images or classes.
        MissingTexturesError: frost is requested, and its pictures are not installed.
        ValueError: bad severities, or a reference that does not fit.
        EvaluationError: an attack did nothing.
    """
    request = Request(attacks=attacks, **options)
    config = read_config(Path(folder).expanduser())
    build.load_plugins(config, missing_ok=True)
    return shared(_evaluate_run, request=request, budget=_budget(config), output=folder, device=request.device or config.device)


def _budget(config: RunConfig) -> Budget:
    return Budget(config.eps, config.eps_step, config.norm)


def _evaluate_run(*, output: str | Path, request: Request, fabric: Any) -> EvaluationResult:
    config = read_config(Path(output).expanduser())
    build.load_plugins(config, missing_ok=True)
    # Shifted test sets are looked for where the data of the run was.
    request = dataclasses.replace(request, data_root=request.data_root or config.data_root)
    where = build.resolved_device(request.device or config.device)
    prepared = prepare(request, _budget(config), surrogate=lambda path: load_run(path, device=where).classifier)
    run = load_run(output, device=where, processes=request.devices)
    about: dict[str, Any] = {"dataset": run.config.dataset, "trainer": run.config.trainer}
    noise = summary(read_label_noise(run.folder))
    if noise is not None:
        about["label_noise"] = noise
    wanted = request.ood is not None and UNSEEN in request.ood.sets.values()
    unseen = build.unseen_images(run.config) if wanted else None
    return carry_out(prepared, run.classifier, run.dataset, run.folder, device=where, about=about, unseen=unseen, fabric=fabric)
