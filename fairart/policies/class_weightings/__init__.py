"""Class weightings: how much each class counts in the loss, one method a file."""

from __future__ import annotations

from fairart.policies.class_weightings.base import ClassTable, ClassWeighting, LossTerms
from fairart.policies.class_weightings.ccr import ClassCalibratedRegularisation
from fairart.policies.class_weightings.csr import ConfusionalSpectralWeighting
from fairart.policies.class_weightings.cvar import ClassCVaRWeighting
from fairart.policies.class_weightings.dafa import DAFAWeighting
from fairart.policies.class_weightings.faal import WorstCaseWeighting
from fairart.policies.class_weightings.frl import FRLWeighting
from fairart.policies.class_weightings.group_dro import GroupDROWeighting
from fairart.policies.class_weightings.pairs import PairWeighting
from fairart.policies.class_weightings.trix import TRIXWeighting
from fairart.policies.class_weightings.uniform import UniformWeighting
from fairart.policies.class_weightings.wat import WorstClassWeighting

__all__ = [
    "ClassCVaRWeighting",
    "ClassCalibratedRegularisation",
    "ClassTable",
    "ClassWeighting",
    "ConfusionalSpectralWeighting",
    "DAFAWeighting",
    "FRLWeighting",
    "GroupDROWeighting",
    "LossTerms",
    "PairWeighting",
    "TRIXWeighting",
    "UniformWeighting",
    "WorstCaseWeighting",
    "WorstClassWeighting",
]
