"""Weight perturbations: wrappers of the optimiser step, one method a file."""

from __future__ import annotations

from fairart.policies.weight_perturbations.awp import AdversarialWeightPerturbation
from fairart.policies.weight_perturbations.base import WeightPerturbation

__all__ = ["AdversarialWeightPerturbation", "WeightPerturbation"]
