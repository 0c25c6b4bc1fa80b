"""Stage d: whole trainings on CIFAR-10, with figures after every epoch, in the time that is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from campaign.running import Campaign, Part, Result
from fairart import create
from fairart.evaluation import evaluate
from fairart.runs.recorder import observed

__all__ = ["parts"]

METHODS = ("at", "fair-tat", "dafa")
EPOCHS, BATCH, PEAK_LR = 15, 512, 0.2
EVALUATING = 15
"""Seconds kept for the evaluation."""


class OutOfTimeError(Exception):
    """The time of the campaign is nearly over; the weights are evaluated as they are."""


def parts(campaign: Campaign) -> Sequence[Part]:
    """One part a method."""
    if campaign.data is None and not campaign.smoke:
        # Too long for any budget: it is named as skipped.
        return [Part(f"{name} (needs --data NPZ)", math.inf, _trained(campaign, name)) for name in METHODS]
    # By the file's name: figures of other data are not taken for these.
    on = "digits" if campaign.data is None else campaign.data.name
    return [Part(f"{name} on {on}", 45, _trained(campaign, name)) for name in (METHODS[:2] if campaign.smoke else METHODS)]


def _trained(campaign: Campaign, method: str) -> Callable[[Callable[[Result], None]], Result]:
    return lambda save: trained(campaign, method, save)


class Watch:
    """Keeps the figures of every epoch, and stops a training in time."""

    def __init__(self, campaign: Campaign, epochs: int, save: Callable[[Result], None]) -> None:
        self.campaign, self.epochs, self.save = campaign, epochs, save
        self.rows: list[dict[str, Any]] = []
        self.began = time.monotonic()

    def start(self, history: Sequence[Any]) -> None:
        """Training starts."""
        self.began = time.monotonic()

    def epoch(self, record: Any) -> None:
        """An epoch has ended."""
        row = {
            "seconds": round(time.monotonic() - self.began, 2),
            "robust": record.robust.accuracy,
            "robust_worst_class": record.robust.worst_class_accuracy(),
        }
        self.rows.append(row)
        self.save({"epochs_planned": self.epochs, "epochs": self.rows})
        usual = row["seconds"] / len(self.rows)
        if not self.campaign.smoke and self.campaign.left < usual + EVALUATING:
            raise OutOfTimeError

    def end(self) -> None:
        """Training has ended."""


def trained(campaign: Campaign, method: str, save: Callable[[Result], None]) -> Result:
    """Train, evaluate by PGD-20 class by class."""
    data = create("dataset", "digits") if campaign.data is None else create("dataset", f"npz:{campaign.data}")
    torch.manual_seed(0)
    name = "small-cnn" if campaign.smoke else "preact-resnet-18"
    epochs, batch = (2, 128) if campaign.smoke else (EPOCHS, BATCH)
    model: nn.Module = create("model", name, input_shape=data.input_shape, nb_classes=data.nb_classes).to(campaign.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=PEAK_LR, momentum=0.9, weight_decay=5e-4, nesterov=True)
    classifier = PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        data.input_shape,
        data.nb_classes,
        optimizer=optimizer,
        clip_values=(0, 1),
        preprocessing=data.mean_std(),
        device_type="gpu" if campaign.device == "cuda" else "cpu",
    )
    eps = 0.15 if campaign.smoke else 8 / 255
    options: dict[str, Any] = {} if campaign.smoke else {"precision": "bf16-mixed", "channels_last": True}
    trainer = create("trainer", method, classifier=classifier, eps=eps, max_iter=10, augmentation=data.augmentation, **options)
    steps = -(-len(data.y_train) // batch) * epochs
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAK_LR, total_steps=steps + epochs)
    watch, stopped = Watch(campaign, epochs, save), False
    try:
        with observed(trainer, [watch]):
            trainer.fit(
                data.x_train, data.y_train, batch_size=batch, nb_epochs=epochs, scheduler=scheduler, seed=0, verbose=False
            )
    except Exception as error:
        # Hooks wrap what an observer raises.
        if not isinstance(error, OutOfTimeError) and not isinstance(error.__cause__, OutOfTimeError):
            raise
        stopped = True
    return {"epochs_planned": epochs, "stopped_early": stopped, "epochs": watch.rows, "test": tested(classifier, data, eps)}


def tested(classifier: PyTorchClassifier, data: Any, eps: float) -> dict[str, Any]:
    """Accuracies on the test images, clean and under PGD-20."""
    result = evaluate(
        classifier,
        data.x_test,
        data.y_test,
        attacks=[("pgd", {"eps": eps, "max_iter": 20})],
        batch_size=1024,
        sanity_samples=0,
        class_names=data.classes,
        verbose=False,
    )
    return {
        label: {"accuracy": found.accuracy, "classes": dict(zip(data.classes, found.class_accuracy.tolist(), strict=True))}
        for label, found in result.items()
    }
