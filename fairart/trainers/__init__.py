"""Training methods as ART ``Trainer`` subclasses: each is a preset of parts on one engine."""

from __future__ import annotations

from fairart.trainers.base import FairnessTrainer
from fairart.trainers.certified import GaussianTrainer, IBPTrainer
from fairart.trainers.methods import BATTrainer, CFATrainer, DAFATrainer, FAALTrainer, FRLTrainer, WATTrainer
from fairart.trainers.noisy_labels import CoTeachingTrainer, SelfTrainingTrainer
from fairart.trainers.presets import (
    ATTrainer,
    CFOLTrainer,
    CSRTrainer,
    FairTATFixedEpsTrainer,
    FairTATTrainer,
    FairTATUniformTrainer,
    FastATTrainer,
    FATTrainer,
    MARTTrainer,
    NFGSMTrainer,
    StandardTrainer,
    TRADESTrainer,
    TRIXTrainer,
)

__all__ = [
    "ATTrainer",
    "BATTrainer",
    "CFATrainer",
    "CFOLTrainer",
    "CSRTrainer",
    "CoTeachingTrainer",
    "DAFATrainer",
    "FAALTrainer",
    "FATTrainer",
    "FRLTrainer",
    "FairTATFixedEpsTrainer",
    "FairTATTrainer",
    "FairTATUniformTrainer",
    "FairnessTrainer",
    "FastATTrainer",
    "GaussianTrainer",
    "IBPTrainer",
    "MARTTrainer",
    "NFGSMTrainer",
    "SelfTrainingTrainer",
    "StandardTrainer",
    "TRADESTrainer",
    "TRIXTrainer",
    "WATTrainer",
]
