"""The base of input defences: what is done to an image before the model sees it, and what stands in for it in the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from art.defences.preprocessor.preprocessor import Preprocessor
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.errors import OptionError

__all__ = ["ArtDefence", "Defence", "image_shape"]


class Defence:
    """Changes inputs before the model sees them; subclasses write :meth:`apply`.

    Most defences round, sort or compress, so that no gradient passes through them, or one that leads nowhere. An attack that
    knows of the defence goes through it forwards, and backwards through :meth:`stand_in` (BPDA; Athalye et al., ICML 2018).
    """

    random: ClassVar[bool] = False
    """Whether the same input may come out differently. Attacks then average the logits over :attr:`draws` (EOT; Athalye et al.,
    ICML 2018)."""
    stand_in_name: ClassVar[str] = "identity"
    """What stands in for the defence in the gradient, in words; it stands beside the numbers."""
    draws: int = 1
    """Draws over which an attack averages the logits of a random defence, >= 1."""

    def check(self, classifier: PyTorchClassifier) -> Mapping[str, Any]:
        """Look at the classifier before any work.

        Args:
            classifier: what is to be defended; its clip values are finite.

        Returns:
            Notes (text, numbers, lists) that stand beside the options.

        Raises:
            OptionError: its inputs cannot be defended in this way.
        """
        return {}

    def apply(self, x: Tensor, *, seeds: Sequence[int]) -> Tensor:
        """What the model is given. It takes no gradient, may be computed in any way, and does not depend on the batch.

        Args:
            x: (n, ...) inputs, float32 in [0, 1], whatever the clip values are; not changed in place.
            seeds: (n,) seeds of what is drawn, another one for every input and draw.

        Returns:
            (n, ...) inputs of the same shape, in [0, 1].
        """
        raise NotImplementedError

    def stand_in(self, x: Tensor) -> Tensor:
        """What the gradient goes through in place of :meth:`apply`; only its gradient counts, not its value.

        Args:
            x: (n, ...) inputs, float32 in [0, 1].

        Returns:
            (n, ...) of the same shape, differentiable in ``x``.
        """
        return x


class ArtDefence(Defence):
    """A preprocessing defence of ART (``art.defences.preprocessor``), made for inputs in [0, 1].

    Args:
        preprocessor: ART's defence; for images with channels first, unless ``channels_last`` says otherwise.
    """

    channels_last: ClassVar[bool] = False
    """Whether ART's defence wants images (n, H, W, C)."""

    def __init__(self, preprocessor: Preprocessor) -> None:
        self.preprocessor = preprocessor

    def apply(self, x: Tensor, *, seeds: Sequence[int]) -> Tensor:
        """What ART's defence gives for the batch."""
        images = np.ascontiguousarray(x.detach().cpu().numpy(), dtype=np.float32)
        if self.channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        found = self._defended(images, seeds)
        if self.channels_last:
            found = found.transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32)).to(x)

    def _defended(self, images: Any, seeds: Sequence[int]) -> Any:
        return self.preprocessor(images)[0]


def image_shape(name: str, classifier: PyTorchClassifier) -> tuple[int, int, int]:
    """(C, H, W) of the inputs, for defences of images.

    Args:
        name: of the defence, for messages.
        classifier: what is to be defended.

    Raises:
        OptionError: the inputs are no images with channels first.
    """
    shape = tuple(classifier.input_shape)
    if len(shape) != 3 or not classifier.channels_first:
        raise OptionError(f"defence {name!r} needs images (channels, height, width), got inputs of shape {shape}")
    return shape
