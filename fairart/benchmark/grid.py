"""Deprecated: import :mod:`fairart.benchmark` instead."""

from __future__ import annotations

from fairart.benchmark import *  # noqa: F403
from fairart.benchmark import __all__ as __all__
from fairart.deprecation import warn_moved

warn_moved("fairart.benchmark.grid", "fairart.benchmark", removed_in="0.4")
