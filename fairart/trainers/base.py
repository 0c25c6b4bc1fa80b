"""Base class of all trainers: an ART ``Trainer`` whose parts are chosen by a preset."""

from __future__ import annotations

import math
import os
import warnings
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from art.attacks import EvasionAttack
from art.data_generators import DataGenerator
from art.estimators.classification import PyTorchClassifier
from torch.utils.data import DataLoader, Dataset

from fairart.attacks.steps import step_of
from fairart.datasets.stored import Images, StoredImages, select
from fairart.did_you_mean import did_you_mean
from fairart.engine.art_attack import ArtInnerAttack
from fairart.engine.best import BestEpoch
from fairart.engine.checkpoints.checkpointing import Checkpointing
from fairart.engine.checkpoints.warm_start import read_weights
from fairart.engine.data import check_inputs, check_pair, stratified_split, uint8_divisor, warn_absent_classes
from fairart.engine.data.augmentation import AnyAugmentation, AugmentationChain, make_augmentation
from fairart.engine.data.extra import check_extra_share, data_with_extra
from fairart.engine.data.sources import ArraySource, DeviceData, GeneratorSource, as_generator
from fairart.engine.execution import check_execution, chosen_execution
from fairart.engine.history import History
from fairart.engine.method import Budget, Method
from fairart.engine.network import Network, check_model, check_plain, predicted, restored_modes, returns_plain_logits
from fairart.engine.processes import ONE_PROCESS, FabricProcesses
from fairart.engine.randomness import resolve_seed
from fairart.engine.scheduling import Interval
from fairart.errors import OptionError
from fairart.execution import (
    EXECUTION,
    ChannelsLast,
    Compile,
    CudaGraphs,
    Execution,
    FoldBatchNorm,
    GradientAccumulation,
    GradientClipping,
    KeepBest,
    LossScale,
    OnOverfitting,
    PhaseGradients,
    Precision,
)
from fairart.fingerprint import short_digest
from fairart.norms import DEFAULT_EPS, Norm, norm_order
from fairart.objectives.base import Objective
from fairart.plugins.options import Option, check_value, declared_options
from fairart.statistics import Groups
from fairart.trainers.combinations import check_combination, check_extra, check_mixing, check_range
from fairart.trainers.fitting import Fitting
from fairart.trainers.given import Pair, check_optimizer, no_arrays, pair, seed_of, training_groups
from fairart.trainers.loss import label_smoothing_of
from fairart.trainers.parts import (
    PART_OF_KIND,
    AveragingPart,
    ClassificationLossPart,
    EpsilonPart,
    ObjectivePart,
    PerturbationPart,
    SamplingPart,
    TargetPart,
    WeightingPart,
    resolve,
)
from fairart.trainers.signature import PRESET, preset_signature

__all__ = ["FairnessTrainer"]

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]

WarmStart = Annotated[
    str | os.PathLike[str] | None, Option("weights to start from: folder of a run, or a weight file in any layout")
]


class FairnessTrainer(Fitting):
    """Base of all trainers; a subclass says its default parts in ``defaults``.

    The given classifier is trained in place. With ``averaging``, it carries the averaged weights after ``fit``; the raw ones
    are kept, and a further ``fit`` goes on from them, with the policies and the epoch count where they were.

    Args:
        classifier: an ART ``PyTorchClassifier`` with an optimizer; its model gives logits. ``clip_values`` are obeyed, its
            preprocessing is applied inside the attack. Of its ``loss``, a cross-entropy, the label smoothing is used: in the
            loss of training, not in the inner attack.
        objective: registered name (standard, at, trades, fat) or an instance.
        target_sampler: registered name or instance; None for untargeted training.
        epsilon_scheduler: registered name or instance; None for the same budget for every class.
        class_weighting: registered name or instance; None to weight every class alike.
        class_sampling: registered name or instance; None for every sample once an epoch.
        classification_loss: registered name or instance, in place of the cross-entropy of the objective; None for that.
        weight_perturbation: registered name or instance, or None.
        averaging: ``"ema"``, ``"fawa"``, an instance, or None.
        eps: budget in the classifier's input space, >= 0; None for 8/255, with ``norm=2`` for 128/255.
        norm: that eps and its step are measured in, ``"inf"`` or 2 (also ``np.inf``, as ART writes it).
        eps_step: step of the inner attack, >= 0; None for a quarter of eps (2/255 at 8/255).
        max_iter: steps of the inner attack, >= 1.
        attack: an ART ``EvasionAttack`` on this classifier as the inner attack: slower, through numpy.
        augmentation: registered names in their order, such as ``"crop-flip,mixup:alpha=0.4"``; a function (images, generator) ->
            images; or a list of names, functions, instances and transforms of torchvision. None for none.
        hold_out: share of each class kept back for validation where a policy needs it and no ``validation_data`` is given.
        clean_statistics: also count clean predictions on the training batches (one forward pass more a batch).
        on_overfitting: what follows when single-step training (one gradient a batch) loses its robustness within an epoch:
            ``"stop"`` with an error, ``"return"`` to the last good epoch, or ``"ignore"``.
        loss_scale: ``"published"``, or ``"mean-one"``: the coefficients of a sample's terms sum to 1 for every method.
        gradient_clipping: largest norm of the gradient of all parameters together, > 0, or None.
        gradient_accumulation_steps: micro-batches N of each process's part of a batch, >= 1. ``fit(batch_size=...)`` stays the
            samples of one optimizer step; ceil(batch_size / N) of them are in memory at once.
        keep_best: ``"average"`` or ``"worst-class"``: keep the epoch with the best accuracy under PGD on validation data in
            ``best``; held out of the training data where no ``validation_data`` is given. None for nothing.
        warm_start: folder of a run, or weight file, that the first ``fit`` starts from.
        precision: see :class:`fairart.execution.Execution`, as for the five after it.
        channels_last: kernels and images with channels last while training; None: where it pays, on the CPU.
        phase_gradients: another way to the input gradients of a strided first layer; None: where it pays, on the CPU.
        compile: train the network compiled.
        fold_batch_norm: fold batch-norm into the convolutions during attacks in eval mode.
        cuda_graphs: replay the attack's passes.
        fabric: a launched ``lightning.fabric.Fabric``: each of its processes calls ``fit`` with the same data and trains on
            its part of every batch. Statistics, policies and weights are the same in all of them.

    Raises:
        TypeError: no ``PyTorchClassifier``, or a part of the wrong type.
        ValueError: no optimizer, preprocessing that cannot be differentiated, a number out of range, parts that do not go
            together, or ``warm_start`` weights of another model.
        UnknownNameError: a part that is registered nowhere.
    """

    defaults: ClassVar[dict[str, Any]] = {}
    one_process: ClassVar[bool] = False
    """Whether the method looks at whole batches, so that processes cannot share them."""

    def __init__(
        self,
        classifier: PyTorchClassifier,
        *,
        objective: ObjectivePart = PRESET,
        target_sampler: TargetPart = PRESET,
        epsilon_scheduler: EpsilonPart = PRESET,
        class_weighting: WeightingPart = PRESET,
        class_sampling: SamplingPart = PRESET,
        classification_loss: ClassificationLossPart = PRESET,
        weight_perturbation: PerturbationPart = PRESET,
        averaging: AveragingPart = PRESET,
        eps: Annotated[
            float | None, Option("budget, in the classifier's input space; None for 8/255, in L2 for 128/255", low=0)
        ] = None,
        norm: Norm = "inf",
        eps_step: Annotated[float | None, Option("step of the inner attack; None for a quarter of eps", low=0)] = None,
        max_iter: Annotated[int, Option("steps of the inner attack", low=1)] = 10,
        attack: Annotated[EvasionAttack | None, Option("an ART attack as the inner attack")] = None,
        augmentation: Annotated[
            Any, Option("augmentations by name, such as crop-flip,mixup:alpha=0.4; a function, an instance, or a list of these")
        ] = None,
        hold_out: Annotated[
            float,
            Option("share of each class held out where a policy needs validation data", low=0, low_open=True, high=0.5),
        ] = 0.02,
        clean_statistics: Annotated[bool, Option("also count clean predictions in training")] = False,
        on_overfitting: OnOverfitting = "stop",
        loss_scale: LossScale = "published",
        gradient_clipping: GradientClipping = None,
        gradient_accumulation_steps: GradientAccumulation = 1,
        keep_best: KeepBest = None,
        warm_start: WarmStart = None,
        precision: Precision = "32-true",
        channels_last: ChannelsLast = None,
        phase_gradients: PhaseGradients = None,
        compile: Compile = False,
        fold_batch_norm: FoldBatchNorm = False,
        cuda_graphs: CudaGraphs = False,
        fabric: Annotated[Any, Option("a launched Lightning Fabric, whose processes share every batch")] = None,
        **unknown: Any,
    ) -> None:
        ways = (precision, channels_last, phase_gradients, compile, fold_batch_norm, cuda_graphs)
        numbers = {
            "eps": eps,
            "eps_step": eps_step,
            "max_iter": max_iter,
            "hold_out": hold_out,
            "gradient_clipping": gradient_clipping,
            "gradient_accumulation_steps": gradient_accumulation_steps,
        }
        named = {"norm": norm, "on_overfitting": on_overfitting, "loss_scale": loss_scale, "keep_best": keep_best}
        checked = self._check_options({**unknown, **numbers, **named, **dict(zip(EXECUTION, ways, strict=True))})
        self._network = Network(classifier, fit=True)
        self._predicting = Network(classifier)
        check_optimizer(classifier)
        check_model(self._network, nb_classes=classifier.nb_classes, input_shape=tuple(classifier.input_shape), training=True)
        super().__init__(classifier)
        given = {
            "target_sampler": target_sampler,
            "epsilon_scheduler": epsilon_scheduler,
            "class_weighting": class_weighting,
            "class_sampling": class_sampling,
            "classification_loss": classification_loss,
            "weight_perturbation": weight_perturbation,
            "averaging": averaging,
        }
        chosen = resolve("objective", self._preset("objective") if objective is PRESET else objective)
        parts = {kind: resolve(kind, self.default_part(kind, chosen) if part is PRESET else part) for kind, part in given.items()}
        inner = None
        if attack is not None:
            check_plain(self._network, tuple(classifier.input_shape))
            inner = ArtInnerAttack(attack, self._network.module, targets=parts["target_sampler"] is not None)
        self.method = Method(
            objective=chosen,
            **parts,
            attack=inner,
            label_smoothing=label_smoothing_of(classifier),
            loss_scale=checked["loss_scale"],
            gradient_clipping=checked["gradient_clipping"],
            gradient_accumulation_steps=checked["gradient_accumulation_steps"],
        )
        order = norm_order(checked["norm"]) or math.inf
        check_combination(self.method, order, self._network)
        execution = Execution.among(checked)
        check_execution(execution, self._network, self.method, tuple(classifier.input_shape))
        self._start_weights = None if warm_start is None else read_weights(warm_start, self._network)
        radius = float(DEFAULT_EPS[order] if checked["eps"] is None else checked["eps"])
        step = float(step_of(radius, checked["eps_step"], checked["max_iter"]))
        self.budget = Budget(eps=radius, eps_step=step, max_iter=int(checked["max_iter"]), norm=order)
        self.augmentation: AnyAugmentation | None = make_augmentation(augmentation, classifier)
        if isinstance(self.augmentation, AugmentationChain) and self.augmentation.mixes:
            check_mixing(self.method, classifier.nb_classes)
        if isinstance(self.augmentation, AugmentationChain) and self.augmentation.leaves_range:
            check_range(self.method)
        self.hold_out, self.clean_statistics = float(checked["hold_out"]), clean_statistics
        self.on_overfitting: OnOverfitting = checked["on_overfitting"]
        self.best = None if checked["keep_best"] is None else BestEpoch(checked["keep_best"])
        self.processes = ONE_PROCESS if fabric is None else FabricProcesses(fabric)
        self.execution = chosen_execution(execution, self._network, classifier)
        self.history = History()
        self.seed: int | None = None
        self.raw_weights: dict[str, torch.Tensor] | None = None
        self.resumed_from: str | None = None
        self._hold_out_of: tuple[tuple[str, float], Labels, Labels] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the preset's own options and defaults in ``help()`` and to everything that reads the signature."""
        super().__init_subclass__(**kwargs)
        wrong = set(cls.defaults) - set(PART_OF_KIND)
        if wrong:
            raise TypeError(f"{cls.__name__}.defaults: {did_you_mean(min(wrong), PART_OF_KIND)}, got {min(wrong)!r}")
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
                raise OptionError(f"{type(self).__name__} has no option {name!r}; {did_you_mean(name, declared)}")
        return {name: check_value(value, declared[name], where=type(self).__name__) for name, value in options.items()}

    def fit(
        self,
        x: npt.ArrayLike | StoredImages,
        y: npt.ArrayLike | None = None,
        validation_data: Pair | None = None,
        batch_size: int = 128,
        nb_epochs: int = 20,
        *,
        extra_data: Pair | None = None,
        extra_share: float = 0.7,
        groups: npt.ArrayLike | Groups | None = None,
        scheduler: Any = None,
        scheduler_interval: Interval | None = None,
        seed: int | None = None,
        verbose: bool = True,
        checkpoint: Checkpointing | None = None,
    ) -> None:
        """Train on arrays.

        Args:
            x: (n, *input_shape) within the clip values, or uint8 images (divided by 255 for clip values (0, 1)); an array, or
                :class:`fairart.datasets.StoredImages`, which are read from disk batch by batch.
            y: (n,) integer or (n, K) one-hot labels.
            validation_data: (x, y), measured clean and under attack after every epoch; never trained on.
            batch_size: samples a batch; more than n is one batch. A last batch of one sample is merged into the one before.
            nb_epochs: epochs to train, >= 1.
            extra_data: (x, y) of generated or pseudo-labelled samples that are mixed into every batch. Nothing is held out of
                them, and class counts are those of ``y`` alone.
            extra_share: of each batch that comes from ``extra_data``, in (0, 1); an epoch stays as many samples as ``x``.
            groups: (n,) texts or whole numbers, an attribute of the samples such as their site, for class weightings that weigh
                groups (``group-dro``); refused with others, where they would go unused.
            scheduler: learning-rate scheduler of the classifier's optimizer; anything with ``step()``. Or a function that makes
                one once the number of batches is known: ``make(optimizer, nb_epochs=..., nb_batches=...)``.
            scheduler_interval: ``"epoch"`` or ``"batch"``: when the scheduler steps. None: what its class and the number of steps
                it was made for say; ``OneCycleLR`` and ``CyclicLR`` step once a batch, others once an epoch.
            seed: of everything random in the run; None draws one (kept in ``self.seed``).
            verbose: show a progress bar on a terminal.
            checkpoint: where checkpoints are kept, and whether to go on from them; None for none.

        Raises:
            ValueError: bad data or a number out of range, before any training.
            CheckpointError: the checkpoints that are there cannot be gone on from.
            CheckpointWriteError: a checkpoint could not be written; the last good one stays.
            TrainingDivergedError: the loss became NaN or infinite.
            PolicyError: a policy broke its rules; the message names it.
        """
        if y is None or isinstance(x, DataLoader | Dataset | DataGenerator):
            raise no_arrays(x)
        with self._opened(checkpoint) as checkpoints:
            number = self.processes.same(resolve_seed(seed_of(seed, checkpoints)))
            images, labels = check_pair(x, y, self._classifier)
            grouped = training_groups(groups, len(labels), self.method, self.augmentation, extra=extra_data is not None)
            held = (
                None
                if validation_data is None
                else check_pair(*pair(validation_data, "validation_data"), self._classifier, name="validation ")
            )
            if held is None and self._needs_validation():
                kept, out = self._split(images, labels, self._streams(number).split_seed)
                if not len(out):
                    raise ValueError(
                        "a policy, or keep_best, needs validation data and there are too few samples to hold any out"
                    )
                held = select(images, out), labels[out]
                images, labels = select(images, kept), labels[kept]
                grouped = None if grouped is None else grouped.of_samples(kept)
            warn_absent_classes(np.bincount(labels, minlength=self._classifier.nb_classes))
            self._run(
                ArraySource(self._with_extra(images, labels, extra_data, extra_share, grouped, seed=number), batch_size),
                held,
                nb_epochs=nb_epochs,
                scheduler=scheduler,
                scheduler_interval=scheduler_interval,
                seed=number,
                verbose=verbose,
                checkpoints=checkpoints,
            )

    def _with_extra(
        self, images: Images, labels: Labels, extra: Pair | None, share: float, groups: Groups | None, *, seed: int
    ) -> DeviceData:
        if extra is None:
            return self._on_device(images, labels, groups, seed=seed)
        check_extra_share(share)
        check_extra(self.method)
        network, more = self._network, check_pair(*pair(extra, "extra_data"), self._classifier, name="extra ")
        return data_with_extra(
            (images, labels),
            more,
            share,
            seed=seed,
            processes=self.processes.size,
            classifier=self._classifier,
            device=network.device,
            dtype=network.dtype,
        )

    def _split(self, images: Images, labels: Labels, seed: int) -> tuple[Labels, Labels]:
        """Rows to train on and rows held out; the same ones in every fit on the same data."""
        data = (short_digest(images, labels), self.hold_out)
        before = self._hold_out_of
        if before is not None and before[0] == data:
            return before[1], before[2]
        if before is not None:
            warnings.warn(
                "the data differs from that of the fit before, so other validation samples are held out; some of them may have "
                "been trained on: give validation_data=(x, y) to keep validation apart",
                UserWarning,
                stacklevel=3,
            )
        kept, out = stratified_split(labels, self.hold_out, seed)
        self._hold_out_of = data, kept, out
        return kept, out

    @property
    def held_out(self) -> Labels:
        """Rows of ``fit``'s data that the last fit kept for validation and did not train on, ascending."""
        return np.zeros(0, dtype=np.int64) if self._hold_out_of is None else self._hold_out_of[2]

    def fit_generator(
        self,
        generator: DataGenerator | DataLoader[Any],
        nb_epochs: int = 20,
        *,
        validation_data: Pair | None = None,
        scheduler: Any = None,
        scheduler_interval: Interval | None = None,
        seed: int | None = None,
        verbose: bool = True,
        checkpoint: Checkpointing | None = None,
    ) -> None:
        """Train on any ART ``DataGenerator`` or torch ``DataLoader``, drawn from anew in every epoch.

        Args:
            generator: yields batches (x, y) and knows its size; its batch size is used.
            nb_epochs: epochs to train, >= 1.
            validation_data: see :meth:`fit`; needed where a policy needs validation.
            scheduler: see :meth:`fit`.
            scheduler_interval: see :meth:`fit`.
            seed: see :meth:`fit`.
            verbose: see :meth:`fit`.
            checkpoint: see :meth:`fit`. A generator's own position and random state cannot be saved: a resumed run begins an
                epoch anew, and repeats an uninterrupted one only if the generator, made anew, gives the same in every epoch.

        Raises:
            TypeError: neither a ``DataGenerator`` nor a ``DataLoader``.
            ValueError: bad data, a loader without a length, or a policy needs validation data and none is given.
        """
        with self._opened(checkpoint) as checkpoints:
            number = self.processes.same(resolve_seed(seed_of(seed, checkpoints)))
            held = (
                None
                if validation_data is None
                else check_pair(*pair(validation_data, "validation_data"), self._classifier, name="validation ")
            )
            if held is None and self._needs_validation():
                raise ValueError("a policy, or keep_best, needs validation data: give fit_generator(validation_data=(x, y))")
            network = self._network
            self._run(
                GeneratorSource(as_generator(generator), classifier=self._classifier, device=network.device, dtype=network.dtype),
                held,
                nb_epochs=nb_epochs,
                scheduler=scheduler,
                scheduler_interval=scheduler_interval,
                seed=number,
                verbose=verbose,
                checkpoints=checkpoints,
            )

    def predict(self, x: npt.ArrayLike, batch_size: int = 128, **kwargs: Any) -> npt.NDArray[np.float32]:
        """Logits (n, K) of the trained classifier; modes of the model are left as they were.

        Args:
            x: (n, *input_shape) as for :meth:`fit`.
            batch_size: samples at once.
            **kwargs: passed to ART's ``predict``.
        """
        images = check_inputs(x, self._classifier)
        if images.dtype == np.uint8:
            images = images.astype(np.float32) / np.float32(uint8_divisor(self._classifier))
        # ART's predict makes a data loader, which draws from torch's global random state.
        with restored_modes(self._network), torch.random.fork_rng(devices=[]):
            if not returns_plain_logits(self._predicting, tuple(self._classifier.input_shape)):
                return predicted(self._predicting, images, batch_size)
            predictions: npt.NDArray[np.float32] = self._classifier.predict(images, batch_size=batch_size, **kwargs)
        return predictions

    def get_classifier(self) -> PyTorchClassifier:
        """The given classifier, trained; with averaging it carries the averaged weights."""
        return self._classifier
