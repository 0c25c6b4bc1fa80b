"""Objectives: what one batch minimises. Each writes the inner attack and the loss terms; the engine does the rest."""

from __future__ import annotations

from fairart.objectives.at import ATObjective
from fairart.objectives.base import Batch, Examples, Objective
from fairart.objectives.bat import BATObjective
from fairart.objectives.fat import FATObjective
from fairart.objectives.ibp import IBPObjective
from fairart.objectives.mart import MARTObjective
from fairart.objectives.single_step import FGSMRSObjective, NFGSMObjective
from fairart.objectives.standard import StandardObjective
from fairart.objectives.trades import TRADESObjective

__all__ = [
    "ATObjective",
    "BATObjective",
    "Batch",
    "Examples",
    "FATObjective",
    "FGSMRSObjective",
    "IBPObjective",
    "MARTObjective",
    "NFGSMObjective",
    "Objective",
    "StandardObjective",
    "TRADESObjective",
]
