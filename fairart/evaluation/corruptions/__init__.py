"""Deprecated: import :mod:`fairart.corruptions` instead."""

from __future__ import annotations

from fairart.corruptions import *  # noqa: F403
from fairart.corruptions import __all__ as __all__
from fairart.deprecation import warn_moved

warn_moved("fairart.evaluation.corruptions", "fairart.corruptions", removed_in="0.4")
