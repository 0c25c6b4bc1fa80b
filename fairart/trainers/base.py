"""The outer face of every method: an ART ``Trainer`` whose parts are chosen by a preset."""

from __future__ import annotations

import copy
import os
import warnings
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from art.attacks import EvasionAttack
from art.data_generators import DataGenerator
from art.defences.trainer import Trainer
from art.estimators.classification import PyTorchClassifier

from fairart.engine.art_attack import ArtInnerAttack
from fairart.engine.augmentation import Augmentation, get_augmentation
from fairart.engine.data import check_inputs, check_pair, stratified_split, uint8_divisor, warn_absent_classes
from fairart.engine.history import EpochRecord
from fairart.engine.loop import Engine
from fairart.engine.method import Budget, Method
from fairart.engine.network import Network, restored_modes
from fairart.engine.randomness import Streams, isolated_random_state, resolve_seed
from fairart.engine.sources import ArraySource, DeviceData, GeneratorSource, Source
from fairart.engine.validation import ValidationAttack, Validator
from fairart.engine.warm_start import read_weights
from fairart.errors import OptionError, nearest
from fairart.objectives.base import Objective
from fairart.options import Option, check_value, declared_options
from fairart.plugins import get_plugin_manager
from fairart.trainers.combinations import check_combination
from fairart.trainers.parts import (
    PART_OF_KIND,
    AveragingPart,
    EpsilonPart,
    ObjectivePart,
    PerturbationPart,
    TargetPart,
    WeightingPart,
    resolve,
)
from fairart.trainers.signature import PRESET, preset_signature

__all__ = ["FairnessTrainer"]

Pair = tuple[npt.ArrayLike, npt.ArrayLike]

WarmStart = Annotated[str | os.PathLike[str] | None, Option("safetensors file with the weights to start from")]


class FairnessTrainer(Trainer):  # type: ignore[misc]  # ART has no types
    """Base of all trainers; a subclass says its default parts in ``defaults``.

    The classifier handed in is trained in place. With ``averaging``, it carries the averaged weights after ``fit``; the raw ones
    are kept, and a further ``fit`` goes on from them, with the policies and the epoch count where they were.

    Args:
        classifier: an ART ``PyTorchClassifier`` with an optimizer; its model gives logits. ``clip_values`` are obeyed, its
            preprocessing is applied inside the attack, its ``loss`` is not used.
        objective: registered name (standard, at, trades, fat) or an instance.
        target_sampler: registered name or instance; None for untargeted training.
        epsilon_scheduler: registered name or instance; None for the same budget for every class.
        class_weighting: registered name or instance; None to weight every class alike.
        weight_perturbation: registered name or instance, or None.
        averaging: ``"ema"``, ``"fawa"``, an instance, or None.
        eps: L-inf budget in the classifier's input space, >= 0.
        eps_step: step of the inner attack, >= 0.
        max_iter: steps of the inner attack, >= 1.
        attack: an ART ``EvasionAttack`` on this classifier as the inner attack: slower, through numpy.
        augmentation: ``"crop-flip"``, ``"none"``, or a function (images, generator) -> images.
        hold_out: share of each class kept back for validation where a policy needs it and no ``validation_data`` is given.
        clean_statistics: also count clean predictions on the training batches (one forward pass more a batch).
        warm_start: safetensors file with the weights that the first ``fit`` starts from.

    Raises:
        TypeError: no ``PyTorchClassifier``, or a part of the wrong type.
        ValueError: no optimizer, preprocessing that cannot be differentiated, a number out of range, parts that do not go
            together, or ``warm_start`` weights of another model.
        UnknownNameError: a part that is registered nowhere.
    """

    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        classifier: PyTorchClassifier,
        *,
        objective: ObjectivePart = PRESET,
        target_sampler: TargetPart = PRESET,
        epsilon_scheduler: EpsilonPart = PRESET,
        class_weighting: WeightingPart = PRESET,
        weight_perturbation: PerturbationPart = PRESET,
        averaging: AveragingPart = PRESET,
        eps: Annotated[float, Option("L-inf budget, in the classifier's input space", low=0)] = 8 / 255,
        eps_step: Annotated[float, Option("step of the inner attack", low=0)] = 2 / 255,
        max_iter: Annotated[int, Option("steps of the inner attack", low=1)] = 10,
        attack: Annotated[EvasionAttack | None, Option("an ART attack as the inner attack")] = None,
        augmentation: Annotated[Any, Option("crop-flip, none, or a function (images, generator) -> images")] = None,
        hold_out: Annotated[
            float,
            Option("share of each class held out where a policy needs validation data", low=0, low_open=True, high=0.5),
        ] = 0.02,
        clean_statistics: Annotated[bool, Option("also count clean predictions in training")] = False,
        warm_start: WarmStart = None,
        **unknown: Any,
    ) -> None:
        checked = self._check_options({**unknown, "eps": eps, "eps_step": eps_step, "max_iter": max_iter, "hold_out": hold_out})
        self._network = Network(classifier, fit=True)
        self._predicting = Network(classifier)
        _check_optimizer(classifier)
        super().__init__(classifier)
        given = {
            "target_sampler": target_sampler,
            "epsilon_scheduler": epsilon_scheduler,
            "class_weighting": class_weighting,
            "weight_perturbation": weight_perturbation,
            "averaging": averaging,
        }
        chosen = resolve("objective", self._preset("objective") if objective is PRESET else objective)
        parts = {kind: resolve(kind, self.default_part(kind, chosen) if part is PRESET else part) for kind, part in given.items()}
        inner = None
        if attack is not None:
            inner = ArtInnerAttack(attack, self._network.module, targets=parts["target_sampler"] is not None)
        self.method = Method(objective=chosen, **parts, attack=inner)
        check_combination(self.method)
        self._start_weights = None if warm_start is None else read_weights(warm_start, self._network.module)
        self.budget = Budget(eps=float(checked["eps"]), eps_step=float(checked["eps_step"]), max_iter=int(checked["max_iter"]))
        if augmentation == "crop-flip" and not classifier.channels_first:
            raise OptionError("augmentation 'crop-flip' expects channels first, got a classifier with channels_first=False")
        self.augmentation: Augmentation | None = get_augmentation(augmentation, tuple(classifier.input_shape))
        self.hold_out, self.clean_statistics = float(checked["hold_out"]), clean_statistics
        self.history: list[EpochRecord] = []
        self.seed: int | None = None
        self.raw_weights: dict[str, torch.Tensor] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the preset's own options and defaults in ``help()`` and to everything that reads the signature."""
        super().__init_subclass__(**kwargs)
        wrong = set(cls.defaults) - set(PART_OF_KIND)
        if wrong:
            raise TypeError(f"{cls.__name__}.defaults: {nearest(min(wrong), PART_OF_KIND)}, got {min(wrong)!r}")
        signature = preset_signature(cls, FairnessTrainer, cls._preset)
        if signature is not None:
            cls.__signature__ = signature

    @classmethod
    def _preset(cls, kind: str) -> Any:
        return cls.defaults.get(kind, "at" if kind == "objective" else None)

    def default_part(self, kind: str, objective: Objective) -> Any:
        """The part that stands in where the user names none: ``defaults``, unless a method's parts depend on its options.

        Args:
            kind: of the part; never "objective".
            objective: the objective chosen.

        Returns:
            A registered name, an instance or None.
        """
        return self._preset(kind)

    def _checked(self, **own: Any) -> dict[str, Any]:
        """A subclass's own options, checked against their declaration before anything is built from them."""
        declared = declared_options(type(self))
        return {name: check_value(value, declared[name], where=type(self).__name__) for name, value in own.items()}

    def _check_options(self, options: dict[str, Any]) -> dict[str, Any]:
        declared = declared_options(type(self))
        for name in options:
            if name not in declared:
                raise OptionError(f"{type(self).__name__} has no option {name!r}; {nearest(name, declared)}")
        return {name: check_value(value, declared[name], where=type(self).__name__) for name, value in options.items()}

    def fit(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        validation_data: Pair | None = None,
        batch_size: int = 128,
        nb_epochs: int = 20,
        *,
        scheduler: Any = None,
        seed: int | None = None,
        verbose: bool = True,
    ) -> None:
        """Train on arrays.

        Args:
            x: (n, *input_shape) within the clip values, or uint8 images (divided by 255 for clip values (0, 1)).
            y: (n,) integer or (n, K) one-hot labels.
            validation_data: (x, y), measured clean and under attack after every epoch; never trained on.
            batch_size: samples a batch, at most n; a last batch of one is merged into the one before.
            nb_epochs: epochs to train, >= 1.
            scheduler: learning-rate scheduler of the classifier's optimizer; anything with ``step()``, once an epoch.
            seed: of everything random in the run; None draws one (kept in ``self.seed``).
            verbose: show a progress bar on a terminal.

        Raises:
            ValueError: bad data or a number out of range, before any training.
            TrainingDivergedError: the loss became NaN or infinite.
            PolicyError: a policy broke its rules; the message names it.
        """
        number = resolve_seed(seed)
        images, labels = check_pair(x, y, self._classifier)
        held = None if validation_data is None else check_pair(*_pair(validation_data), self._classifier, name="validation ")
        if held is None and self._needs_validation():
            kept, out = stratified_split(labels, self.hold_out, self._streams(number).split_seed)
            if not len(out):
                raise ValueError("a policy needs validation data and there are too few samples to hold any out")
            held = images[out], labels[out]
            images, labels = images[kept], labels[kept]
        warn_absent_classes(np.bincount(labels, minlength=self._classifier.nb_classes))
        source = ArraySource(self._on_device(images, labels), batch_size)
        self._run(source, held, nb_epochs=nb_epochs, scheduler=scheduler, seed=number, verbose=verbose)

    def fit_generator(
        self,
        generator: DataGenerator,
        nb_epochs: int = 20,
        *,
        validation_data: Pair | None = None,
        scheduler: Any = None,
        seed: int | None = None,
        verbose: bool = True,
    ) -> None:
        """Train on any ART ``DataGenerator``, drawn from anew in every epoch.

        Args:
            generator: gives batches (x, y) and knows its size; its batch size is used.
            nb_epochs: epochs to train, >= 1.
            validation_data: see :meth:`fit`; needed where a policy needs validation.
            scheduler: see :meth:`fit`.
            seed: see :meth:`fit`.
            verbose: see :meth:`fit`.

        Raises:
            TypeError: no ``DataGenerator``.
            ValueError: bad data, or a policy needs validation data and none is given.
        """
        number = resolve_seed(seed)
        held = None if validation_data is None else check_pair(*_pair(validation_data), self._classifier, name="validation ")
        if held is None and self._needs_validation():
            raise ValueError("a policy needs validation data: give fit_generator(validation_data=(x, y))")
        source = GeneratorSource(generator, classifier=self._classifier, device=self._network.device, dtype=self._network.dtype)
        self._run(source, held, nb_epochs=nb_epochs, scheduler=scheduler, seed=number, verbose=verbose)

    def predict(self, x: npt.ArrayLike, batch_size: int = 128, **kwargs: Any) -> npt.NDArray[np.float32]:
        """Logits (n, K) of the trained classifier; modes of the model are left as they were.

        Args:
            x: (n, *input_shape) as for :meth:`fit`.
            batch_size: samples at once.
            **kwargs: handed to ART's ``predict``.
        """
        images = check_inputs(x, self._classifier)
        if images.dtype == np.uint8:
            images = images.astype(np.float32) / np.float32(uint8_divisor(self._classifier))
        # ART's predict makes a data loader, which draws from torch's global random state.
        with restored_modes(self._network), torch.random.fork_rng(devices=[]):
            predictions: npt.NDArray[np.float32] = self._classifier.predict(images, batch_size=batch_size, **kwargs)
        return predictions

    def get_classifier(self) -> PyTorchClassifier:
        """The classifier that was handed in, trained; with averaging it carries the averaged weights."""
        return self._classifier

    def _streams(self, seed: int) -> Streams:
        # A second fit goes on: the same seed must not draw the same again.
        return Streams.of(seed, self._network.device, first_epoch=len(self.history))

    def _needs_validation(self) -> bool:
        return bool(self.method.needs & {"validation", "validation_losses"})

    def _on_device(self, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> DeviceData:
        network = self._network
        return DeviceData(x, y, classifier=self._classifier, device=network.device, dtype=network.dtype)

    def _run(
        self,
        source: Source,
        held: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None,
        *,
        nb_epochs: int,
        scheduler: Any,
        seed: int,
        verbose: bool,
    ) -> None:
        if isinstance(nb_epochs, bool) or not isinstance(nb_epochs, int | np.integer) or nb_epochs < 1:
            raise ValueError(f"nb_epochs must be an integer >= 1, got {nb_epochs!r}")
        if scheduler is not None and not callable(getattr(scheduler, "step", None)):
            raise TypeError(f"scheduler must have a method step(), got {type(scheduler).__qualname__}")
        self.seed, first = seed, len(self.history)
        streams = self._streams(seed)
        self._start_policies()
        self._load_start_weights()
        self._restore_raw_weights()
        plugins = get_plugin_manager()
        plugins.notify("fairart_fit_start", trainer=self)
        engine = Engine(
            self._network,
            self._classifier.optimizer,
            self.method,
            self.budget,
            nb_classes=self._classifier.nb_classes,
            streams=streams,
            augmentation=self.augmentation,
            scheduler=scheduler,
            clean_statistics=self.clean_statistics,
        )

        def on_epoch_end(record: EpochRecord) -> None:
            self.history.append(record)
            # What a generator holds is only known once it was drawn from; arrays were looked at before.
            if record.epoch == first and isinstance(source, GeneratorSource):
                warn_absent_classes(record.robust.support, stacklevel=6)
            plugins.notify("fairart_epoch_end", trainer=self, record=record)

        try:
            with isolated_random_state(seed, self._network.device, first_epoch=first), restored_modes(self._network):
                engine.run(
                    source,
                    first_epoch=first,
                    nb_epochs=first + int(nb_epochs),
                    validator=self._validator(held, source.batch_size),
                    on_epoch_end=on_epoch_end,
                    verbose=verbose,
                )
        finally:
            self._classifier.optimizer.zero_grad(set_to_none=True)
        self._take_average()
        plugins.notify("fairart_fit_end", trainer=self)

    def _validator(self, held: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None, batch_size: int) -> Validator | None:
        if held is None:
            return None
        budget, needs = self.budget, self.method.needs
        # Losses are those of TRADES, which their own attack must maximise; its predictions then serve everybody.
        attack = ValidationAttack(
            eps=budget.eps,
            eps_step=budget.eps_step,
            max_iter=self.method.validation_iter or budget.max_iter,
            loss="kl" if "validation_losses" in needs else "ce",
        )
        return Validator(
            self._predicting,
            self._on_device(*held),
            attack,
            nb_classes=self._classifier.nb_classes,
            batch_size=max(batch_size, 256),
            losses="validation_losses" in needs,
        )

    def _start_policies(self) -> None:
        classes, method = self._classifier.nb_classes, self.method
        method.epsilon_scheduler.start(classes, self.budget.eps, self.budget.eps_step)
        method.class_weighting.start(classes)
        if method.target_sampler is not None:
            method.target_sampler.start(classes)

    def _load_start_weights(self) -> None:
        if self._start_weights is not None:
            self._network.module.load_state_dict(self._start_weights)
            self._start_weights = None

    def _restore_raw_weights(self) -> None:
        if self.raw_weights is not None:
            self._network.module.load_state_dict(self.raw_weights)
            self.raw_weights = None

    def _take_average(self) -> None:
        averaging = self.method.averaging
        if averaging is None:
            return
        if averaging.average is None:
            _warn_no_average(len(self.history))
            return
        self.raw_weights = copy.deepcopy(self._network.module.state_dict())
        self._network.module.load_state_dict(averaging.average)


def _warn_no_average(nb_epochs: int) -> None:
    warnings.warn(
        f"weight averaging took in none of the {nb_epochs} epochs (start_epoch or threshold too high for this run): the "
        "classifier keeps its last weights",
        UserWarning,
        stacklevel=5,
    )


def _pair(data: Any) -> Pair:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"validation_data must be a pair (x, y), got {type(data).__qualname__}")
    return data[0], data[1]


def _check_optimizer(classifier: PyTorchClassifier) -> None:
    if classifier.optimizer is None:
        raise ValueError("the classifier has no optimizer: expected PyTorchClassifier(..., optimizer=...)")
    trained = {id(p) for group in classifier.optimizer.param_groups for p in group["params"]}
    if not trained & {id(p) for p in classifier.model.parameters()}:
        raise ValueError("the classifier's optimizer holds none of the model's parameters: make it from model.parameters()")
