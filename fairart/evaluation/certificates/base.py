"""The base of certificates: for every sample a prediction, and a radius within which it provably does not change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.errors import OptionError
from fairart.evaluation.attacks.target import AttackTarget
from fairart.plugins.options import Option

__all__ = ["ABSTAINED", "Certificate", "Memory", "Radii", "checked_radii"]

Memory = dict[str, npt.NDArray[Any]]
"""name -> (b,) values, one a sample."""

ABSTAINED = -1
"""The prediction of a sample for which a certificate abstains."""

Radii = Annotated[
    tuple[float, ...] | None, Option("radii that tables show, a list such as [0.1,0.2]; None: chosen by the certificate")
]


class Certificate:
    """Certifies predictions; subclasses write :meth:`certify`, or :meth:`round` where a sample takes several rounds.

    The evaluation goes over all samples once a round and keeps what every round gives, so that it can stop after any batch and
    go on later. The network is in eval mode and its parameters take no gradient.
    """

    order: ClassVar[float] = 2.0
    """Order of the norm that the radii are measured in: 2 or ``math.inf``."""
    deterministic: ClassVar[bool] = True
    """Whether the radii hold without exception, for the model itself: an attack that breaks one is then an error. False for
    what holds with a probability, or for another classifier than the model."""
    subject: ClassVar[str] = "the model"
    """Whose predictions are certified, in words; it stands beside every number."""
    logits_alone: ClassVar[bool] = False
    """Whether the rounds call the network for logits and look at nothing else of it: on a CPU it then comes in a faster form,
    equal up to rounding."""
    columns: ClassVar[Mapping[str, Any]] = {"predictions": np.int64, "radii": np.float64}
    """name -> dtype of the number that is kept of every sample between rounds."""

    @property
    def rounds(self) -> int:
        """How many times :meth:`round` is called for every sample."""
        return 1

    @property
    def copies(self) -> int:
        """Inputs that the network gets for one sample of a round; the batch size divided by this is the samples at a time."""
        return 1

    def at_once(self, x: Tensor, batch_size: int) -> int:
        """How many samples one call of :meth:`round` is given, >= 1; the last of a round may be given fewer.

        Args:
            x: (m, ...) some samples, on the model's device.
            batch_size: inputs of the network at a time that the evaluation asks for.
        """
        return max(1, batch_size // self.copies)

    @property
    def shown(self) -> tuple[float, ...]:
        """The radii that tables show, ascending."""
        raise NotImplementedError

    def check(self, classifier: PyTorchClassifier) -> Mapping[str, Any]:
        """Look at the classifier before any work.

        Args:
            classifier: what is to be certified.

        Returns:
            Notes (text, numbers, lists) that stand beside the options.

        Raises:
            OptionError: it cannot be certified in this way.
        """
        return {}

    def certify(self, target: AttackTarget, x: Tensor) -> tuple[Tensor, Tensor]:
        """Certify one batch.

        Args:
            target: the model, and a seed for each sample.
            x: (b, ...) samples in clip values.

        Returns:
            (b,) predicted classes, -1 where it abstains, and (b,) radii >= 0 in the classifier's input units; 0
            certifies nothing.
        """
        raise NotImplementedError

    def round(self, number: int, target: AttackTarget, x: Tensor, memory: Memory) -> Memory:
        """One round over one batch.

        Args:
            number: of the round, from 0.
            target: the model, and a seed for each sample and round.
            x: (b, ...) samples in clip values.
            memory: what the rounds before kept of these samples; zeros in round 0.

        Returns:
            The columns that changed.
        """
        predictions, radii = self.certify(target, x)
        return {"predictions": predictions.cpu().numpy(), "radii": radii.double().cpu().numpy()}

    def finish(self, memory: Memory) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Predictions and radii of all samples, after the last round.

        Args:
            memory: the columns, (n,) each.
        """
        return memory["predictions"], memory["radii"]


def checked_radii(name: str, radii: Sequence[float] | None, default: Sequence[float]) -> tuple[float, ...]:
    """Radii to show, ascending and each once.

    Args:
        name: of the certificate, for messages.
        radii: what the user gave, or None.
        default: what is shown without it.

    Raises:
        OptionError: no radius, or one that is no finite number >= 0.
    """
    chosen = default if radii is None else radii
    for radius in chosen:
        if isinstance(radius, bool) or not isinstance(radius, int | float) or not (math.isfinite(radius) and radius >= 0):
            raise OptionError(f"certificate {name!r}: radii expects finite numbers >= 0, got {radius!r}")
    if not chosen:
        raise OptionError(f"certificate {name!r}: radii expects at least one radius, got none")
    return tuple(sorted({float(radius) for radius in chosen}))
