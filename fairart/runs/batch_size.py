"""The batch size of a training run where it is ``auto``, and what is said where a batch does not fit into memory."""

from __future__ import annotations

import dataclasses
import functools
import gc
import sys
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from fairart.datasets import Dataset
from fairart.datasets.memory import memory_text
from fairart.datasets.stored import Images, StoredImages
from fairart.engine.batch_search import AUTO, Room, largest_batch
from fairart.errors import NotEnoughMemoryError
from fairart.runs import build
from fairart.runs.config import RunConfig
from fairart.runs.folders import CONFIG, resume_hint
from fairart.trainers.trying import try_step

__all__ = ["AUTO", "as_begun", "explained", "found", "largest", "whole"]

Extra = tuple[Images, npt.NDArray[Any]] | None

MOST = {"cpu": 256, "cuda": 1024}
"""Largest batch for each process that is tried: beyond it a step is no faster for each image, and an epoch has few steps."""
LEAST = 2
"""Samples for each process: batch-norm cannot train on one."""


def whole(config: RunConfig) -> int:
    """The batch size of a config in which it is a number."""
    assert isinstance(config.batch_size, int), "found() decides it before anything is trained"
    return config.batch_size


def as_begun(config: RunConfig, output: str | Path, *, resume: bool) -> RunConfig:
    """The config with the batch size that the run in the folder was begun with, where it is resumed and asks for ``auto``.

    Args:
        config: the run.
        output: its folder.
        resume: whether it is resumed.
    """
    path = Path(output).expanduser() / CONFIG
    if config.batch_size != AUTO or not resume or not path.exists():
        return config
    return dataclasses.replace(config, batch_size=RunConfig.load(path).batch_size)


def found(config: RunConfig, data: Dataset, *, device: str, fabric: Any = None, verbose: bool = False) -> RunConfig:
    """The config with a number for its batch size; as it is where it names one.

    The first process tries, since all must come to the same number.

    Args:
        config: the run.
        data: its data set.
        device: ``"cpu"`` or ``"cuda"``.
        fabric: a launched Fabric of several processes, or None.
        verbose: say on standard error what was found.

    Raises:
        NotEnoughMemoryError: not even the smallest batch fits.
        OptionError: a system that does not say how much memory a step has taken.
    """
    if config.batch_size != AUTO:
        return config
    number: int | None = None
    failure: Exception | None = None
    if fabric is None or fabric.global_rank == 0:
        try:
            number = _tried(config, data, device=device, verbose=verbose)
        except Exception as error:
            failure = error
    if fabric is not None:
        # Also where it failed: the other processes wait for it.
        number, said = fabric.broadcast((number, None if failure is None else str(failure)), src=0)
        failure = failure or (None if said is None else RuntimeError(f"the first process found no batch size: {said}"))
    if failure is not None:
        raise failure
    assert number is not None
    return dataclasses.replace(config, batch_size=number)


def _tried(config: RunConfig, data: Dataset, *, device: str, verbose: bool) -> int:
    most, extra = min(MOST[device] * config.devices, len(data.y_train)), build.build_extra_data(config, data)
    number, room = largest(config, data, extra, device=device, most=most, reserved=_taken_by_images(config, data, extra, device))
    if number is None:
        raise NotEnoughMemoryError(
            f"batch_size {AUTO!r}: not even a batch of {LEAST * config.devices} fits into {memory_text(room.free)} of free "
            "memory: take a smaller model, or a device with more memory"
        )
    if verbose:
        why = "the most that is tried" if number == most else f"the most that fits into {memory_text(room.free)} of free memory"
        print(
            f"fairart: batch_size {AUTO}: {number}, {why}. The learning rate stays {config.lr:g}, it is not rescaled: another "
            "batch size changes what a method learns, so compare methods at one size",
            file=sys.stderr,
        )
    return number


def _taken_by_images(config: RunConfig, data: Dataset, extra: Extra, device: str) -> int:
    """Bytes that the training images will take on the device, in each process."""
    images = [data.x_train] if extra is None else [data.x_train, extra[0]]
    taken = sum(int(each.nbytes) for each in images if not isinstance(each, StoredImages))
    # Each process that is started reads them itself before it copies them.
    return 2 * taken if device == "cpu" and config.devices > 1 else taken


def largest(
    config: RunConfig, data: Dataset, extra: Extra, *, device: str, most: int, reserved: int = 0
) -> tuple[int | None, Room]:
    """The largest batch of a run whose step fits, and the memory that there was; None where not even the smallest does.

    Everything is made anew for the trial and dropped after it: weights, statistics of batch-norm, policies and random states of
    the run are not touched.

    Args:
        config: the run; its batch size is not looked at.
        data: its data set.
        extra: its extra images and their labels, or None.
        device: ``"cpu"`` or ``"cuda"``.
        most: largest batch that is tried.
        reserved: bytes that each process will take later.
    """
    own = dataclasses.replace(config, batch_size=LEAST)
    where, share = torch.device(device), config.devices
    room = Room(where, reserved=reserved, processes=share)
    trainer = build.build_trainer(own, build.build_classifier(own, data, device=device), data)
    step = functools.partial(
        try_step,
        trainer,
        data.x_train,
        data.y_train,
        nb_epochs=config.epochs,
        extra_data=extra,
        extra_share=config.extra_share,
        groups=build.build_groups(own, data),
        seed=config.seed,
    )
    least = min(LEAST, len(data.y_train))
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        each = largest_batch(step, room, most=max(least, most // share), least=least)
    del step, trainer
    gc.collect()
    return None if each is None else each * share, room


def explained(
    failed: Exception, config: RunConfig, data: Dataset, folder: Path, *, device: str, processes: int
) -> NotEnoughMemoryError:
    """The error of a run for which memory ran out: which batch would fit, and what of the run is kept.

    Args:
        failed: what was raised; the memory of the failed step is free.
        config: the run.
        data: its data set.
        folder: of the run.
        device: ``"cpu"`` or ``"cuda"``.
        processes: that share the run; where there are several, nothing is tried in the one that failed.
    """
    kept = resume_hint(folder)
    if not isinstance(failed, NotEnoughMemoryError):
        first = str(failed).strip().partition("\n")[0]
        return NotEnoughMemoryError(
            f"memory ran out outside of the training steps: {type(failed).__name__}: {first}. Free some, or keep images on disk "
            f"(--data-memory, for npy:, folder: and wds:){kept}"
        )
    fits = _that_fits(config, data, device) if processes == 1 else None
    hint = f"{fits} would: --batch-size {fits} or {AUTO}" if fits else f"take a smaller one: --batch-size {AUTO} finds it"
    if kept:
        kept = f". What was trained is kept, and with more memory goes on in batches of {whole(config)}{kept}"
    return NotEnoughMemoryError(f"{failed}; {hint}{kept}", batch_size=failed.batch_size)


def _that_fits(config: RunConfig, data: Dataset, device: str) -> int | None:
    most = min(whole(config), len(data.y_train)) - 1
    if most < LEAST:
        return None
    try:
        return largest(config, data, build.build_extra_data(config, data), device=device, most=most)[0]
    except Exception:
        # The error that is being explained counts, whatever happens to its explanation.
        return None
