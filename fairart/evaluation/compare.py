"""Deprecated: import :mod:`fairart.evaluation.results.comparing` instead."""

from __future__ import annotations

from fairart.deprecation import warn_moved
from fairart.evaluation.results.comparing import *  # noqa: F403
from fairart.evaluation.results.comparing import __all__ as __all__

warn_moved("fairart.evaluation.compare", "fairart.evaluation.results.comparing", removed_in="0.4")
