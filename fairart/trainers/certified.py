"""Training for certificates: on interval bounds, and with Gaussian noise for randomised smoothing."""

from __future__ import annotations

from typing import Any, ClassVar

from art.estimators.classification import PyTorchClassifier

from fairart.engine.data.augmentation.gaussian import Sigma
from fairart.plugins import create
from fairart.trainers.base import FairnessTrainer

__all__ = ["GaussianTrainer", "IBPTrainer"]


class IBPTrainer(FairnessTrainer):
    """Training on interval bounds (Gowal et al., arXiv 1810.12715), for the certificate ``ibp``.

    Ramps of eps and kappa are the objective's: ``objective=create("objective", "ibp", kappa=0.5, ramp=0.5)``. Sensitive to the
    learning rate: clip gradients. Takes the arguments of :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "ibp"}


class GaussianTrainer(FairnessTrainer):
    """Training with Gaussian noise (Cohen, Rosenfeld, Kolter, ICML 2019), for the certificate ``smoothing`` with the same sigma.

    The augmentation ``gaussian`` comes after any other. Takes the arguments of :class:`FairnessTrainer` as well.

    Args:
        classifier: see :class:`FairnessTrainer`.
        sigma: standard deviation of the noise, in the classifier's own input units.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "standard"}

    def __init__(self, classifier: PyTorchClassifier, *, sigma: Sigma = 0.25, **options: Any) -> None:
        self.sigma = float(self._checked(sigma=sigma)["sigma"])
        given = options.pop("augmentation", None)
        before = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
        before = [part for part in before if part != "none"]
        super().__init__(classifier, augmentation=[*before, create("augmentation", "gaussian", sigma=self.sigma)], **options)
