"""Scores in the space of the penultimate features, fitted on training images by pytorch-ood."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fairart.errors import OptionError
from fairart.models.last_layer import last_linear

__all__ = ["FeatureTap", "FittedScores", "fit_scores", "fitted_by", "require_pytorch_ood"]

IntArray = npt.NDArray[np.int64]
FittedScores = dict[str, Callable[[Tensor], Tensor]]
"""Name -> score (n,) of features (n, d)."""


class FeatureTap:
    """Reads what a model's last linear layer is given.

    Args:
        model: the model.
        nb_classes: K.

    Raises:
        OptionError: the model does not end in a linear layer with K outputs.
    """

    def __init__(self, model: nn.Module, nb_classes: int) -> None:
        try:
            self._layer = last_linear(model, nb_classes)
        except ValueError as error:
            raise OptionError(f"ood: mahalanobis and knn need the features before the last layer: {error}") from error
        self._seen: Tensor | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Keep the features of each forward pass; the model is left as it was."""

        def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._seen = inputs[0].detach().flatten(1)

        handle = self._layer.register_forward_pre_hook(keep)
        try:
            yield
        finally:
            handle.remove()
            self._seen = None

    def features(self, number: int) -> Tensor:
        """(n, d) of the last forward pass, in single precision on the CPU.

        Args:
            number: n, the samples of that pass.

        Raises:
            OptionError: the layer was not called, or not once for each sample.
        """
        seen, self._seen = self._seen, None
        if seen is None or len(seen) != number:
            came = "none" if seen is None else str(len(seen))
            raise OptionError(f"ood: the last linear layer must be called once with all {number} samples of a batch, got {came}")
        return seen.float().cpu()


def require_pytorch_ood() -> Any:
    """The detectors of pytorch-ood.

    Raises:
        ImportError: it is not installed.
    """
    try:
        from pytorch_ood import detector
    except ImportError as error:
        raise ImportError(
            "the scores mahalanobis and knn need the package pytorch-ood: pip install 'fairart[ood]' (or pytorch-ood)"
        ) from error
    return detector


def fitted_by() -> str:
    """Name and version of the package that fits."""
    return f"pytorch-ood {metadata.version('pytorch-ood')}"


def fit_scores(names: Sequence[str], features: Tensor, labels: IntArray, *, neighbours: int) -> FittedScores:
    """Fit detectors on the features of training images.

    Mahalanobis: half the smallest squared distance to a class mean under the covariance that the classes share (Lee et al.,
    NeurIPS 2018). k nearest neighbours: distance to the k-th training image, features at length 1 (Sun et al., ICML 2022).
    pytorch-ood's scores are larger for outliers; here the sign is changed.

    Args:
        names: ``"mahalanobis"``, ``"knn"``.
        features: (m, d) on the CPU.
        labels: (m,) classes; those without training images have no mean.
        neighbours: k.

    Raises:
        ImportError: pytorch-ood is not installed.
        OptionError: fewer training images than neighbours.
    """
    detector = require_pytorch_ood()
    if "knn" in names and neighbours > len(features):
        raise OptionError(f"ood: neighbours must be at most the number of training images, {len(features)}, got {neighbours}")
    # The package wants classes without a gap.
    classes = torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(-1))
    made = {"mahalanobis": lambda: detector.Mahalanobis(None), "knn": lambda: detector.KNN(None, k=neighbours)}
    fitted = {name: made[name]().fit_features(features, classes) for name in names}

    def score(one: Any) -> Callable[[Tensor], Tensor]:
        return lambda batch: -one.predict_features(batch).double()

    return {name: score(one) for name, one in fitted.items()}
