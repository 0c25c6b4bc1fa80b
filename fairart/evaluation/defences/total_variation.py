"""Total variation minimisation, by ART and scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import scipy
import torch
from art.defences.preprocessor import TotalVarMin
from art.estimators.classification import PyTorchClassifier
from torch import Tensor
from torch.nn import functional

from fairart.engine.randomness import isolated_random_state
from fairart.evaluation.defences.base import ArtDefence, image_shape
from fairart.plugins.options import Option

__all__ = ["TotalVariationDefence"]


class TotalVariationDefence(ArtDefence):
    """Keep a few random pixels and draw the smoothest image through them (Guo et al., ICLR 2018), by ART's ``TotalVarMin``.

    It is random: which pixels are kept is drawn anew for every input, also in every step of an attack, which averages over
    ``draws`` besides. The gradient goes through the mean of 3 x 3 pixels, with which PGD fooled more images than through the
    identity. Every image takes a minimisation of its own, some milliseconds, and that in every step of an attack: evaluate a
    few hundred images (``--limit``).

    Args:
        prob: share of the pixels that are kept.
        norm: of the variation, 1 or 2, and higher.
        lamb: weight of the variation against the pixels that are kept.
        max_iter: steps of the minimisation, by L-BFGS-B.
        draws: over which an attack averages the logits; the time of the attack grows with them.
    """

    random: ClassVar[bool] = True
    stand_in_name: ClassVar[str] = "mean of 3 x 3 pixels"
    channels_last: ClassVar[bool] = True

    def __init__(
        self,
        *,
        prob: Annotated[float, Option("share of the pixels that are kept", low=0, high=1)] = 0.3,
        norm: Annotated[int, Option("norm of the variation", low=1)] = 2,
        lamb: Annotated[float, Option("weight of the variation", low=0)] = 0.5,
        max_iter: Annotated[int, Option("steps of the minimisation", low=1)] = 10,
        draws: Annotated[int, Option("draws over which an attack averages", low=1)] = 1,
    ) -> None:
        super().__init__(TotalVarMin(prob=prob, norm=norm, lamb=lamb, max_iter=max_iter, clip_values=(0.0, 1.0)))
        self.draws = draws

    def check(self, classifier: PyTorchClassifier) -> Mapping[str, Any]:
        """Refuse what is no image, and say which program minimises."""
        image_shape("total-variation", classifier)
        return {"minimiser": f"scipy {scipy.__version__}"}

    def stand_in(self, x: Tensor) -> Tensor:
        """The mean of every pixel and the eight around it."""
        mean: Tensor = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        return mean

    def _defended(self, images: Any, seeds: Sequence[int]) -> Any:
        # ART draws from numpy's global state: image by image, so that the draw of one does not depend on its batch.
        found = np.empty_like(images)
        for place, seed in enumerate(seeds):
            with isolated_random_state(seed, torch.device("cpu")):
                found[place] = self.preprocessor(images[place : place + 1])[0][0]
        return found
