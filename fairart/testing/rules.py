"""What every check shares: how a broken rule is said, what may have changed, and statistics to try a policy on."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairart.errors import PolicyError
from fairart.statistics import ConfusionMatrix, EpochStatistics, ValidationStatistics

__all__ = [
    "CLASSES",
    "called",
    "expect",
    "global_random_state",
    "is_plain",
    "require",
    "require_keywords",
    "same_rules",
    "same_state",
    "statistics_examples",
]

CLASSES = (2, 3, 10)
"""The numbers of classes that things are tried with."""

EPOCHS = 4


def statistics_examples(nb_classes: int, *, epochs: int = EPOCHS, seed: int = 0) -> Iterator[EpochStatistics]:
    """Statistics of epochs as the engine gives them, hard cases included.

    Args:
        nb_classes: K.
        epochs: how many; every fourth has an absent class, every fourth one without any error.
        seed: of the counts.
    """
    random = np.random.default_rng([seed, nb_classes])
    for epoch in range(epochs):
        counts = random.integers(0, 20, (nb_classes, nb_classes)) + np.diag(random.integers(0, 60, nb_classes))
        if epoch % 4 == 1:
            counts[0] = 0
        if epoch % 4 == 2:
            counts = np.diag(np.full(nb_classes, 7))
        robust = ConfusionMatrix(counts)
        clean = ConfusionMatrix(counts + np.diag(np.full(nb_classes, 5)))
        yield EpochStatistics(
            epoch=epoch,
            nb_epochs=epochs,
            robust=robust,
            clean=clean,
            validation=ValidationStatistics(
                clean=clean,
                robust=ConfusionMatrix(counts + 1),
                natural_loss=random.random(nb_classes),
                boundary_loss=random.random(nb_classes),
            ),
            mean_probabilities=random.dirichlet(np.ones(nb_classes), nb_classes),
        )


def require(holds: bool, rule: str) -> None:
    """Raise ``AssertionError`` with the rule unless it holds."""
    if not holds:
        raise AssertionError(rule)


@contextlib.contextmanager
def same_rules() -> Iterator[None]:
    """Report what a check of the engine refuses as a broken rule."""
    try:
        yield
    except PolicyError as error:
        raise AssertionError(str(error)) from error


def expect(thing: object, base: type[Any]) -> None:
    """Require an instance of ``base``; a class in place of an instance is said to be one."""
    detail = f"the class {thing.__qualname__}: make an instance of it" if isinstance(thing, type) else repr(thing)
    require(isinstance(thing, base), f"expected an instance of {base.__module__}.{base.__name__}, got {detail}")


def called(thing: object) -> str:
    """What a message calls a class, a function or a partial of one."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return str(getattr(thing, "__name__", type(thing).__name__))


def require_keywords(function: Callable[..., Any], *keywords: str) -> None:
    """Require that a function takes the keywords that fairart calls it with."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for keyword in keywords:
        require(keyword in parameters, f"{called(function)}: fairart calls it with {keyword}=..., which it does not take")


def same_state(one: Any, other: Any) -> bool:
    """Whether two states are the same to the last bit, tensors and dictionaries included."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_state(one[key], other[key]) for key in one)
    return bool(one == other)


def is_plain(value: Any) -> bool:
    """Whether a checkpoint can hold a value: numbers, text, tensors, and lists and dictionaries of them."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    # Numbers of numpy are no plain numbers: torch.load(weights_only=True) refuses them.
    return isinstance(value, Tensor) or type(value) in (bool, int, float, str, type(None))


def global_random_state() -> Callable[[], bool]:
    """Remember torch's and numpy's global random states; the answer says whether they are still the same."""
    before = torch.get_rng_state(), _numpy_state()
    return lambda: torch.equal(before[0], torch.get_rng_state()) and before[1] == _numpy_state()


def _numpy_state() -> tuple[bytes, int]:
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    return state["state"]["key"].tobytes(), state["state"]["pos"]
