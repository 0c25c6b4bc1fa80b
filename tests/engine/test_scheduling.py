"""Schedulers step once an epoch or once a batch, as their class and horizon say, and are given what their step() asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from fairart.trainers import StandardTrainer

Make = Callable[..., Any]
EPOCHS, BATCHES = 3, 4


def rates(classifier: Any, scheduler: Any, make_data: Make, **options: Any) -> tuple[int, list[float]]:
    """Steps made, and the learning rate of every batch."""
    steps, seen = [], []
    inner = scheduler.step
    # The signature stays: what step() requires is read from it.
    scheduler.step = _counted(inner, steps)
    optimizer = classifier.optimizer
    optimizer.register_step_pre_hook(lambda *_: seen.append(optimizer.param_groups[0]["lr"]))
    StandardTrainer(classifier).fit(
        *make_data(24), batch_size=6, nb_epochs=EPOCHS, scheduler=scheduler, seed=0, verbose=False, **options
    )
    return len(steps), seen


def _counted(inner: Any, steps: list[int]) -> Any:
    def step(*args: Any) -> Any:
        steps.append(1)
        return inner(*args)

    import functools
    import inspect

    wrapped = functools.wraps(inner)(step)
    wrapped.__signature__ = inspect.signature(inner)
    return wrapped


BY_BATCH = {
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=EPOCHS * BATCHES),
    "one cycle by epochs and batches": lambda o: lr_scheduler.OneCycleLR(o, 0.2, epochs=EPOCHS, steps_per_epoch=BATCHES),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
    "cosine over all batches": lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS * BATCHES),
    "linear over all batches": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=EPOCHS * BATCHES),
    "restarts again all batches": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, EPOCHS * BATCHES),
}
BY_EPOCH = {
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=EPOCHS),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, [1, 2]),
    "step": lambda o: lr_scheduler.StepLR(o, 1),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
}


@pytest.mark.parametrize("name", BY_BATCH)
def test_these_step_once_a_batch(name: str, make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    steps, seen = rates(classifier, BY_BATCH[name](classifier.optimizer), make_data)
    assert steps == EPOCHS * BATCHES
    assert len(set(seen)) > EPOCHS


@pytest.mark.parametrize("name", BY_EPOCH)
def test_these_step_once_an_epoch(name: str, make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    steps, seen = rates(classifier, BY_EPOCH[name](classifier.optimizer), make_data)
    assert steps == EPOCHS
    assert all(len(set(seen[first : first + BATCHES])) == 1 for first in range(0, len(seen), BATCHES))


def test_the_one_cycle_of_the_review_reaches_its_peak_and_its_end(make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    _, seen = rates(classifier, BY_BATCH["one cycle"](classifier.optimizer), make_data)
    assert max(seen) > 0.19
    assert seen[-1] < 0.01


def test_the_user_may_say_it(make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    scheduler = lr_scheduler.ExponentialLR(classifier.optimizer, 0.9)
    assert rates(classifier, scheduler, make_data, scheduler_interval="batch")[0] == EPOCHS * BATCHES
    classifier = make_classifier()
    with pytest.warns(UserWarning, match="CyclicLR was made for a step after every batch; this fit makes 3"):
        steps, _ = rates(classifier, BY_BATCH["cyclic"](classifier.optimizer), make_data, scheduler_interval="epoch")
    assert steps == EPOCHS


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=7),
            {},
            r"OneCycleLR has 7 of its 7 steps left, this fit makes 12",
        ),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o), {"scheduler_interval": "batch"}, r"step\(\) of ReduceLROnPlateau takes"),
        (lambda o: lr_scheduler.StepLR(o, 1), {"scheduler_interval": "step"}, r"must be 'epoch', 'batch' or None, got 'step'"),
    ],
)
def test_what_cannot_be_is_refused_before_any_training(
    make: Make, options: Any, message: str, make_classifier: Make, make_data: Make
):
    classifier = make_classifier()
    before = {name: value.clone() for name, value in classifier.model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        rates(classifier, make(classifier.optimizer), make_data, **options)
    assert all(torch.equal(value, before[name]) for name, value in classifier.model.state_dict().items())


def test_a_scheduler_made_for_more_steps_is_named(make_classifier: Make, make_data: Make):
    classifier = make_classifier()
    with pytest.warns(UserWarning, match=r"OneCycleLR was made for 100 steps; this fit makes 12 \(one a batch\)"):
        rates(classifier, lr_scheduler.OneCycleLR(classifier.optimizer, 0.2, total_steps=100), make_data)


def test_a_step_that_asks_for_the_epoch_is_given_the_epoch(make_classifier: Make, make_data: Make):
    class LikeTimm:
        def __init__(self) -> None:
            self.epochs: list[Any] = []

        def step(self, epoch: int, metric: float | None = None) -> None:
            self.epochs.append(epoch)

    scheduler = LikeTimm()
    StandardTrainer(make_classifier()).fit(*make_data(24), batch_size=6, nb_epochs=3, scheduler=scheduler, seed=0, verbose=False)
    assert scheduler.epochs == [1, 2, 3]
