"""The batch size of an evaluation where it is ``auto``, and what is said where a batch does not fit into memory."""

from __future__ import annotations

import functools
import math
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier

from fairart.datasets.memory import memory_text
from fairart.datasets.stored import Images
from fairart.engine.batch_search import AUTO, Room, Step, largest_batch
from fairart.engine.data import check_inputs
from fairart.engine.network import Network
from fairart.errors import NotEnoughMemoryError
from fairart.evaluation.attacks import AttackTarget
from fairart.evaluation.running.partial import batch_size_of
from fairart.evaluation.running.trying import try_batch
from fairart.runs.folders import PARTIAL

__all__ = ["explained", "found"]

MOST = {"cpu": 512, "cuda": 4096}
"""Largest batch that is tried: beyond it a batch is no faster for each image."""


def found(
    asked: int | Literal["auto"],
    classifier: PyTorchClassifier,
    x: Images,
    labels: npt.NDArray[np.int64],
    folder: Path,
    *,
    device: str,
    verbose: bool,
    fabric: Any = None,
) -> int:
    """The batch size of an evaluation: the number asked for, or the largest that fits into memory.

    An evaluation that was interrupted goes on with its own size where that fits, since what it kept is of that size.

    Args:
        asked: a number, or ``"auto"``.
        classifier: what is evaluated; it is left as it is.
        x: (n, *input_shape) images.
        labels: (n,) their labels.
        folder: of the result.
        device: ``"cpu"`` or ``"cuda"``.
        verbose: say on standard error what was found.
        fabric: a launched Fabric, whose first process tries for all; None for one process.

    Raises:
        NotEnoughMemoryError: not even one image fits.
        OptionError: a system that does not say how much memory a batch has taken.
    """
    processes = 1 if fabric is None else int(fabric.world_size)
    if asked != "auto":
        _tell_if_few(asked, len(labels), processes, verbose=verbose)
        return asked
    number: int | None = None
    if fabric is None or fabric.global_rank == 0:
        number = _tried(classifier, x, labels, folder, device=device, verbose=verbose, processes=processes)
    found: int | None = number if fabric is None else fabric.broadcast(number, src=0)
    assert found is not None
    return found


def _tell_if_few(size: int, number: int, processes: int, *, verbose: bool) -> None:
    """Say where devices will have nothing to do; another size would be another evaluation, so it is not chosen here."""
    batches = math.ceil(number / size)
    if verbose and batches < processes <= number:
        print(
            f"fairart: {number} images in batches of {size} are {batches} for {processes} devices, some of which have nothing to "
            f"do: --batch-size {math.ceil(number / processes)} gives each of them some",
            file=sys.stderr,
        )


def _tried(
    classifier: PyTorchClassifier,
    x: Images,
    labels: npt.NDArray[np.int64],
    folder: Path,
    *,
    device: str,
    verbose: bool,
    processes: int,
) -> int:
    step, room = _step(classifier, x, labels), Room(torch.device(device), processes=processes)
    kept = batch_size_of(folder / PARTIAL)
    if kept is not None and room.holds(min(kept, len(labels)), step):
        number, why = kept, "that of the interrupted evaluation"
    else:
        # No more than gives every process a batch.
        most = min(MOST[device], math.ceil(len(labels) / processes))
        best = largest_batch(step, room, most=most)
        if best is None:
            raise NotEnoughMemoryError(
                f"batch_size {AUTO!r}: not even one image at a time fits into {memory_text(room.free)} of free memory"
            )
        number = best
        why = "the most that is tried" if best == most else f"the most that fits into {memory_text(room.free)} of free memory"
    if verbose:
        print(f"fairart: batch_size {AUTO}: {number}, {why}", file=sys.stderr)
    return number


def explained(
    failed: Exception,
    classifier: PyTorchClassifier,
    x: Images,
    labels: npt.NDArray[np.int64],
    folder: Path,
    *,
    device: str,
) -> NotEnoughMemoryError:
    """The error of an evaluation for which memory ran out: which batch would fit, and what is kept.

    Args:
        failed: what was raised; the memory of the failed batch is free.
        classifier: what is evaluated.
        x: (n, *input_shape) images.
        labels: (n,) their labels.
        folder: of the result.
        device: ``"cpu"`` or ``"cuda"``.
    """
    kept = ""
    if (folder / PARTIAL).is_dir():
        kept = ". What was finished is kept: with more memory the same command resumes"
    size = failed.batch_size if isinstance(failed, NotEnoughMemoryError) else None
    if size is None:
        first = str(failed).strip().partition("\n")[0]
        return NotEnoughMemoryError(f"memory ran out: {type(failed).__name__}: {first}{kept}")
    # The trial is of PGD, and another attack may have failed that takes more: half of the size at most.
    fits = _that_fits(classifier, x, labels, device, most=min(size // 2, len(labels)))
    hint = f"{fits} would: --batch-size {fits} or {AUTO}" if fits else "take a smaller one (--batch-size), or a smaller model"
    return NotEnoughMemoryError(f"{failed}; {hint}{kept}", batch_size=size)


def _step(classifier: PyTorchClassifier, x: Images, labels: npt.NDArray[np.int64]) -> Step:
    return functools.partial(try_batch, AttackTarget(classifier, Network(classifier)), check_inputs(x, classifier), labels)


def _that_fits(classifier: PyTorchClassifier, x: Images, labels: npt.NDArray[np.int64], device: str, *, most: int) -> int | None:
    if most < 1:
        return None
    try:
        return largest_batch(_step(classifier, x, labels), Room(torch.device(device)), most=most)
    except Exception:
        # The error that is being explained counts, whatever happens to its explanation.
        return None
