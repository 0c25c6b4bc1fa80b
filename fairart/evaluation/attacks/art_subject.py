"""What ART's attacks are run on: the network as a plain ART classifier of inputs between 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from fairart.evaluation.attacks.target import AttackTarget
from fairart.evaluation.attacks.unit import UnitNetwork

__all__ = ["FloatArray", "Subject", "run_art"]

FloatArray = npt.NDArray[np.float32]


class Subject(PyTorchClassifier):  # type: ignore[misc]
    """The network of a target, for ART.

    The user's own classifier is not handed to ART's attacks: its postprocessing would hide the logits that they need, its
    loss may be any, and several attacks work only on inputs between 0 and 1 (DeepFool multiplies its step by the range, C&W
    starts at a distance of 1). Preprocessing is inside the network.

    Args:
        unit: the network.
        target: what is attacked.
    """

    def __init__(self, unit: UnitNetwork, target: AttackTarget) -> None:
        super().__init__(
            model=unit,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(target.classifier.input_shape),
            nb_classes=target.classifier.nb_classes,
            clip_values=(0.0, 1.0) if unit.bounded else None,
            channels_first=target.classifier.channels_first,
            device_type="cpu" if target.network.device.type == "cpu" else "gpu",
        )

    def predict(self, x: npt.NDArray[Any], batch_size: int = 128, training_mode: bool = False, **kwargs: Any) -> FloatArray:
        """Logits; ART's own ``predict`` builds a data loader that collates sample by sample.

        Args:
            x: (n, ...) inputs between 0 and 1.
            batch_size: samples at a time.
            training_mode: must be False, as it is in every attack.
            **kwargs: unused.

        Returns:
            (n, K) logits.
        """
        self.model.train(training_mode)
        parts = []
        with torch.no_grad():
            for first in range(0, len(x), batch_size):
                part = np.ascontiguousarray(x[first : first + batch_size], dtype=np.float32)
                parts.append(self.model(torch.from_numpy(part).to(self.device)).cpu().numpy())
        logits: FloatArray = np.concatenate(parts)
        return logits


def run_art(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    attack: Callable[[Subject, FloatArray, FloatArray], FloatArray],
    *,
    scale: float = 1.0,
) -> Tensor:
    """Run an attack of ART.

    Args:
        target: what is attacked.
        x: (n, ...) inputs in clip values.
        y: (n,) labels.
        attack: gets the classifier, (n, ...) inputs between 0 and 1 and (n, K) one-hot labels, gives adversarial inputs
            between 0 and 1.
        scale: what logits are multiplied with, for attacks whose constants presume a size of them.

    Returns:
        (n, ...) adversarial inputs in clip values.
    """
    unit = UnitNetwork(target.network, logit_scale=scale)
    unit.eval()
    subject = Subject(unit, target)
    images = unit.scale(x).cpu().numpy()
    one_hot = np.eye(target.classifier.nb_classes, dtype=np.float32)[y.cpu().numpy()]
    # ART keeps every warning about lazy settings; only what it returns matters here.
    with torch.enable_grad():
        found = attack(subject, images.copy(), one_hot)
    result = unit.restore(torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32)))
    # What came back untouched is untouched: scaling there and back may round.
    same = torch.from_numpy((found == images).reshape(len(images), -1).all(axis=1)).to(x.device)
    return torch.where(same.view(-1, *[1] * (x.ndim - 1)), x, result)
