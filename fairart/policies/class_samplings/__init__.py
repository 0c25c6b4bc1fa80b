"""Class samplings: which classes the next batch is drawn from. One method a file."""

from __future__ import annotations

from fairart.policies.class_samplings.base import ClassSampling
from fairart.policies.class_samplings.natural import NaturalSampling

__all__ = ["ClassSampling", "NaturalSampling"]
