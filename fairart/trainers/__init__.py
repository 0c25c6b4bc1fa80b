"""Training methods as ART ``Trainer`` subclasses: each is a preset of parts on one engine."""

from __future__ import annotations

from fairart.trainers.base import FairnessTrainer
from fairart.trainers.methods import BATTrainer, CFATrainer, DAFATrainer, FAALTrainer, FRLTrainer, WATTrainer
from fairart.trainers.presets import (
    ATTrainer,
    FairTATFixedEpsTrainer,
    FairTATTrainer,
    FairTATUniformTrainer,
    FATTrainer,
    StandardTrainer,
    TRADESTrainer,
)

__all__ = [
    "ATTrainer",
    "BATTrainer",
    "CFATrainer",
    "DAFATrainer",
    "FAALTrainer",
    "FATTrainer",
    "FRLTrainer",
    "FairTATFixedEpsTrainer",
    "FairTATTrainer",
    "FairTATUniformTrainer",
    "FairnessTrainer",
    "StandardTrainer",
    "TRADESTrainer",
    "WATTrainer",
]
