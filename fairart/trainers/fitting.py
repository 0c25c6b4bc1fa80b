"""What a trainer does once its data is checked: policies, engine, checkpoints, averaged weights."""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from art.defences.trainer import Trainer
from art.estimators.classification import PyTorchClassifier

from fairart.attacks.steps import warn_short_steps
from fairart.datasets.stored import Images
from fairart.engine.accumulation import micro_batch_size
from fairart.engine.best import BestEpoch
from fairart.engine.checkpoints.checkpointing import Checkpointing, FitCheckpoints, opened
from fairart.engine.checkpoints.folder import CheckpointError
from fairart.engine.checkpoints.identity import augmentation_identity, classifier_identity, described, method_identity
from fairart.engine.checkpoints.packing import pack, unpack
from fairart.engine.checkpoints.snapshot import restore
from fairart.engine.data.augmentation import AnyAugmentation
from fairart.engine.data.sources import ArraySource, DeviceData, Source
from fairart.engine.data.streamed import on_device
from fairart.engine.execution import executed
from fairart.engine.history import EpochRecord, History
from fairart.engine.loop import Engine
from fairart.engine.measures import Measures
from fairart.engine.method import Budget, Method
from fairart.engine.network import Network, restored_modes
from fairart.engine.overfitting import OverfittingWatch
from fairart.engine.processes import ONE_PROCESS, Processes
from fairart.engine.randomness import Streams, isolated_random_state, set_global_random_state
from fairart.engine.scheduling import Interval, chosen_interval
from fairart.engine.shortage import memory_shortage
from fairart.engine.training_pass import TrainingPass
from fairart.engine.validation import ValidationAttack, Validator
from fairart.execution import Execution, OnOverfitting
from fairart.fingerprint import short_digest
from fairart.norms import norm_name
from fairart.plugins import get_plugin_manager, origin
from fairart.statistics import Groups
from fairart.trainers.copying import ClassifierState
from fairart.trainers.epoch_ends import EpochEnds
from fairart.trainers.given import check_run
from fairart.trainers.unused import warn_unused
from fairart.trainers.whole_epoch import WholeEpoch, say_what_is_left

__all__ = ["Fitting"]

Held = tuple[Images, npt.NDArray[np.int64]] | None


class Fitting(Trainer):  # type: ignore[misc]  # ART has no types
    """What :class:`fairart.trainers.FairnessTrainer` does once its data is checked; that class sets the attributes."""

    _classifier: PyTorchClassifier
    _network: Network
    _predicting: Network
    _start_weights: dict[str, torch.Tensor] | None
    method: Method
    budget: Budget
    execution: Execution
    augmentation: AnyAugmentation | None
    clean_statistics: bool
    on_overfitting: OnOverfitting
    best: BestEpoch | None
    """The epoch that was best on validation data; None unless ``keep_best`` is given."""
    history: History
    processes: Processes
    seed: int | None
    raw_weights: dict[str, torch.Tensor] | None
    resumed_from: str | None
    """Which checkpoint the last fit went on from, and where it stood; None where it began anew."""

    def __getstate__(self) -> dict[str, Any]:
        """Everything, for ``pickle`` and ``copy``; a copy trains in one process, without the Fabric of this trainer."""
        state = {**vars(self), "_classifier": ClassifierState(self._classifier), "processes": ONE_PROCESS}
        if self.method.attack is not None:
            raise TypeError(f"a trainer with attack={type(self.method.attack.attack).__name__} cannot be copied or pickled")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`__getstate__` gave."""
        self.__dict__.update(state)
        self._classifier = state["_classifier"].restored()
        for _, policy in self.method.policies():
            policy.all_reduce = self.processes.reduce_

    def __repr__(self) -> str:
        manager, budget = get_plugin_manager(), self.budget
        parts = ", ".join(f"{kind}={manager.name_of(policy)}" for kind, policy in self.method.policies())
        steps = f"eps={budget.eps:.4g}, eps_step={budget.eps_step:.4g}, max_iter={budget.max_iter}" + (
            "" if math.isinf(budget.norm) else ", norm=2"
        )
        return f"{type(self).__name__}({parts}; {steps}; {len(self.history)} epochs trained)"

    @contextlib.contextmanager
    def _opened(self, checkpoint: Checkpointing | None) -> Iterator[FitCheckpoints | None]:
        # The first process reads and writes for all.
        with contextlib.ExitStack() as stack:
            with self._refused_in_all():
                checkpoints = stack.enter_context(opened(checkpoint if self.processes.rank == 0 else None))
            yield checkpoints

    @contextlib.contextmanager
    def _refused_in_all(self) -> Iterator[None]:
        """An error of the first process is raised in all of them: otherwise the others would wait for it for ever."""
        error: Exception | None = None
        try:
            yield
        except Exception as caught:
            error = caught
        detail = self.processes.same(None if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        if detail is not None:
            raise CheckpointError(f"the first process refused to begin: {detail}")

    def _streams(self, seed: int) -> Streams:
        # A second fit goes on: the same seed must not draw the same again.
        return Streams.of(seed, self._network.device, first_epoch=len(self.history))

    def _needs_validation(self) -> bool:
        return self.best is not None or bool(self.method.needs & {"validation", "validation_losses"})

    def _on_device(self, x: Images, y: npt.NDArray[np.int64], groups: Groups | None = None, *, seed: int = 0) -> DeviceData:
        network = self._network
        return on_device(
            x,
            y,
            classifier=self._classifier,
            device=network.device,
            dtype=network.dtype,
            groups=groups,
            seed=seed,
            processes=self.processes.size,
        )

    def _run(
        self,
        source: Source,
        held: Held,
        *,
        nb_epochs: int,
        scheduler: Any,
        scheduler_interval: Interval | None,
        seed: int,
        verbose: bool,
        checkpoints: FitCheckpoints | None,
    ) -> None:
        nb_batches = source.nb_batches(smallest=2 * self.processes.size)
        if scheduler is not None and callable(scheduler) and not hasattr(scheduler, "step"):
            check_run(nb_epochs, None, checkpoints)
            scheduler = scheduler(self._classifier.optimizer, nb_epochs=int(nb_epochs), nb_batches=nb_batches)
        check_run(nb_epochs, scheduler, checkpoints)
        self._check_shared(source.batch_size)
        interval: Interval = "epoch"
        if scheduler is not None:
            interval = chosen_interval(scheduler, scheduler_interval, nb_epochs=int(nb_epochs), nb_batches=nb_batches)
        if self.method.objective.perturbs and self.method.attack is None and not self.method.objective.single_step:
            budget, name = self.budget, type(self).__name__
            warn_short_steps(name, eps=budget.eps, eps_step=budget.eps_step, max_iter=budget.max_iter, stacklevel=4)
        self.seed, self.resumed_from, first = seed, None, len(self.history)
        last = first + int(nb_epochs)
        if self.processes.rank == 0:
            warn_unused(self.method, self.budget, self.on_overfitting, nb_epochs=last, stacklevel=4)
        engine = self._engine(seed, scheduler, interval)
        with self._left_whole(engine) as whole, memory_shortage(source.batch_size, self._network.device):
            self._tell_class_counts(source)
            self._start_policies()
            self.execution = self.processes.same(self.execution)
            identity: dict[str, str | int | float] = {}
            if checkpoints is not None:
                identity = self._identity(source, held, scheduler, interval, seed=seed, epochs=(first, last))
            resumed = self._resume(engine, checkpoints, identity)
            if resumed:
                whole.keep(f"the checkpoint {self.resumed_from}")
            else:
                self._load_start_weights()
                self._restore_raw_weights()
                self.processes.agree(self._network.module)
            self.raw_weights = None
            epochs = EpochEnds(self, engine, source, checkpoints, whole, first=first, last=last)
            self._train(engine, source, held, epochs, resumed, last=last, seed=seed, verbose=verbose)
            self._start_weights = None
        self._take_average()
        get_plugin_manager().notify("fairart_fit_end", trainer=self)

    @contextlib.contextmanager
    def _left_whole(self, engine: Engine) -> Iterator[WholeEpoch]:
        """Whatever fails, the classifier is as it was, or as the last whole epoch left it; the error says which."""
        whole, raw = WholeEpoch(engine.trained()), self.raw_weights
        try:
            yield whole
        except BaseException as error:
            whole.put_back()
            if whole.origin:
                self._take_average(warn=False)
                say_what_is_left(error, f"The classifier holds the weights of {whole.origin}.")
            else:
                self.raw_weights = raw
                say_what_is_left(error, "The classifier is as it was before this fit.")
            raise
        finally:
            engine.clear_gradients()

    def _train(
        self,
        engine: Engine,
        source: Source,
        held: Held,
        epochs: EpochEnds,
        resumed: dict[str, Any],
        *,
        last: int,
        seed: int,
        verbose: bool,
    ) -> None:
        checkpoints, first = epochs.checkpoints, epochs.first
        # The sums of an epoch under way lie with every process, and a generator cannot be put back to where it was.
        between_batches = checkpoints is not None and source.repeatable and self.processes.size == 1
        get_plugin_manager().notify("fairart_fit_start", trainer=self)
        alone = isolated_random_state(seed, self._network.device, first_epoch=first)
        with alone, restored_modes(self._network), executed(engine, self.execution):
            if resumed:
                states = resumed["random"]
                set_global_random_state(states[self.processes.rank % len(states)], self._network.device)
            else:
                # Before any work: a checkpoint that cannot be written is an error now.
                epochs.save(None)
            # Where it came back from catastrophic overfitting before, there is nothing left to train.
            ended = bool(resumed and self.history and self.history[-1].overfitted and self.on_overfitting == "return")
            engine.run(
                source,
                first_epoch=last if ended else len(self.history),
                nb_epochs=last,
                measures=self._measures(source, held, seed),
                on_epoch_end=epochs.on_epoch_end,
                verbose=verbose,
                under_way=resumed.get("under_way"),
                on_batch_end=epochs.on_batch_end if between_batches else None,
            )

    def _new_engine(self, *arguments: Any, **options: Any) -> Engine:
        """The engine of a fit; a trainer with another loop makes its own of these arguments."""
        return Engine(*arguments, **options)

    def _engine(self, seed: int, scheduler: Any, interval: Interval) -> Engine:
        return self._new_engine(
            self._network,
            self._classifier.optimizer,
            self.method,
            self.budget,
            nb_classes=self._classifier.nb_classes,
            streams=self._streams(seed),
            augmentation=self.augmentation,
            scheduler=scheduler,
            scheduler_interval=interval,
            clean_statistics=self.clean_statistics,
            processes=self.processes,
        )

    def _identity(
        self, source: Source, held: Held, scheduler: Any, interval: Interval, *, seed: int, epochs: tuple[int, int]
    ) -> dict[str, str | int | float]:
        """What a checkpoint of this fit belongs to: all that the weights follow from, in plain values."""
        budget, augmentation = self.budget, self.augmentation
        return {
            "trainer": type(self).__name__,
            **method_identity(self.method),
            **classifier_identity(self._classifier, self._network.device),
            "eps": budget.eps,
            "eps_step": budget.eps_step,
            "max_iter": budget.max_iter,
            "norm": norm_name(budget.norm),
            "augmentation": augmentation_identity(augmentation),
            "on_overfitting": self.on_overfitting,
            "keep_best": "no" if self.best is None else str(self.best.criterion),
            "clean_statistics": str(self.clean_statistics),
            "execution": str(self.execution) or "as it is",
            "data": source.identity(),
            "validation_data": "none" if held is None else f"{len(held[0])} samples ({short_digest(*held)})",
            "batch_size": source.batch_size,
            "scheduler": "none" if scheduler is None else f"{type(scheduler).__name__} {described(scheduler.state_dict())}",
            "scheduler_interval": interval,
            "seed": seed,
            "first epoch of the fit": epochs[0],
            "nb_epochs": epochs[1] - epochs[0],
        }

    def _resume(self, engine: Engine, checkpoints: FitCheckpoints | None, identity: Mapping[str, Any]) -> dict[str, Any]:
        resumed: dict[str, Any] = {}

        def take(state: Any) -> None:
            if self.processes.size > 1 and state["engine"]["under_way"] is not None:
                # Its sums are those of one process, and would be counted once for each.
                raise CheckpointError("it was written within an epoch, where only a fit in one process can go on")
            history = [EpochRecord.from_state(one) for one in state["history"]]
            resumed.update(state=state, random=state["engine"]["random"], under_way=restore(engine, state["engine"]))
            if self.best is not None:
                self.best.load_state_dict(state["best"], self._network.device)
            self.history[:] = history

        with self._refused_in_all():
            saved = None if checkpoints is None else checkpoints.begin(identity, take, self._network.device)
        if saved is not None:
            under_way = resumed["under_way"]
            where = f"{len(self.history)} epochs" + (f" and {under_way.batches} batches" if under_way is not None else "")
            self.resumed_from = f"{saved.path} ({where})"
        self._share_state(resumed.pop("state", None), take)
        resumed.pop("state", None)
        return resumed

    def _share_state(self, state: Any, take: Callable[[Any], None]) -> None:
        """Give the first process's state, read from a checkpoint, to the others, each on its own device."""
        if self.processes.size == 1:
            return
        packed = self.processes.same(None if state is None else pack(state))
        if packed is not None and self.processes.rank > 0:
            tree, tensors = packed
            take(unpack(tree, tensors.__getitem__, self._network.device))

    def _check_shared(self, batch_size: int) -> None:
        size, steps = self.processes.size, self.method.gradient_accumulation_steps
        if batch_size < 2 * size * steps and size * steps > 1:
            pieces = [f"{steps} micro-batches"] * (steps > 1) + [f"{size} processes"] * (size > 1)
            whose = " of each of the ".join(pieces)
            raise ValueError(f"batch_size must be at least 2 samples for each of the {whose}, got {batch_size}")

    def _at_once(self, batch_size: int) -> int | None:
        return micro_batch_size(batch_size, self.processes.size, self.method.gradient_accumulation_steps)

    def _measures(self, source: Source, held: Held, seed: int) -> Measures:
        training_pass = None
        if "training_pass" in self.method.needs:
            assert isinstance(source, ArraySource), "a generator has no class counts, and was refused"
            training_pass = TrainingPass(
                self._predicting,
                source.data,
                self._attack(loss="ce"),
                nb_classes=self._classifier.nb_classes,
                batch_size=max(source.batch_size, 256),
                at_once=self._at_once(source.batch_size),
                true_logit_cut=self.method.true_logit_cut,
                processes=self.processes,
            )
        watch = None
        if self.method.takes_one_step(self.budget) and self.budget.eps > 0:
            watch = OverfittingWatch(
                self._predicting,
                eps=self.budget.eps,
                norm=self.budget.norm,
                action=self.on_overfitting,
                history=self.history,
                seed=seed,
                processes=self.processes,
            )
        return Measures(validator=self._validator(held, source.batch_size), training_pass=training_pass, watch=watch)

    def _attack(self, *, loss: Literal["ce", "kl"]) -> ValidationAttack:
        budget = self.budget
        steps = self.method.validation_iter or budget.max_iter
        return ValidationAttack(eps=budget.eps, eps_step=budget.eps_step, max_iter=steps, loss=loss, norm=budget.norm)

    def _validator(self, held: Held, batch_size: int) -> Validator | None:
        if held is None:
            return None
        needs = self.method.needs
        # Losses are those of TRADES, which their own attack must maximise; its predictions then serve everybody.
        attack = self._attack(loss="kl" if "validation_losses" in needs else "ce")
        return Validator(
            self._predicting,
            self._on_device(*held),
            attack,
            nb_classes=self._classifier.nb_classes,
            batch_size=max(batch_size, 256),
            at_once=self._at_once(batch_size),
            losses="validation_losses" in needs,
            processes=self.processes,
        )

    def _tell_class_counts(self, source: Source) -> None:
        counts = source.class_counts(self._classifier.nb_classes)
        for _, policy in self.method.policies():
            if counts is None and "class_counts" in policy.needs:
                raise ValueError(
                    f"{origin(policy)} needs the number of training samples of each class, which a generator does not tell: "
                    "use fit(x, y)"
                )
            policy.class_counts = counts
        self.method.class_weighting.groups = source.data.groups if isinstance(source, ArraySource) else None

    def _start_policies(self) -> None:
        classes, method = self._classifier.nb_classes, self.method
        method.epsilon_scheduler.start(classes, self.budget.eps, self.budget.eps_step)
        method.class_weighting.start(classes)
        if method.target_sampler is not None:
            method.target_sampler.start(classes)
        if method.class_sampling is not None:
            method.class_sampling.start(classes)
        if method.classification_loss is not None:
            method.classification_loss.start(classes)

    def _load_start_weights(self) -> None:
        if self._start_weights is not None:
            self._network.module.load_state_dict(self._start_weights)

    def _restore_raw_weights(self) -> None:
        if self.raw_weights is not None:
            self._network.module.load_state_dict(self.raw_weights)

    def _take_average(self, *, warn: bool = True) -> None:
        averaging = self.method.averaging
        if averaging is None:
            return
        if averaging.average is None:
            if warn:
                _warn_no_average(len(self.history), averaging.hint())
            return
        self.raw_weights = copy.deepcopy(self._network.module.state_dict())
        self._network.module.load_state_dict(averaging.average)


def _warn_no_average(nb_epochs: int, hint: str) -> None:
    why = hint or "start_epoch or threshold too high for this run"
    warnings.warn(
        f"weight averaging took in none of the {nb_epochs} epochs ({why}): the classifier keeps its last weights",
        UserWarning,
        stacklevel=5,
    )
