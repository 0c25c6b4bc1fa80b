"""The base of objectives: an inner attack and the losses on what it made, nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from fairart.attacks.common import ClipValues
from fairart.plugins.options import Option
from fairart.policies.base import Policy
from fairart.policies.class_weightings.base import LossTerms
from fairart.policies.classification_losses.base import ClassificationLoss, cross_entropy
from fairart.statistics import ComparedByValue

__all__ = ["AttackMode", "Batch", "Examples", "Objective", "cross_entropy"]

Examples = tuple[Tensor, ...]
"""The adversarial inputs that an objective trains on: one tensor, or several of one shape (BAT has two)."""

AttackMode = Annotated[Literal["train", "eval"], Option("batch-norm and dropout mode during the inner attack")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch(ComparedByValue):
    """One batch and the plan for it.

    Args:
        x: (n, ...) clean inputs within the clip values.
        y: (n,) labels; of a mixed sample the one with the larger share.
        eps: (n,) budget of each sample.
        eps_step: (n,) attack step of each sample.
        max_iter: number of attack steps.
        targets: (n,) classes to aim at, one equal to its label for an untargeted example; None for untargeted training.
        mixed: whether some targets may equal their labels.
        clip_values: smallest and largest value of an input.
        norm: that eps and step are measured in, inf or 2.
        epoch: number of the epoch, from 0.
        progress: share of the training that is done, in [0, 1).
        label_smoothing: share of each label that the loss spreads over all classes, in [0, 1); attacks do not use it.
        classification_loss: what stands in for the cross-entropy; None for the cross-entropy.
        soft_labels: (n, K) shares of the classes in each sample, where samples are mixed; None where ``y`` says it all.
        groups: (n,) group of each sample, for class weightings; None where ``fit`` was given none.
        generator: random state on the device of ``x``.
    """

    x: Tensor
    y: Tensor
    eps: Tensor
    eps_step: Tensor
    max_iter: int
    targets: Tensor | None = None
    mixed: bool = False
    clip_values: ClipValues = (0.0, 1.0)
    norm: float = math.inf
    epoch: int = 0
    progress: float = 0.0
    label_smoothing: float = 0.0
    classification_loss: ClassificationLoss | None = None
    soft_labels: Tensor | None = None
    groups: Tensor | None = None
    generator: torch.Generator | None = field(default=None, repr=False)

    @property
    def aims(self) -> Tensor:
        """What the attack's cross-entropy is taken to: the targets where there are any, else the labels.

        (n,) classes; where samples are mixed (n, K) shares of the classes, all in the target of a sample that aims at one.
        """
        if self.soft_labels is None:
            return self.y if self.targets is None else self.targets
        if self.targets is None:
            return self.soft_labels
        hard = torch.zeros_like(self.soft_labels).scatter_(1, self.targets[:, None], 1.0)
        return torch.where((self.targets != self.y)[:, None], hard, self.soft_labels)

    @property
    def targeted(self) -> bool | Tensor:
        """Which samples aim at a class: (n,) bool, or False for none."""
        return False if self.targets is None else self.targets != self.y

    def classification(self, logits: Tensor) -> Tensor:
        """The classification loss of each sample, (n,), on logits (n, K) of its clean or adversarial input.

        Every objective takes its cross-entropy from here: other losses, label smoothing and soft labels reach all of them.
        """
        labels = self.y if self.soft_labels is None else self.soft_labels
        if self.classification_loss is not None:
            return self.classification_loss.losses(logits, labels, self.label_smoothing)
        return cross_entropy(logits, labels, self.label_smoothing)

    def trained_logits(self, logits: Tensor) -> Tensor:
        """The logits of the model that the classification loss trains, (n, K): what terms between two predictions compare.

        Args:
            logits: (n, K) of the model that predicts.
        """
        return logits if self.classification_loss is None else self.classification_loss.trained_logits(logits)

    @property
    def budget(self) -> dict[str, Any]:
        """Arguments that every attack of ``fairart.attacks`` takes."""
        return {
            "eps": self.eps,
            "eps_step": self.eps_step,
            "max_iter": self.max_iter,
            "clip_values": self.clip_values,
            "generator": self.generator,
            "norm": self.norm,
        }


class Objective(Policy):
    """What one batch minimises; subclasses write :meth:`examples` and :meth:`losses`.

    The engine sets ``attack_mode`` while :meth:`examples` runs, projects what comes back onto every sample's budget and the clip
    values, and calls :meth:`losses` in train mode.
    """

    attack_mode: str = "train"
    perturbs: ClassVar[bool] = True
    """Whether :meth:`examples` is meant to change the inputs; the engine takes no change for an error then."""
    has_boundary: ClassVar[bool] = False
    """Whether :meth:`losses` gives a ``boundary`` term, which some class weightings are about."""
    takes_targets: ClassVar[bool] = True
    """Whether :meth:`examples` heeds the batch's targets; with a target sampler the objective is refused where not."""
    norms: ClassVar[frozenset[float]] = frozenset({math.inf, 2})
    """Norms of the budget that :meth:`examples` heeds (``batch.norm``); with another one the objective is refused."""
    nb_examples: ClassVar[int] = 1
    """Number of tensors that :meth:`examples` gives."""
    takes_soft_labels: ClassVar[bool] = False
    """Whether the objective works on mixed samples (MixUp, CutMix): its cross-entropy comes from :meth:`Batch.classification`,
    its attack's from ``Batch.aims``, and no further term asks for one true class. It is refused with them where not."""
    single_step: ClassVar[bool] = False
    """Whether the inner attack takes one gradient, whatever ``max_iter`` says: training is then watched for catastrophic
    overfitting."""

    def check(self, network: nn.Module) -> None:
        """Look at the network before any training; a trainer calls it when it is made.

        Args:
            network: logits (n, K) of inputs in clip values.

        Raises:
            OptionError: the objective cannot train it.
        """

    @property
    def uses_budget(self) -> bool:
        """Whether eps makes a difference: to an attack, or, where nothing is attacked, to the losses."""
        return self.perturbs

    @property
    def budget_factor(self) -> float:
        """How far from its input an example may lie, in units of its eps; the engine projects onto that."""
        return 1.0

    def examples(self, network: nn.Module, batch: Batch) -> Tensor | Examples:
        """The inner maximisation.

        Args:
            network: logits (n, K) of inputs.
            batch: inputs, labels, targets, budgets.

        Returns:
            (n, ...) adversarial inputs, or a tuple of several such tensors.
        """
        raise NotImplementedError

    def losses(self, network: nn.Module, batch: Batch, examples: Examples) -> LossTerms:
        """The loss of every sample; gradients on the parameters are on.

        Args:
            network: logits (n, K) of inputs, in train mode.
            batch: inputs and labels.
            examples: what :meth:`examples` gave, projected.
        """
        raise NotImplementedError
