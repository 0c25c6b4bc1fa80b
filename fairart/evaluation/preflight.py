"""Deprecated: import :mod:`fairart.evaluation.attacks.preflight` instead."""

from __future__ import annotations

from fairart.deprecation import warn_moved
from fairart.evaluation.attacks.preflight import *  # noqa: F403
from fairart.evaluation.attacks.preflight import __all__ as __all__

warn_moved("fairart.evaluation.preflight", "fairart.evaluation.attacks.preflight", removed_in="0.4")
