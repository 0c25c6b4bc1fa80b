"""What users hand to a trainer, checked before any work."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt
from art.data_generators import DataGenerator
from art.estimators.classification import PyTorchClassifier
from torch.utils.data import DataLoader, Dataset

from fairart.engine.checkpoints.checkpointing import FitCheckpoints
from fairart.engine.data.augmentation import AnyAugmentation, AugmentationChain
from fairart.engine.method import Method
from fairart.plugins import origin
from fairart.statistics import Groups

__all__ = ["Pair", "check_optimizer", "check_run", "no_arrays", "pair", "seed_of", "training_groups"]

Pair = tuple[npt.ArrayLike, npt.ArrayLike]


def seed_of(seed: int | None, checkpoints: FitCheckpoints | None) -> int | None:
    """The seed of a fit; a run without one goes on with the one that it drew.

    Args:
        seed: the user's, or None.
        checkpoints: what the fit goes on from, or None.
    """
    return checkpoints.seed if seed is None and checkpoints is not None else seed


def pair(data: Any, name: str) -> Pair:
    """Inputs and labels of a pair.

    Args:
        data: what the user gave.
        name: what an error calls it.

    Raises:
        ValueError: no pair.
    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"{name} must be a pair (x, y), got {type(data).__qualname__}")
    return data[0], data[1]


def training_groups(
    values: Any, number: int, method: Method, augmentation: AnyAugmentation | None, *, extra: bool
) -> Groups | None:
    """The groups of the training samples; None where none are given.

    Args:
        values: (n,) texts or whole numbers, ``Groups``, or None.
        number: n, training samples.
        method: its class weighting must weigh groups.
        augmentation: must not mix samples.
        extra: whether extra samples are mixed in.

    Raises:
        ValueError: values that make no groups, or groups that would go unused.
    """
    if values is None:
        return None
    weighting = method.class_weighting
    if not weighting.takes_groups:
        raise ValueError(f"groups would go unused: {origin(weighting)} weighs classes alone. Take class_weighting='group-dro'")
    if isinstance(augmentation, AugmentationChain) and augmentation.mixes:
        raise ValueError("groups: a mixed sample (MixUp, CutMix) is of two groups. Take an augmentation that does not mix")
    if extra:
        raise ValueError("groups: samples of extra_data have no group. Leave out extra_data, or add them to x, y and groups")
    found = values if isinstance(values, Groups) else Groups.of(values)
    if len(found.index) != number:
        raise ValueError(f"groups: expected {number} values, one a training sample, got {len(found.index)}")
    return found


def no_arrays(x: Any) -> ValueError:
    """What ``fit`` says when it gets something else than arrays.

    Args:
        x: what came in their place.
    """
    name = type(x).__name__
    if isinstance(x, DataLoader | DataGenerator):
        return ValueError(f"fit takes arrays x and y, got a {name}: give it to fit_generator(...)")
    if isinstance(x, Dataset):
        return ValueError(f"fit takes arrays x and y, got a {name}: use fit_generator(DataLoader(dataset, batch_size=...))")
    return ValueError("fit takes arrays x and y, got no y")


def check_optimizer(classifier: PyTorchClassifier) -> None:
    """Check that a classifier can be trained.

    Args:
        classifier: the classifier.

    Raises:
        ValueError: no optimizer, one that needs a closure, or one that holds none of the parameters.
    """
    if classifier.optimizer is None:
        raise ValueError("the classifier has no optimizer: expected PyTorchClassifier(..., optimizer=...)")
    step = inspect.signature(classifier.optimizer.step).parameters
    if any(name == "closure" and parameter.default is inspect.Parameter.empty for name, parameter in step.items()):
        raise ValueError(
            f"the classifier's optimizer {type(classifier.optimizer).__name__} needs a closure in every step, which adversarial "
            "training cannot give: take SGD, Adam or another one whose step() takes none"
        )
    trained = {id(p) for group in classifier.optimizer.param_groups for p in group["params"]}
    if not trained & {id(p) for p in classifier.model.parameters()}:
        raise ValueError("the classifier's optimizer holds none of the model's parameters: make it from model.parameters()")


def check_run(nb_epochs: int, scheduler: Any, checkpoints: FitCheckpoints | None) -> None:
    """Check what a fit is told about its length and its learning rates.

    Args:
        nb_epochs: epochs to train.
        scheduler: learning-rate scheduler, or None.
        checkpoints: where the fit is kept, or None.

    Raises:
        ValueError: no whole number of epochs >= 1.
        TypeError: a scheduler without ``step()``, or one whose state no checkpoint can hold.
    """
    if isinstance(nb_epochs, bool) or not isinstance(nb_epochs, int | np.integer) or nb_epochs < 1:
        raise ValueError(f"nb_epochs must be an integer >= 1, got {nb_epochs!r}")
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise TypeError(f"scheduler must have a method step(), got {type(scheduler).__qualname__}")
    if checkpoints is not None and scheduler is not None:
        missing = [name for name in ("state_dict", "load_state_dict") if not callable(getattr(scheduler, name, None))]
        if missing:
            raise TypeError(f"a checkpoint needs a scheduler with {missing[0]}(), {type(scheduler).__qualname__} has none")
