"""The one training loop: batch -> attack -> loss -> step; epoch -> statistics -> policies -> next plan."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from fairart.attacks.common import ClipValues, make_region
from fairart.engine.accumulation import accumulated_gradients, micro_batch_size
from fairart.engine.data.augmentation import AnyAugmentation
from fairart.engine.data.batches import Samples, places_taken, take_samples
from fairart.engine.data.drawing import ClassRows
from fairart.engine.data.sources import DeviceData, Rows, Source, batch_slices
from fairart.engine.epoch_checks import TrainingDivergedError, check_changes, check_losses
from fairart.engine.history import EpochRecord
from fairart.engine.loss_scale import sum_of_coefficients
from fairart.engine.measures import Measures
from fairart.engine.meter import EpochMeter
from fairart.engine.method import Budget, Method
from fairart.engine.network import Network, restored_modes
from fairart.engine.overfitting import watched_epoch
from fairart.engine.processes import ONE_PROCESS, Processes
from fairart.engine.randomness import Streams
from fairart.engine.scheduling import Interval, step_scheduler
from fairart.engine.under_way import EpochUnderWay
from fairart.errors import PolicyError
from fairart.objectives.answers import (
    asked,
    checked_examples,
    checked_loss,
    checked_targets,
    checked_terms,
)
from fairart.objectives.base import Batch, Examples
from fairart.plugins import origin
from fairart.policies import TargetSampler
from fairart.policies.base import FloatArray, ask
from fairart.policies.class_weightings.base import LossTerms
from fairart.policies.class_weightings.pairs import PairWeighting
from fairart.statistics import EpochStatistics

__all__ = ["Engine", "TrainingDivergedError"]

CHECK_EVERY = 50
"""Batches between two looks at the losses: a look reads from the device, and a run gone wrong should not go on for long."""


class Engine:
    """Trains a network by a method.

    Args:
        network: the classifier as it is fitted.
        optimizer: of the network's parameters.
        method: the parts.
        budget: eps, step and number of steps.
        nb_classes: K.
        augmentation: applied to every batch, or None.
        scheduler: anything with ``step()``; one whose ``step`` requires a metric gets the mean loss.
        scheduler_interval: whether it steps once an epoch or once a batch.
        streams: random streams of the run.
        clean_statistics: also measure clean predictions on the training batches, one forward pass more a batch where the
            objective does not compute them anyway.
        processes: who shares the run; every batch is split among them.
    """

    def __init__(
        self,
        network: Network,
        optimizer: torch.optim.Optimizer,
        method: Method,
        budget: Budget,
        *,
        nb_classes: int,
        streams: Streams,
        augmentation: AnyAugmentation | None = None,
        scheduler: Any = None,
        scheduler_interval: Interval = "epoch",
        clean_statistics: bool = False,
        processes: Processes = ONE_PROCESS,
    ) -> None:
        self.network, self.optimizer, self.method, self.budget = network, optimizer, method, budget
        self._steps = 1, 1
        self._at_once: int | None = None
        self.nb_classes, self.streams = nb_classes, streams
        self.augmentation, self.scheduler, self.processes = augmentation, scheduler, processes
        self.scheduler_interval = scheduler_interval
        # Around the batches of each epoch.
        self.while_training: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        for _, policy in method.policies():
            policy.all_reduce = processes.reduce_
        self.needs = method.needs | ({"clean"} if clean_statistics else set())
        self._eps = self._eps_step = torch.empty(0)
        # Tensors, once: a number would be copied to the device in every batch, and the host would wait for that.
        self._clip_values: ClipValues = None
        if network.clip_values is not None:
            low, high = (torch.as_tensor(v, dtype=network.dtype, device=network.device) for v in network.clip_values)
            self._clip_values = low, high

    def run(
        self,
        source: Source,
        *,
        first_epoch: int,
        nb_epochs: int,
        measures: Measures,
        on_epoch_end: Callable[[EpochRecord], None],
        verbose: bool,
        under_way: EpochUnderWay | None = None,
        on_batch_end: Callable[[EpochUnderWay], None] | None = None,
    ) -> None:
        """Train from ``first_epoch`` to ``nb_epochs``.

        Args:
            source: gives the data of each epoch.
            first_epoch: number of the first epoch; what came before is in the policies.
            nb_epochs: where to stop.
            measures: what every epoch measures besides its batches.
            on_epoch_end: is given every epoch's record.
            verbose: show a progress bar where there is a terminal.
            under_way: the first epoch as a checkpoint left it, or None to begin it.
            on_batch_end: is given the epoch after every batch but a pool's last, when nothing is left to do for that batch.

        Raises:
            TrainingDivergedError: the loss became NaN or infinite.
            PolicyError: a policy broke its rules.
            CatastrophicOverfittingError: single-step training lost its robustness, and that is to stop it.
        """
        # disable=None shows the bar on terminals only.
        steps = source.nb_batches(smallest=2 * self.processes.size) * (nb_epochs - first_epoch)
        shown = verbose and self.processes.rank == 0
        with tqdm(total=steps, disable=None if shown else True, unit="batch", dynamic_ncols=True) as bar:
            for epoch in range(first_epoch, nb_epochs):
                bar.set_description(f"epoch {epoch + 1}/{nb_epochs}")
                current = under_way or self._begun(epoch, measures)
                under_way = None
                record = self._epoch(source, current, nb_epochs, measures, bar, on_batch_end)
                bar.set_postfix(
                    loss=f"{record.loss:.3f}",
                    robust=f"{record.robust.accuracy:.1%}",
                    worst=f"{record.robust.worst_class_accuracy():.1%}",
                )
                on_epoch_end(record)
                if record.overfitted and measures.watch is not None and measures.watch.action == "return":
                    return

    def trained(self) -> list[tuple[torch.nn.Module, torch.optim.Optimizer]]:
        """Every module that is trained, with its optimizer."""
        return [(self.network.module, self.optimizer)]

    def further_state(self) -> dict[str, Any]:
        """What a checkpoint has to hold besides network, optimizer, scheduler, policies and random states."""
        return {}

    def load_further_state(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`further_state` gave."""

    def _begun(self, epoch: int, measures: Measures) -> EpochUnderWay:
        if measures.training_pass is not None:
            training = measures.training_pass.measure(self.streams.validation)
            for _, policy in self.method.policies():
                if "training_pass" in policy.needs:
                    policy.before_epoch(training)
        rate = float(self.optimizer.param_groups[0]["lr"])
        return EpochUnderWay(epoch, EpochMeter(self.nb_classes, self.network.device, self.needs), rate)

    def _epoch(
        self,
        source: Source,
        current: EpochUnderWay,
        nb_epochs: int,
        measures: Measures,
        bar: tqdm[Any],
        on_batch_end: Callable[[EpochUnderWay], None] | None,
    ) -> EpochRecord:
        epoch, meter = current.epoch, current.meter
        plan = self._plan()
        self._steps = source.nb_batches(smallest=2 * self.processes.size), nb_epochs
        steps = self.method.gradient_accumulation_steps
        self._at_once = micro_batch_size(source.batch_size, self.processes.size, steps)
        with restored_modes(self.network, training=True), self.while_training():
            self._train(source, current, measures, bar, on_batch_end)
        check_losses(self, meter, epoch)
        meter.reduce_(self.processes)
        check_changes(self, meter, epoch)
        self.processes.average_buffers(self.network.module)
        trained = current.seconds()
        statistics = EpochStatistics(
            epoch=epoch,
            nb_epochs=nb_epochs,
            robust=meter.robust(),
            clean=meter.clean(),
            mean_probabilities=meter.mean_probabilities(),
            validation=None if measures.validator is None else measures.validator.measure(self.streams.validation),
        )
        watched = watched_epoch(measures.watch, statistics)
        # Neither policies nor averages learn from an epoch that is thrown away.
        averaged = None if watched.thrown_away else self._update(statistics)
        loss = meter.mean_loss()
        if self.scheduler is not None and self.scheduler_interval == "epoch":
            step_scheduler(self.scheduler, loss=loss, epochs_done=epoch + 1)
        return EpochRecord(
            statistics=statistics,
            loss=loss,
            learning_rate=current.learning_rate,
            averaged=averaged,
            seconds=current.seconds(),
            images_per_second=meter.samples / trained,
            pgd_accuracy=watched.accuracy,
            overfitted=watched.overfitted,
            **plan,
        )

    def _plan(self) -> dict[str, Any]:
        epsilons, sampler, weighting = (
            self.method.epsilon_scheduler,
            self.method.target_sampler,
            self.method.class_weighting,
        )
        if epsilons.current is None or epsilons.current_step is None or weighting.current is None:
            raise RuntimeError("Engine.run() before the policies were started")
        network = self.network
        self._eps = torch.as_tensor(epsilons.current, dtype=network.dtype, device=network.device)
        self._eps_step = torch.as_tensor(epsilons.current_step, dtype=network.dtype, device=network.device)
        fixed = sampler is not None and not sampler.needs_logits and sampler.probabilities is not None
        return {
            "epsilons": epsilons.current.copy(),
            "target_probabilities": sampler.probabilities.copy() if fixed else None,  # type: ignore[union-attr]
            "class_weights": weighting.current.copy(),
            "pair_weights": weighting.pairs.copy()
            if isinstance(weighting, PairWeighting) and weighting.pairs is not None
            else None,
            "sampling": self._sampling_plan(),
            "group_weights": weighting.group_weights(),
        }

    def _sampling_plan(self) -> FloatArray | None:
        sampling = self.method.class_sampling
        if sampling is None or sampling.permutes:
            return None
        # Not what is in force: a resumed epoch shows the plan that it began with.
        return None if sampling.current is None else sampling.current.copy()

    def _train(
        self,
        source: Source,
        current: EpochUnderWay,
        measures: Measures,
        bar: tqdm[Any],
        on_batch_end: Callable[[EpochUnderWay], None] | None,
    ) -> None:
        epoch, meter = current.epoch, current.meter
        for data in source.pools():
            if measures.watch is not None:
                measures.watch.look_at(data)
            batches = batch_slices(len(data), source.batch_size, smallest=2 * self.processes.size)
            rows = self._rows(data, batches, current)
            left = batches[current.batches :]
            bar.update(current.batches)
            with data.reading_ahead(rows, self._places_ahead(left), epoch):
                for batch in left:
                    # What is drawn for the batch is drawn alike in every process, each then takes its own rows.
                    samples = take_samples(
                        data,
                        rows,
                        batch,
                        self.processes.part(batch.stop - batch.start),
                        epoch=epoch,
                        augmentation=self.augmentation,
                        nb_classes=self.nb_classes,
                        generator=self.streams.attack,
                    )
                    self._step(samples, epoch, meter)
                    current.batches += 1
                    bar.update()
                    if meter.batches % CHECK_EVERY == 0:
                        check_losses(self, meter, epoch)
                    if on_batch_end is not None and current.batches < len(batches):
                        on_batch_end(current)
            current.end_pool()

    def _places_ahead(self, batches: list[slice]) -> list[slice]:
        """What this process will take of some batches; nothing where rows are drawn when their turn comes."""
        if self.method.draws_classes:
            return []
        return [places_taken(batch, self.processes.part(batch.stop - batch.start), self.augmentation) for batch in batches]

    def _rows(self, data: DeviceData, batches: list[slice], current: EpochUnderWay) -> Rows:
        """Gives the rows of some places in a pool's order."""
        sampling = self.method.class_sampling
        if sampling is None or sampling.permutes:
            order = current.begin_pool(lambda: data.order(batches, self.streams.order)).to(data.rows_on)
            return lambda places: order[places]
        classes = ClassRows(data.y, self.nb_classes)

        def drawn(places: slice) -> Tensor:
            chances = asked(sampling, "in_force", lambda: sampling.in_force(self.network.device))
            return classes.draw(chances, places.stop - places.start, self.streams.attack)

        return drawn

    def _step(self, samples: Samples, epoch: int, meter: EpochMeter) -> None:
        batch = self._batch(samples, epoch, meter)
        if self._at_once is None:
            terms, loss = self._gradients(batch, meter)
        else:
            terms, loss = accumulated_gradients(self, batch, meter, self._at_once)
        self.processes.sum_gradients(self.network.module.parameters())
        if self.method.gradient_clipping is not None:
            torch.nn.utils.clip_grad_norm_(self.network.module.parameters(), self.method.gradient_clipping)
        if "clean" in self.needs and terms.clean_logits is None:
            # Before the step: of the same weights as the robust ones.
            terms = dataclasses.replace(terms, clean_logits=self._clean_logits(batch.x))
        self.optimizer.step()
        if self.scheduler is not None and self.scheduler_interval == "batch":
            self.scheduler.step()
        self._tell_batch_end(terms, batch.y)
        meter.add(terms, batch.y, loss)

    def _gradients(self, batch: Batch, meter: EpochMeter) -> tuple[LossTerms, Tensor]:
        examples = self._examples(batch, meter)
        # Not before: attacks of ART leave gradients of their own in the weights.
        self.clear_gradients()
        with self._perturbed(lambda: self._loss(self._terms(batch, examples), batch.y), batch.epoch):
            terms = self._terms(batch, examples)
            loss = self._loss(terms, batch.y)
            loss.backward()  # type: ignore[no-untyped-call]
        return terms, loss

    def _tell_batch_end(self, terms: LossTerms, y: Tensor) -> None:
        weighting, sampling = self.method.class_weighting, self.method.class_sampling
        with torch.no_grad():
            asked(weighting, "batch_end", lambda: weighting.batch_end(terms, y))
            if sampling is not None:
                asked(sampling, "batch_end", lambda: sampling.batch_end(y, terms.adversarial_logits.detach()))

    def _perturbed(self, loss: Callable[[], Tensor], epoch: int) -> contextlib.AbstractContextManager[None]:
        perturbation = self.method.weight_perturbation
        if perturbation is None:
            return contextlib.nullcontext()
        moved = asked(perturbation, "perturbed", lambda: perturbation.perturbed(self.network.module, loss, epoch=epoch))
        if not isinstance(moved, contextlib.AbstractContextManager):
            raise PolicyError(f"{origin(perturbation)}: perturbed() must be a context manager, got a {type(moved).__name__}")
        return moved

    def clear_gradients(self) -> None:
        """Drop every gradient: also of parameters that the optimizer does not train."""
        self.optimizer.zero_grad(set_to_none=True)
        self.network.module.zero_grad(set_to_none=True)

    def _terms(self, batch: Batch, examples: Examples) -> LossTerms:
        objective = self.method.objective
        terms = asked(objective, "losses", lambda: objective.losses(self.network, batch, examples))
        checked = checked_terms(objective, terms, batch, self.nb_classes)
        return checked if batch.groups is None else dataclasses.replace(checked, groups=batch.groups)

    def _loss(self, terms: LossTerms, y: Tensor) -> Tensor:
        weighting = self.method.class_weighting
        loss = checked_loss(weighting, asked(weighting, "combine", lambda: weighting.combine(terms, y)))
        if self.method.loss_scale == "mean-one":
            loss = loss / sum_of_coefficients(weighting, terms, y, self.processes)
        return self.processes.share(loss, self.streams.attack.part)

    def _clean_logits(self, x: Tensor) -> Tensor:
        with restored_modes(self.network, training=False), torch.no_grad():
            return torch.cat([self.network(piece) for piece in torch.split(x, self._at_once or len(x))])

    def _batch(self, samples: Samples, epoch: int, meter: EpochMeter) -> Batch:
        (x, y, soft_labels, groups), sampler, targets = samples, self.method.target_sampler, None
        if sampler is not None:
            logits = self._clean_logits(x) if sampler.needs_logits else None
            targets = self._targets(sampler, samples, logits, meter)
        return Batch(
            x=x,
            y=y,
            eps=self._eps[y],
            eps_step=self._eps_step[y],
            max_iter=self.budget.max_iter,
            targets=targets,
            mixed=sampler is not None and sampler.mixes,
            clip_values=self._clip_values,
            norm=self.budget.norm,
            epoch=epoch,
            progress=(epoch + meter.batches / self._steps[0]) / self._steps[1],
            label_smoothing=self.method.label_smoothing,
            soft_labels=soft_labels,
            groups=groups,
            classification_loss=self.method.classification_loss,
            generator=self.streams.attack,
        )

    def _targets(self, sampler: TargetSampler, samples: Samples, logits: Tensor | None, meter: EpochMeter) -> Tensor:
        y, shares = samples.y, samples.soft_labels
        draw = sampler.sample if shares is None else functools.partial(sampler.sample_apart, shares=shares)
        draw = functools.partial(draw, logits=logits, generator=self.streams.attack)
        targets = checked_targets(sampler, ask(sampler, "sample", draw, y), y)
        outside = (targets < 0) | (targets >= self.nb_classes)
        # Reading this here would wait for the device. It is read with the losses; until then no bad target is used.
        meter.add_bad_targets(outside.any())
        return torch.where(outside, y, targets)

    def _examples(self, batch: Batch, meter: EpochMeter) -> Examples:
        objective = self.method.objective
        if not objective.perturbs:
            return (batch.x,)
        if self.method.attack is not None:
            made = checked_examples(self.method.attack.attack, self.method.attack.examples(batch), batch)
        else:
            network = self.network.for_attack()
            with restored_modes(self.network, training=objective.attack_mode == "train"):
                answer = asked(objective, "examples", lambda: objective.examples(network, batch))
            made = checked_examples(objective, answer, batch)
        # Examples outside a sample's budget are never trained on, whatever made them.
        factor = 1.0 if self.method.attack is not None else objective.budget_factor
        radius = batch.eps if factor == 1 else factor * batch.eps
        region = make_region(batch.x, radius, batch.clip_values, batch.norm)
        examples = tuple(region.project(one.detach()) for one in made)
        for one in examples:
            meter.add_change(one - batch.x, batch.y, batch.norm)
        return examples

    def _update(self, statistics: EpochStatistics) -> bool | None:
        method = self.method
        learning = (method.epsilon_scheduler, method.class_weighting, method.class_sampling, method.classification_loss)
        for policy in (method.target_sampler, *learning):
            if policy is not None:
                policy.update(statistics)
        if method.averaging is None:
            return None
        return method.averaging.update(self.network.module.state_dict(), statistics)
