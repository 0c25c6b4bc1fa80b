"""One evaluation by several processes: those that ``torchrun`` started, some of our own, or some on a Ray cluster."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult
from fairart.runs.build import resolved_device
from fairart.runs.devices import join, leave, start
from fairart.runs.evaluating import Request, prepare
from fairart.runs.evaluation import Budget
from fairart.runs.folders import EVALUATION
from fairart.runs.joined import joined_size
from fairart.runs.ray_evaluation import on_ray

__all__ = ["shared"]

Evaluation = Callable[..., EvaluationResult]
"""Takes its own arguments, ``output``, ``request`` and ``fabric``; writes the file of the result in the first process."""


def shared(
    evaluation: Evaluation,
    *,
    request: Request,
    budget: Budget,
    output: str | os.PathLike[str],
    device: str,
    **arguments: Any,
) -> EvaluationResult:
    """Evaluate in so many processes as the request says, here or on a Ray cluster, or in those of ``torchrun``.

    Args:
        evaluation: a function of a module.
        request: its request.
        budget: of the attacks, unless the request has its own.
        output: folder of the result.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        **arguments: its other arguments, which can be sent to another process.

    Raises:
        UnknownNameError: no such attack, or another part of the request.
        OptionError: a bad option, no such device, not so many devices, or another number of processes than ``torchrun`` started.
        RuntimeError: a process of our own failed, or was killed.
    """
    arguments["output"] = output
    joined, folder = joined_size(), Path(output).expanduser()
    if joined > 1:
        if request.devices not in (1, joined):
            raise OptionError(f"devices {request.devices}: {joined} processes were started for this evaluation")
        return _joined(evaluation, request, arguments, device)
    if request.devices == 1 and request.ray is None:
        return evaluation(**arguments, request=request, fabric=None)
    # Errors come before processes are started. A surrogate is loaded there.
    prepare(request, budget, surrogate=lambda path: path)
    if request.ray is not None:
        there = dataclasses.replace(request, ray=None, verbose=False)
        job = {"evaluation": evaluation, "request": there, "arguments": arguments, "device": device}
        on_ray(_joined, job, folder=folder, processes=request.devices, options=request.ray)
    else:
        start(
            _in_new_process,
            evaluation,
            request,
            arguments,
            device=resolved_device(device),
            devices=request.devices,
            advice="The same command goes on from what was finished, with any number of --devices",
        )
    return EvaluationResult.load(folder / EVALUATION)


def _joined(evaluation: Evaluation, request: Request, arguments: dict[str, Any], device: str) -> EvaluationResult:
    """Evaluate with the processes of a launcher, one at least."""
    size = joined_size()
    request = dataclasses.replace(request, devices=size)
    if size == 1:
        return evaluation(**arguments, request=request, fabric=None)
    result = _in_process(join(resolved_device(device)), evaluation, request, arguments)
    leave()
    return result


def _in_process(fabric: Any, evaluation: Evaluation, request: Request, arguments: dict[str, Any]) -> EvaluationResult:
    if fabric.global_rank > 0:
        # The first process speaks and writes for all.
        request = dataclasses.replace(request, verbose=False, restart=False)
    return evaluation(**arguments, request=request, fabric=fabric)


def _in_new_process(fabric: Any, evaluation: Evaluation, request: Request, arguments: dict[str, Any]) -> None:
    _in_process(fabric, evaluation, request, arguments)
