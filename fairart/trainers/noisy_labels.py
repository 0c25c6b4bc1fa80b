"""Trainers for noisy labels, over standard and adversarial training: co-teaching and self-training."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.engine.co_teaching import CoTeachingEngine, Peer, peer_of
from fairart.engine.data.augmentation import AugmentationChain
from fairart.engine.execution import executed
from fairart.engine.loop import Engine
from fairart.engine.self_training import SelfTrainingEngine
from fairart.plugins import origin
from fairart.plugins.options import Option
from fairart.trainers.base import FairnessTrainer

__all__ = ["CoTeachingTrainer", "SelfTrainingTrainer"]


class CoTeachingTrainer(FairnessTrainer):
    """Co-teaching: each of two networks learns the samples that the other finds easy (Han et al., NeurIPS 2018).

    Of every batch a network picks the share R(t) = 1 - tau min(t / T_k, 1) with the smallest losses, and the other one takes its
    step on these. Over any objective: with ``objective="at"`` or ``"trades"`` each network is attacked by itself, and the losses
    that choose are its classification losses, adversarial or clean. The given classifier is the first network; the second one,
    :attr:`second_network`, is a copy with new weights, which ``warm_start`` leaves alone. Two networks take twice the time. Hard
    classes have large losses too, and are left out more often than easy ones: look at the classes. Takes the arguments of
    :class:`FairnessTrainer` as well.

    Args:
        classifier: see :class:`FairnessTrainer`.
        noise_rate: tau, the share of wrong labels that is expected.
        ramp_epochs: T_k, epochs until that share is left out; the first epoch leaves out nothing.

    Raises:
        ValueError: ``weight_perturbation``, an ART ``attack``, several processes or gradient accumulation.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "standard"}
    one_process: ClassVar[bool] = True

    def __init__(
        self,
        classifier: PyTorchClassifier,
        *,
        noise_rate: Annotated[
            float, Option("share of wrong labels that is expected", low=0, high=1, high_open=True, source="Han et al.: the rate")
        ] = 0.2,
        ramp_epochs: Annotated[int, Option("epochs until so many samples are left out", low=1, source="Han et al. 10")] = 10,
        **options: Any,
    ) -> None:
        own = self._checked(noise_rate=noise_rate, ramp_epochs=ramp_epochs)
        self.noise_rate, self.ramp_epochs = float(own["noise_rate"]), int(own["ramp_epochs"])
        self._peer: Peer | None = None
        super().__init__(classifier, **options)
        perturbation = self.method.weight_perturbation
        if perturbation is not None:
            raise ValueError(
                f"weight_perturbation: {origin(perturbation)} perturbs one network, and co-teaching trains two. Take "
                "weight_perturbation=None"
            )
        if self.method.attack is not None:
            name = type(self.method.attack.attack).__name__
            raise ValueError(
                f"attack: {name} attacks one classifier, and co-teaching trains two. Take the objective's own attack"
            )
        if self.processes.size > 1:
            raise ValueError("co-teaching chooses samples of the whole batch, and trains in one process: take devices=1")
        if self.method.gradient_accumulation_steps > 1:
            raise ValueError(
                "co-teaching chooses samples of the whole batch, and trains on all of it at once: take "
                f"gradient_accumulation_steps=1, got {self.method.gradient_accumulation_steps}"
            )

    @property
    def second_network(self) -> nn.Module | None:
        """The second model, trained beside the first one; None before the first fit."""
        return None if self._peer is None else self._peer.network.module

    def _new_engine(self, *arguments: Any, **options: Any) -> Engine:
        if self._peer is None:
            assert self.seed is not None, "a fit has resolved its seed"
            self._peer = peer_of(self._network, self._classifier.optimizer, self.seed)
        return CoTeachingEngine(*arguments, peer=self._peer, noise_rate=self.noise_rate, ramp_epochs=self.ramp_epochs, **options)

    def _train(self, engine: Engine, *arguments: Any, **options: Any) -> None:
        assert isinstance(engine, CoTeachingEngine)
        with executed(engine.peer, self.execution):
            super()._train(engine, *arguments, **options)

    def _identity(self, *arguments: Any, **options: Any) -> dict[str, str | int | float]:
        own = {"noise_rate": self.noise_rate, "ramp_epochs": self.ramp_epochs}
        return {**super()._identity(*arguments, **options), **own}


class SelfTrainingTrainer(FairnessTrainer):
    """Self-training: confident predictions replace labels (Lee, ICML workshop 2013; hard bootstrapping, Reed et al., ICLR 2015).

    After a warm-up on the labels as given, a sample whose predicted class has at least the probability ``threshold`` is trained
    with that class, others with their label. Predictions are made anew in every batch, on clean images in eval mode (one forward
    pass more). Over any objective: with ``objective="at"`` attack and budget go by the new label. The history has the share of
    each given class that was replaced (``relabelled``). A class that the network takes for another one is lost to it: look at
    the classes. Takes the arguments of :class:`FairnessTrainer` as well.

    Args:
        classifier: see :class:`FairnessTrainer`.
        threshold: confidence from which a label is replaced. A network that is trained on wrong labels is seldom surer than the
            share of right ones, under adversarial training less: with 40 % wrong labels take 0.6. A run of some length in which
            nothing was replaced gives a warning.
        warm_up: epochs with the labels as given; None for half of the run.

    Raises:
        ValueError: an augmentation that mixes samples, which have two labels.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "standard"}

    def __init__(
        self,
        classifier: PyTorchClassifier,
        *,
        threshold: Annotated[float, Option("confidence from which a label is replaced", low=0, low_open=True, high=1)] = 0.7,
        warm_up: Annotated[int | None, Option("epochs with the labels as given; None: half of the run", low=0)] = None,
        **options: Any,
    ) -> None:
        own = self._checked(threshold=threshold, warm_up=warm_up)
        self.threshold, self.warm_up = float(own["threshold"]), own["warm_up"]
        super().__init__(classifier, **options)
        if isinstance(self.augmentation, AugmentationChain) and self.augmentation.mixes:
            raise ValueError(
                "augmentation: mixed samples have two labels, and self-training replaces one. Take an augmentation that does not "
                "mix"
            )

    def _new_engine(self, *arguments: Any, **options: Any) -> Engine:
        return SelfTrainingEngine(*arguments, threshold=self.threshold, warm_up=self.warm_up, **options)

    def _identity(self, *arguments: Any, **options: Any) -> dict[str, str | int | float]:
        own = {"threshold": self.threshold, "warm_up": "half of the run" if self.warm_up is None else self.warm_up}
        return {**super()._identity(*arguments, **options), **own}
