"""The base class of classification losses, and the cross-entropy."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from fairart.policies.base import Policy
from fairart.statistics import EpochStatistics

__all__ = ["ClassificationLoss", "CrossEntropyLoss", "cross_entropy", "label_shares"]


def cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of each sample, (n,); the label has weight 1 - s + s / K, every other class s / K.

    Args:
        logits: (n, K).
        y: (n,) labels, or (n, K) shares of the classes.
        label_smoothing: s in [0, 1) (Szegedy et al., CVPR 2016).
    """
    return F.cross_entropy(logits, y, reduction="none", label_smoothing=label_smoothing)


def label_shares(labels: Tensor, like: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Shares of the classes that a loss compares the probabilities with, (n, K), in the precision of ``like``.

    Args:
        labels: (n,) classes, or (n, K) shares of them.
        like: (n, K) probabilities.
        label_smoothing: s in [0, 1): shares q become (1 - s) q + s / K.
    """
    nb_classes = like.shape[1]
    shares = (F.one_hot(labels, nb_classes) if labels.ndim == 1 else labels).to(like.dtype)
    return shares if label_smoothing == 0 else (1 - label_smoothing) * shares + label_smoothing / nb_classes


class ClassificationLoss(Policy):
    """What an objective takes as its cross-entropy; subclasses write :meth:`losses`.

    Objectives call it through ``Batch.classification``: AT on the adversarial inputs, TRADES on the clean ones. Attacks keep the
    plain cross-entropy.
    """

    takes_soft_labels: ClassVar[bool] = True
    """Whether labels may be shares of the classes, (n, K), as MixUp gives them."""
    takes_label_smoothing: ClassVar[bool] = True
    """Whether label smoothing can be combined with it; it is refused otherwise."""

    def start(self, nb_classes: int) -> None:
        """Begin a run.

        Args:
            nb_classes: K; ``class_counts`` has the training samples of each class, where they are known.
        """
        self.nb_classes = nb_classes

    def trained_logits(self, logits: Tensor) -> Tensor:
        """The logits of the model that is trained, (n, K), where they are not those of the model that predicts.

        A loss that shifts the logits in training alone trains the shifted model. Terms that compare two predictions, such as the
        KL term of TRADES, must compare its predictions: on plain logits they are small wherever the plain model is sure, also of
        one rare class for every input, and training stops there.

        Args:
            logits: (n, K) of the model that predicts.
        """
        return logits

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The loss of each sample, (n,).

        Args:
            logits: (n, K).
            labels: (n,) classes, or (n, K) shares of them.
            label_smoothing: share of each label that is spread over all classes, in [0, 1).
        """
        raise NotImplementedError

    def update(self, statistics: EpochStatistics) -> None:
        """Told after every epoch.

        Args:
            statistics: of the epoch that ended.
        """


class CrossEntropyLoss(ClassificationLoss):
    """The cross-entropy itself."""

    def losses(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of each sample, (n,)."""
        return cross_entropy(logits, labels, label_smoothing)
