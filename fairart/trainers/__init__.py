"""Training methods as ART ``Trainer`` subclasses: each is a preset of parts on one engine."""

from __future__ import annotations

from fairart.trainers.base import FairnessTrainer
from fairart.trainers.presets import ATTrainer, FairTATTrainer, FATTrainer, StandardTrainer, TRADESTrainer

__all__ = ["ATTrainer", "FATTrainer", "FairTATTrainer", "FairnessTrainer", "StandardTrainer", "TRADESTrainer"]
