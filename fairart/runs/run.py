"""One run: train by a config into a folder, and read the folder back."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from art.estimators.classification import PyTorchClassifier

from fairart.datasets import Dataset
from fairart.engine import Checkpointing, EpochRecord
from fairart.engine.shortage import shortage_explained
from fairart.errors import OptionError
from fairart.files import remove_leftovers
from fairart.runs import build
from fairart.runs.adjusting import apply_adjustment
from fairart.runs.batch_size import as_begun, explained, found, whole
from fairart.runs.config import RunConfig, check_names
from fairart.runs.data_memory import at_most_free, settled
from fairart.runs.devices import join, leave, start
from fairart.runs.folders import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    HISTORY,
    LABEL_NOISE,
    RUN_FILES,
    UNREADABLE,
    WEIGHTS,
    RunError,
    belongs_to,
    check_output,
    check_unchanged,
    clear,
    read_config,
)
from fairart.runs.joined import joined_size
from fairart.runs.label_noise import read_label_noise, summary, write_label_noise
from fairart.runs.loggers import build_loggers, check_loggers
from fairart.runs.model_settings import published
from fairart.runs.optimising import Schedule
from fairart.runs.recorder import HistoryFile, Observer, observed
from fairart.runs.unreadable import unreadable_of_all, write_unreadable
from fairart.runs.weights import load_weights, read_scaling, save_weights
from fairart.trainers.base import FairnessTrainer

__all__ = ["LoadedRun", "TrainedRun", "load_run", "train_run"]


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run that has been trained.

    Args:
        folder: where its files are.
        config: the complete configuration of the run.
        dataset: what it was trained on.
        trainer: the trainer after ``fit``.
        finished_before: whether there was nothing left to train.
    """

    folder: Path
    config: RunConfig
    dataset: Dataset
    trainer: FairnessTrainer
    finished_before: bool = False

    @property
    def classifier(self) -> PyTorchClassifier:
        """The trained classifier; with averaging it carries the averaged weights."""
        return self.trainer.get_classifier()

    @property
    def label_noise(self) -> dict[str, Any] | None:
        """The noise of the training labels and which wrong ones were learnt, by class; None where there was no noise."""
        return summary(read_label_noise(self.folder))

    @property
    def history(self) -> list[EpochRecord]:
        """One record an epoch."""
        return self.trainer.history


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run read back from its folder.

    Args:
        folder: where its files are.
        config: the run.
        classifier: the trained classifier.
        dataset: the data set, both splits.
        history: the lines of ``history.jsonl``.
    """

    folder: Path
    config: RunConfig
    classifier: PyTorchClassifier
    dataset: Dataset
    history: list[dict[str, Any]]


class _RunFolder:
    """Replaces an earlier run once the trainer has accepted its data, so that a run that cannot start deletes nothing."""

    def __init__(self, folder: Path, config: RunConfig, trainer: FairnessTrainer, data: Dataset, *, verbose: bool) -> None:
        self.folder, self.config, self.trainer, self.data, self.verbose = folder, config, trainer, data, verbose

    def start(self, history: Sequence[EpochRecord]) -> None:
        """Write the config, and clear the folder unless the run is resumed."""
        if self.trainer.resumed_from is None:
            clear(self.folder, keep_config=True)
        elif self.verbose:
            print(f"fairart: resuming from {self.trainer.resumed_from}", file=sys.stderr)
        by_model = published(self.config)
        if by_model is not None and self.verbose:
            print(f"fairart: {by_model}", file=sys.stderr)
        if self.data.storage and self.verbose:
            print(f"fairart: {self.data.name}: {self.data.storage}", file=sys.stderr)
        for name in RUN_FILES:
            remove_leftovers(self.folder / name)
        self.config.save(self.folder / CONFIG)
        if not (self.folder / LABEL_NOISE).exists():
            write_label_noise(self.folder, self.config, self.data, held_out=self.trainer.held_out)

    def epoch(self, record: EpochRecord) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""


MakeObservers = Callable[[FairnessTrainer, Dataset], Sequence[Observer]]
"""Makes observers of a run once its trainer and its data are there."""


def train_run(
    config: RunConfig,
    output: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    verbose: bool = True,
    observers: MakeObservers | None = None,
) -> TrainedRun:
    """Train by a config and write the run to a folder.

    The folder has ``config.yaml``, ``history.jsonl``, ``model.safetensors``, ``checkpoint/`` and the files of the loggers.

    With ``devices`` above 1 it starts so many processes, or joins those of ``torchrun``, and every batch is shared among them.

    Names, options and data are checked before anything is written. With ``resume`` an interrupted run continues from its last
    checkpoint, and on the CPU its result is bit for bit that of a run without interruption. On one machine, training again
    from ``config.yaml`` repeats the run bit for bit.

    Args:
        config: the run.
        output: its folder.
        overwrite: replace the run in the folder.
        resume: continue the run in the folder; start it if there is none; only read it if it is finished.
        verbose: show a progress bar on a terminal.
        observers: called after every epoch, besides those of the run's own files; for a run in one process.

    Raises:
        FileExistsError: the folder has a run already.
        RunError: the run to resume was started with other settings, or its checkpoints are missing.
        CheckpointError: the checkpoints to resume from are damaged or foreign, or another process is training there.
        CheckpointWriteError: a checkpoint could not be written, on a full disk for example.
        NotEnoughMemoryError: a batch does not fit into memory; the message says which would.
        UnknownNameError: an unknown name.
        OptionError: a bad option of a part, the data set or the model, a logger whose packages are missing, or a warm start that
            would be overwritten.
        ValueError: data that cannot be trained on.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    if overwrite and config.warm_start is not None and belongs_to(config.warm_start, output):
        raise OptionError(
            f"the run would overwrite {config.warm_start!r}, which it starts from, and could not be resumed or repeated: choose "
            "another output"
        )
    config = as_begun(config, output, resume=resume)
    asked: dict[str, Any] = {"overwrite": overwrite, "resume": resume, "verbose": verbose}
    joined = joined_size()
    if observers is not None and max(joined, config.devices) > 1:
        raise OptionError(f"observers follow a run in one process, got {max(joined, config.devices)} processes")
    if joined > 1:
        if config.devices not in (1, joined):
            raise OptionError(f"devices {config.devices}: {joined} processes were started for this run")
        config = dataclasses.replace(config, devices=joined)
        done = _train(config, output, **asked, fabric=join(build.resolved_device(config.device)))
        leave()
        return done
    if config.devices == 1:
        return _train(config, output, **asked, observers=observers)
    # Checked here first: errors come before processes are started, and a data set is downloaded once.
    check_output(output, overwrite=overwrite, resume=resume)
    config, data, _ = _prepare(config, None, verbose=verbose)
    build.build_extra_data(config, data)
    start(
        _train_in_process,
        config.to_dict(),
        str(output),
        asked,
        device=build.resolved_device(config.device),
        devices=config.devices,
        advice="--resume goes on from the last checkpoint, with any number of --devices; --gradient-accumulation-steps needs "
        "less memory",
    )
    return dataclasses.replace(_train(config, output, resume=True, verbose=False), finished_before=False)


def _train_in_process(fabric: Any, config: dict[str, Any], output: str, asked: dict[str, Any]) -> None:
    _train(RunConfig.from_mapping(config), output, **asked, fabric=fabric)


def _prepare(config: RunConfig, fabric: Any, *, verbose: bool) -> tuple[RunConfig, Dataset, FairnessTrainer]:
    check_loggers(config.logger)
    build.load_plugins(config)
    check_names(config)
    build.trainer_class(config)
    device = build.resolved_device(config.device)
    config = settled(config, fabric, device=device)
    data = build.build_dataset(config, groups=True)
    config = found(config, data, device=device, fabric=fabric, verbose=verbose)
    classifier = build.build_classifier(config, data, device=device)
    return config, data, build.build_trainer(config, classifier, data, fabric=fabric)


def _train(
    config: RunConfig,
    output: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    verbose: bool = True,
    fabric: Any = None,
    observers: MakeObservers | None = None,
) -> TrainedRun:
    folder = check_output(output, overwrite=overwrite, resume=resume)
    config, data, trainer = _prepare(config, fabric, verbose=verbose)
    first = trainer.processes.rank == 0
    extra = build.build_extra_data(config, data)
    full = build.resolved_config(config, data)
    going_on = resume and (folder / CONFIG).exists()
    finished = going_on and (folder / WEIGHTS).exists()
    if going_on:
        check_unchanged(folder, full)
    if finished and not any((folder / CHECKPOINTS).glob("checkpoint-*.safetensors")):
        raise RunError(f"the run in {str(folder)!r} is finished and its checkpoints are missing: there is nothing to resume")
    # No process writes to the folder before all have read it.
    trainer.processes.wait()
    folder.mkdir(parents=True, exist_ok=True)
    following: list[Observer] = []
    if first:
        following += [_RunFolder(folder, full, trainer, data, verbose=verbose and not finished), HistoryFile(folder / HISTORY)]
        # A finished run is read; its epochs are not logged again.
        following += [] if finished else build_loggers(full, folder, data.classes)
        following += [] if observers is None else observers(trainer, data)
    checkpoint = Checkpointing(
        folder / CHECKPOINTS, every_minutes=config.checkpoint_every_minutes, resume=going_on, overwrite=overwrite
    )
    device, size = build.resolved_device(config.device), trainer.processes.size
    fuller = shortage_explained(lambda error: explained(error, full, data, folder, device=device, processes=size))
    # cuDNN may otherwise choose another algorithm in the next run, and sum in another order.
    repeatable = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    with fuller, observed(trainer, following), repeatable:
        trainer.fit(
            data.x_train,
            data.y_train,
            batch_size=whole(config),
            nb_epochs=config.epochs,
            extra_data=extra,
            extra_share=config.extra_share,
            groups=build.build_groups(config, data),
            scheduler=Schedule(config),
            scheduler_interval="batch" if Schedule(config).by_batch else "epoch",
            seed=config.seed,
            verbose=verbose,
            checkpoint=checkpoint,
        )
    passed_over = unreadable_of_all(data, trainer.processes)
    if first:
        write_unreadable(passed_over, folder / UNREADABLE, verbose=verbose)
        _save(full, trainer, data, folder, verbose=verbose)
    return TrainedRun(folder=folder, config=full, dataset=data, trainer=trainer, finished_before=finished)


def _save(config: RunConfig, trainer: FairnessTrainer, data: Dataset, folder: Path, *, verbose: bool) -> None:
    """Write the weights; with ``keep_best`` those of the best epoch as well, as a run of their own in the folder ``best``."""
    classifier, best = trainer.get_classifier(), trainer.best
    last = {name: value.clone() for name, value in classifier.model.state_dict().items()}
    if best is not None:
        classifier.model.load_state_dict(best.weights)
        if config.checkpoint == "last":
            own = dataclasses.replace(config, checkpoint="best")
            place = folder / BEST
            place.mkdir(exist_ok=True)
            own.save(place / CONFIG)
            shutil.copyfile(folder / HISTORY, place / HISTORY)
            apply_adjustment(own, classifier, data, verbose=verbose)
            save_weights(classifier.model, data, place / WEIGHTS, epoch=best.epoch, criterion=best.criterion, value=best.value)
            write_label_noise(place, own, data, classifier=classifier, held_out=trainer.held_out)
            classifier.model.load_state_dict(last)
    apply_adjustment(config, classifier, data, verbose=verbose)
    write_label_noise(folder, config, data, classifier=classifier, held_out=trainer.held_out)
    # The weights last: a folder that has them is a finished run.
    save_weights(classifier.model, data, folder / WEIGHTS)


def load_run(folder: str | Path, *, device: str | None = None, processes: int = 1) -> LoadedRun:
    """Read a run that :func:`train_run` left.

    Args:
        folder: its folder.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``; by default the run's own.
        processes: of this machine that read it at the same time, and share the memory.

    Raises:
        RunError: the folder is no run, training was not finished, or a file is damaged or foreign.
        ValueError: the data set of the run can no longer be loaded.
    """
    path = Path(folder).expanduser()
    config = read_config(path)
    history = _read_history(path / HISTORY)
    build.load_plugins(config, missing_ok=True)
    where = build.resolved_device(device or config.device)
    data = build.build_dataset(at_most_free(config, device=where, processes=processes))
    scaling = read_scaling(path / WEIGHTS, data)
    classifier = build.build_classifier(config, data, device=where, scaling=scaling)
    load_weights(classifier.model, path / WEIGHTS)
    return LoadedRun(folder=path, config=config, classifier=classifier, dataset=data, history=history)


def _read_history(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise RunError(f"{path} is missing")
    records: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged: it is not text") from error
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise RunError(f"{path} is damaged in line {number}: {error}") from error
        if not isinstance(record, dict) or "epoch" not in record:
            raise RunError(f"{path} is not a history of fairart: line {number} is not an epoch")
        records.append(record)
    return records
