"""Checks of an attack before any work: whether it can run on this classifier, and with which effective options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from art.estimators.classification import PyTorchClassifier

from fairart.errors import OptionError

__all__ = ["Preflight", "preflight", "require_classes", "require_clip_values", "require_images", "require_one_range"]

Preflight = Callable[[PyTorchClassifier, Mapping[str, Any]], Mapping[str, Any] | None]
"""Gets the classifier and every option; raises if the attack cannot run, and returns notes for its configuration."""

Attack = TypeVar("Attack", bound=Callable[..., Any])


def preflight(check: Preflight, *, returns_input: bool = False) -> Callable[[Attack], Attack]:
    """Decorate an attack with a check that runs once, before the first sample is touched.

    Args:
        check: see :data:`Preflight`. What it warns about is seen at the start, what it returns (text, numbers, lists) stands
            under ``notes`` beside the attack's options.
        returns_input: the attack returns the input itself if it found nothing. Then no change at all is a valid result;
            for any other attack it is an error.
    """

    def decorate(attack: Attack) -> Attack:
        attack.preflight = check  # type: ignore[attr-defined]
        attack.returns_input = returns_input  # type: ignore[attr-defined]
        return attack

    return decorate


def require_images(name: str, classifier: PyTorchClassifier) -> tuple[int, int, int]:
    """(C, H, W) of the inputs.

    Raises:
        OptionError: the inputs are no images with channels first.
    """
    shape = tuple(classifier.input_shape)
    if len(shape) != 3 or not classifier.channels_first:
        raise OptionError(f"attack {name!r} needs images (channels, height, width), got inputs of shape {shape}")
    return shape


def require_clip_values(name: str, classifier: PyTorchClassifier) -> None:
    """Refuse a classifier without finite clip values.

    Raises:
        OptionError: it has none.
    """
    if classifier.clip_values is None or not np.isfinite(np.asarray(classifier.clip_values, dtype=np.float64)).all():
        raise OptionError(
            f"attack {name!r} needs to know the range of the inputs: make the PyTorchClassifier with clip_values=(0, 1), or "
            "whatever the range is"
        )


def require_one_range(name: str, classifier: PyTorchClassifier) -> None:
    """Refuse clip values that span another range in each feature, where eps is a share of the range.

    Raises:
        OptionError: no clip values, or ranges that differ.
    """
    require_clip_values(name, classifier)
    low, high = (np.asarray(value, dtype=np.float64) for value in classifier.clip_values)
    if not np.allclose(high - low, np.max(high - low), rtol=1e-6, atol=0):
        raise OptionError(f"attack {name!r} needs clip values that span the same range in every feature")


def require_classes(name: str, classifier: PyTorchClassifier, least: int, instead: str) -> None:
    """Refuse a classifier with too few classes.

    Args:
        name: of the attack.
        classifier: the classifier.
        least: number of classes needed.
        instead: what the message recommends.

    Raises:
        OptionError: there are fewer.
    """
    if classifier.nb_classes < least:
        raise OptionError(f"attack {name!r} needs {least} classes or more, the classifier has {classifier.nb_classes}; {instead}")
