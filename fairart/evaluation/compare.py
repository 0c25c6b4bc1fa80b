"""Deprecated: import :mod:`fairart.evaluation.results.compare` instead."""

from __future__ import annotations

from fairart.deprecation import warn_moved
from fairart.evaluation.results.compare import *  # noqa: F403
from fairart.evaluation.results.compare import __all__ as __all__

warn_moved("fairart.evaluation.compare", "fairart.evaluation.results.compare", removed_in="0.4")
