"""The classifier's loss: what of it is used in training, and what is refused."""

from __future__ import annotations

from art.estimators.classification import PyTorchClassifier
from torch import nn
from torch.nn import functional as F

from fairart.errors import OptionError

__all__ = ["label_smoothing_of"]


def label_smoothing_of(classifier: PyTorchClassifier) -> float:
    """The label smoothing of the classifier's loss, in [0, 1].

    Trainers compute the loss of their objective. They take the label smoothing of a cross-entropy from the classifier;
    every other setting would be ignored, so it is refused.

    Args:
        classifier: the ART classifier.

    Raises:
        OptionError: class weights, ``ignore_index``, a sum over the batch, or another loss than the cross-entropy.
    """
    loss = classifier.loss
    if loss is F.cross_entropy:
        return 0.0
    if not isinstance(loss, nn.CrossEntropyLoss):
        name = type(loss).__name__ if isinstance(loss, nn.Module) else getattr(loss, "__name__", type(loss).__name__)
        raise OptionError(
            f"the classifier's loss {name} would be ignored: a trainer computes the loss of its objective. Give the classifier a "
            "torch.nn.CrossEntropyLoss(), and choose another loss as objective=..."
        )
    if loss.weight is not None:
        raise OptionError(
            "the classifier's loss has class weights, which a trainer would ignore: choose class_weighting=... instead"
        )
    if loss.reduction != "mean":
        raise OptionError(f"the classifier's loss has reduction {loss.reduction!r}: trainers take the mean over the batch")
    if loss.ignore_index != -100:
        raise OptionError(f"the classifier's loss has ignore_index {loss.ignore_index}: leave those samples out of the data")
    return float(loss.label_smoothing)
