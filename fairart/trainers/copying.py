"""Copies of trainers, by ``pickle`` for another process or by ``copy.deepcopy``.

ART's own way of pickling a classifier writes its weights to a file of the user's ART folder, and reads them there again. Here the
weights travel with the classifier.
"""

from __future__ import annotations

from typing import Any

import torch
from art.estimators.classification import PyTorchClassifier

__all__ = ["ClassifierState"]

MADE_ANEW = ("_model_wrapper", "_model", "_device")
"""Attributes of a classifier that follow from its network and from the device."""


class ClassifierState:
    """A classifier's network and attributes, without the parts that cannot be pickled.

    Args:
        classifier: the classifier.
    """

    def __init__(self, classifier: PyTorchClassifier) -> None:
        self.kind = type(classifier)
        self.network = classifier.model
        self.device = str(classifier.device)
        self.attributes = {name: value for name, value in vars(classifier).items() if name not in MADE_ANEW}

    def restored(self) -> PyTorchClassifier:
        """The classifier, on its device if that is here, else on the CPU."""
        classifier: Any = object.__new__(self.kind)
        classifier.__dict__.update(self.attributes)
        here = not self.device.startswith("cuda") or torch.cuda.is_available()
        classifier._device = torch.device(self.device if here else "cpu")
        classifier._model = classifier._make_model_wrapper(self.network)
        classifier._model.to(classifier._device)
        return classifier
