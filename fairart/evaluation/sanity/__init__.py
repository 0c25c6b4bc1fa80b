"""Sanity checks of an evaluation: signs that a robust accuracy cannot be trusted."""

from __future__ import annotations

from fairart.evaluation.sanity.checks import SANITY_SAMPLES, run_checks

__all__ = ["SANITY_SAMPLES", "run_checks"]
