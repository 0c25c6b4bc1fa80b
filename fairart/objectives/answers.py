"""Checks of what the parts of a method answer for one batch: shapes and types, which cost no read from the device.

``fit`` and the conformance checks of :mod:`fairart.testing` use the same functions: a plugin that passes them passes in training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from fairart.errors import PolicyError
from fairart.objectives.base import Batch, Examples, Objective
from fairart.plugins import origin
from fairart.policies import ClassWeighting, LossTerms, TargetSampler

__all__ = ["asked", "checked_examples", "checked_images", "checked_loss", "checked_targets", "checked_terms"]

Answer = TypeVar("Answer")


def asked(part: object, method: str, call: Callable[[], Answer]) -> Answer:
    """Call a method of a part; an exception of a third party's part is reported with its name.

    Exceptions of built-in parts come through as they are: they speak of the user's model or device.

    Args:
        part: objective, weighting or other part.
        method: name of the method, for the message.
        call: calls it.

    Raises:
        PolicyError: the method of a third party's part raised.
    """
    try:
        return call()
    except PolicyError:
        raise
    except Exception as error:
        if type(part).__module__.startswith("fairart."):
            raise
        raise PolicyError(f"{origin(part)}: {method}() raised {type(error).__name__}: {error}") from error


def _came(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} {value.dtype} on {value.device}"
    return f"a {type(value).__name__}"


def _must(part: object, method: str, rule: str, value: Any) -> PolicyError:
    return PolicyError(f"{origin(part)}: {method}() must return {rule}, got {_came(value)}")


def _is_like(value: Any, shape: tuple[int, ...], reference: Tensor) -> bool:
    return (
        isinstance(value, Tensor)
        and tuple(value.shape) == shape
        and value.is_floating_point()
        and value.device == reference.device
    )


def checked_targets(sampler: TargetSampler, targets: Any, labels: Tensor) -> Tensor:
    """Check the shape and type of the targets of a batch; their range is checked by the engine.

    Args:
        sampler: who drew them.
        targets: its answer.
        labels: (n,) of the batch.

    Raises:
        PolicyError: no integer tensor (n,) on the device of the labels.
    """
    good = isinstance(targets, Tensor) and targets.shape == labels.shape and targets.dtype == labels.dtype
    if not good or targets.device != labels.device:
        raise _must(sampler, "sample", f"a tensor {tuple(labels.shape)} {labels.dtype} on {labels.device}", targets)
    answer: Tensor = targets
    return answer


def checked_examples(owner: object, made: Any, batch: Batch) -> Examples:
    """Check adversarial inputs.

    Args:
        owner: the objective or attack that made them.
        made: its answer.
        batch: what they were made of.

    Returns:
        The tensors as a tuple.

    Raises:
        PolicyError: no floating-point tensor, or tuple of them, of the shape of the inputs.
    """
    several = (made,) if isinstance(made, Tensor) else made
    if not isinstance(several, tuple) or not several:
        raise _must(owner, "examples", "a tensor or a tuple of tensors", made)
    for one in several:
        if not _is_like(one, tuple(batch.x.shape), batch.x):
            raise _must(owner, "examples", f"floating-point inputs {tuple(batch.x.shape)} on {batch.x.device}", one)
    return several


def checked_terms(objective: Objective, terms: Any, batch: Batch, nb_classes: int) -> LossTerms:
    """Check the losses of a batch.

    Args:
        objective: whose ``losses()`` they are.
        terms: its answer.
        batch: what it was asked about.
        nb_classes: K.

    Raises:
        PolicyError: no :class:`~fairart.policies.LossTerms`, a loss that is not (n,), or logits that are not (n, K).
    """
    if not isinstance(terms, LossTerms):
        raise _must(objective, "losses", "a fairart.policies.LossTerms", terms)
    n = len(batch.y)
    for name in ("natural", "boundary", "extra"):
        value = getattr(terms, name)
        if (value is not None or name == "natural") and not _is_like(value, (n,), batch.x):
            raise _must(objective, "losses", f"one {name} loss a sample, a floating-point tensor ({n},)", value)
    for name in ("adversarial_logits", "clean_logits"):
        value = getattr(terms, name)
        if (value is not None or name == "adversarial_logits") and not _is_like(value, (n, nb_classes), batch.x):
            raise _must(objective, "losses", f"{name} ({n}, {nb_classes}) for nb_classes={nb_classes}", value)
    return terms


def checked_loss(weighting: ClassWeighting, loss: Any) -> Tensor:
    """Check that a weighting combined a batch into one number that gradients pass through.

    Args:
        weighting: who combined it.
        loss: its answer.

    Raises:
        PolicyError: no floating-point scalar, or one without gradient.
    """
    if not isinstance(loss, Tensor) or loss.ndim != 0 or not loss.is_floating_point():
        raise _must(weighting, "combine", "a scalar tensor ()", loss)
    if not loss.requires_grad:
        raise PolicyError(f"{origin(weighting)}: combine() must return a loss that depends on its terms, got no gradient")
    return loss


def checked_images(augmentation: object, images: Any, x: Tensor) -> Tensor:
    """Check that an augmentation kept the shape of a batch.

    Args:
        augmentation: the function.
        images: its answer.
        x: (n, ...) what it was given.

    Raises:
        PolicyError: not floating-point images of the same shape.
    """
    if not _is_like(images, tuple(x.shape), x):
        name = getattr(augmentation, "__qualname__", type(augmentation).__name__)
        rule = f"floating-point images {tuple(x.shape)} on {x.device}"
        raise PolicyError(f"augmentation {name} must return {rule}, got {_came(images)}")
    answer: Tensor = images
    return answer
