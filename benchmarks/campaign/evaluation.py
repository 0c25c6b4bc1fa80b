"""Stage c: attacks beside other programs, and all corruptions of 10 000 images."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import attacks
import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from attacks import Subject

from campaign.running import Campaign, Part, Result
from fairart import create, registered
from fairart.corruptions import SEVERITIES, MadeCorruptions

__all__ = ["parts"]


def parts(campaign: Campaign) -> Sequence[Part]:
    """PGD-20, AutoAttack, corruptions."""
    number = 24 if campaign.smoke else 500
    made = [Part("pgd-20", 20, lambda save: timed(subject(campaign, number), attacks.pgd, 1 if campaign.smoke else 3))]
    if not campaign.smoke:
        missing = importlib.util.find_spec("pyautoattack") is None
        name, seconds = ("autoattack (pyautoattack is not installed)", math.inf) if missing else ("autoattack", 60)
        made.append(Part(name, seconds, lambda save: timed(subject(campaign, number), _autoattack, 1)))
    made.append(Part("corruptions", 40, lambda save: corruptions(campaign, 50 if campaign.smoke else 10_000, save)))
    return made


def _autoattack(of: Subject) -> dict[str, Any]:
    return attacks.autoattack(of, art=False)


def subject(campaign: Campaign, number: int) -> Subject:
    """A network with random weights whose own predictions are the labels: every image is right before the attack."""
    shape = (3, 8, 8) if campaign.smoke else (3, 32, 32)
    torch.manual_seed(0)
    model = create("model", "small-cnn" if campaign.smoke else "preact-resnet-18", input_shape=shape, nb_classes=10).eval()
    classifier = PyTorchClassifier(
        model,
        torch.nn.CrossEntropyLoss(),
        shape,
        10,
        clip_values=(0, 1),
        device_type="gpu" if campaign.device == "cuda" else "cpu",
    )
    x = np.random.default_rng(0).random((number, *shape), dtype=np.float32)
    y = classifier.predict(x, batch_size=number).argmax(axis=1).astype(np.int64)
    return Subject(classifier, x, y, 0.25 / 255, number)


def timed(of: Subject, contenders: Callable[[Subject], dict[str, Any]], rounds: int) -> Result:
    """Seconds of each program, in turns."""
    missing = [name for name in ("torchattacks", "pyautoattack") if importlib.util.find_spec(name) is None]
    return {"images": len(of.y), "not_installed": missing, "table": attacks.measured(contenders(of), rounds)}


def corruptions(campaign: Campaign, number: int, save: Callable[[Result], None]) -> Result:
    """Seconds of each corruption at all five severities; frost needs pictures and is left out."""
    side = 8 if campaign.smoke else 32
    images = (np.random.default_rng(0).random((number, 3, side, side)) * 255).astype(np.uint8)
    labels = np.zeros(number, dtype=np.int64)
    seconds = {}
    for name in registered("corruption"):
        if name == "frost":
            continue
        made = MadeCorruptions(images, labels, corruptions=[name], device=campaign.device)
        began = time.perf_counter()
        for severity in SEVERITIES:
            for x, _ in made.batches(name, severity):
                del x
        if campaign.device == "cuda":
            torch.cuda.synchronize()
        seconds[name] = time.perf_counter() - began
        save({"images": number, "seconds": seconds})
    return {"images": number, "seconds": seconds, "total": sum(seconds.values())}
