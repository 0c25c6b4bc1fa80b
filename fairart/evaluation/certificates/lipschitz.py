"""An L2 radius from a Lipschitz constant of the whole network."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from fairart.bounds import BoundedNetwork, NoBoundsError
from fairart.bounds.lipschitz import lipschitz_constant
from fairart.engine.network import Network
from fairart.errors import OptionError
from fairart.evaluation.attacks.target import AttackTarget
from fairart.evaluation.certificates.base import Certificate, Radii, checked_radii

__all__ = ["LipschitzCertificate"]

ROUNDING = 1e-5
"""Share of the largest logit by which a margin is lowered: the model itself computes in 32 bits."""


class LipschitzCertificate(Certificate):
    """An L2 radius: margins over the product of the layers' spectral norms (Szegedy et al., 2014; Tsuzuku et al., NeurIPS 2018).

    ``min_k (z_y - z_k) / (L ||w_y - w_k||)``, where L is the constant of all layers but the last, whose rows are w; that is at
    least the margin over sqrt(2) times the constant of the network. The norms are bounded from above, so the radius holds for
    the model itself. It is loose: the worst input of one layer is not that of the next. The table says how loose.

    Args:
        radii: that tables show; by default up to 0.1.
    """

    order: ClassVar[float] = 2.0
    subject: ClassVar[str] = "the model itself"

    def __init__(self, *, radii: Radii = None) -> None:
        self._shown = checked_radii("lipschitz", radii, (0.0, 0.005, 0.01, 0.02, 0.05, 0.1))
        self._steepness: Tensor | None = None

    @property
    def shown(self) -> tuple[float, ...]:
        """The radii that tables show."""
        return self._shown

    def check(self, classifier: PyTorchClassifier) -> dict[str, Any]:
        """Compute the constant; refuse a network with a layer whose constant is not known."""
        network = Network(classifier)
        if not network.is_monotone:
            raise OptionError("certificate 'lipschitz' knows preprocessing by mean and standard deviation alone")
        # A copy: deepcopy keeps the user's modes, and 64 bits keep the norms exact.
        module = copy.deepcopy(network.module).double().eval()
        example = torch.zeros((1, *classifier.input_shape), device=network.device, dtype=torch.float64)
        try:
            constant, weight = lipschitz_constant(BoundedNetwork(module), network.preprocessed(example))
        except NoBoundsError as error:
            raise OptionError(f"certificate 'lipschitz' knows no constant of this network: {error}") from error
        standardised = network.standardisation
        constant *= 1.0 if standardised is None else float(1 / standardised[1].double().min())
        if weight is None:
            self._steepness = torch.full((classifier.nb_classes,) * 2, math.sqrt(2) * constant, dtype=torch.float64)
            whole = constant
        else:
            weight = weight.detach()
            self._steepness = constant * torch.cdist(weight.double(), weight.double()).cpu()
            whole = constant * float(torch.linalg.matrix_norm(weight.double(), ord=2))
        return {"Lipschitz constant of the logits": float(f"{whole:.4g}")}

    @torch.no_grad()
    def certify(self, target: AttackTarget, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions, and the smallest margin over its steepness."""
        if self._steepness is None:
            self.check(target.classifier)
        assert self._steepness is not None
        logits = target.network(x).double()
        labels = logits.argmax(dim=1)
        steepness = self._steepness.to(logits.device)[labels]
        margins = logits.gather(1, labels[:, None]) - logits - ROUNDING * logits.abs().amax(dim=1, keepdim=True)
        # Two equal rows of weights: their logits never change places.
        radii = torch.where(steepness > 0, margins / steepness.clamp_min(torch.finfo(torch.float64).tiny), math.inf)
        radii = radii.masked_fill(nn.functional.one_hot(labels, logits.shape[1]).bool(), math.inf)
        return labels, radii.amin(dim=1).clamp(min=0.0, max=torch.finfo(torch.float32).max)
