"""Deprecated: import :mod:`fairart.corruptions.common` instead."""

from __future__ import annotations

from fairart.corruptions.common import *  # noqa: F403
from fairart.corruptions.common import __all__ as __all__
from fairart.deprecation import warn_moved

warn_moved("fairart.evaluation.corruptions.common", "fairart.corruptions.common", removed_in="0.4")
