"""Interval bounds: an L-inf radius for the model itself, layer by layer."""

from __future__ import annotations

import copy
import math
import weakref
from typing import Annotated, Any, ClassVar

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from fairart.bounds import BoundedNetwork, Box, NoBoundsError
from fairart.engine.network import Network
from fairart.errors import OptionError
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.evaluation.certificates.base import Certificate, Radii, checked_radii
from fairart.plugins.options import Option

__all__ = ["IBPCertificate"]

MARGIN = 1e-5
"""A logit difference counts as positive above this share of the largest logit: the model itself computes in 32 bits."""


class IBPCertificate(Certificate):
    """Interval bounds: the largest L-inf radius in which no logit can pass that of the predicted class (Gowal et al., 2018).

    It holds for the model itself and for inputs within the clip values. Bounds go through linear and convolution layers,
    batch-norm, ReLU and other monotone layers, pooling, sums and changes of shape; the last layer is folded into the logit
    differences. Computed in 64 bits. Networks that were not trained for it get radii near 0.

    Args:
        eps: largest radius that is looked for; a sample certified there is looked at no further.
        halvings: bisection steps between 0 and eps for the others; radii are exact to ``eps / 2 ** halvings``.
        radii: that tables show; by default quarters of eps.
    """

    order: ClassVar[float] = math.inf
    subject: ClassVar[str] = "the model itself, for inputs within the clip values"

    def __init__(
        self,
        *,
        eps: Epsilon = 8 / 255,
        halvings: Annotated[int, Option("bisection steps between 0 and eps", low=0, high=40)] = 10,
        radii: Radii = None,
    ) -> None:
        self.eps, self.halvings = eps, halvings
        self._shown = checked_radii("ibp", radii, [eps * share for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
        if max(self._shown) > eps:
            raise OptionError(f"certificate 'ibp': radii up to {max(self._shown):g} are shown, but looked for up to eps {eps:g}")
        self._bounded: weakref.WeakKeyDictionary[nn.Module, BoundedNetwork] = weakref.WeakKeyDictionary()

    @property
    def copies(self) -> int:
        """Both ends in 64 bits: the memory of four samples."""
        return 4

    @property
    def shown(self) -> tuple[float, ...]:
        """The radii that tables show."""
        return self._shown

    def check(self, classifier: PyTorchClassifier) -> dict[str, Any]:
        """Refuse a network with a layer that has no bounds."""
        network = Network(classifier)
        if not network.is_monotone:
            raise OptionError(
                "certificate 'ibp' bounds preprocessing by mean and standard deviation alone; the classifier has another one"
            )
        self._bounded.clear()  # of weights that may have changed since
        zeros = torch.zeros((2, *classifier.input_shape), device=network.device, dtype=torch.float64)
        try:
            with torch.no_grad():
                self._of(network.module).logits(Box(*[network.preprocessed(zeros)] * 2))
        except NoBoundsError as error:
            raise OptionError(f"certificate 'ibp' cannot bound this network: {error}") from error
        return {}

    @torch.no_grad()
    def certify(self, target: AttackTarget, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions, and radii by bisection; each is a radius at which the bounds hold."""
        network = target.network
        bounded = self._of(network.module)
        labels = network(x).argmax(dim=1)
        high = x.new_full((len(x),), self.eps, dtype=torch.float64)
        low = torch.where(self._holds(bounded, network, x, labels, high), high, 0.0)
        for _ in range(self.halvings):
            middle = (low + high) / 2
            holds = self._holds(bounded, network, x, labels, middle)
            low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
        return labels, low

    def _of(self, module: nn.Module) -> BoundedNetwork:
        """The bounds of a copy in 64 bits, made once."""
        if module not in self._bounded:
            self._bounded[module] = BoundedNetwork(copy.deepcopy(module).double().eval())
        return self._bounded[module]

    def _holds(self, bounded: BoundedNetwork, network: Network, x: Tensor, labels: Tensor, radii: Tensor) -> Tensor:
        """(n,) whether the class of each sample is certain within its radius."""
        wide = radii.double().view(-1, *[1] * (x.ndim - 1))
        lower, upper = x.double() - wide, x.double() + wide
        if network.clip_values is not None:
            low, high = network.clip_values
            lower, upper = lower.clamp(min=low).minimum(x.double()), upper.clamp(max=high).maximum(x.double())
        box = Box(network.preprocessed(lower), network.preprocessed(upper))
        margins, _ = bounded.margins(box, labels)
        others = margins.masked_fill(nn.functional.one_hot(labels, margins.shape[1]).bool(), math.inf)
        scale = margins.abs().amax(dim=1).clamp_min(1.0)
        return others.amin(dim=1) > MARGIN * scale
