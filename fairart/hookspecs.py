"""Extension points; the same names as in :mod:`fairart.plugins.hookspecs`, under the path that plugins import."""

from __future__ import annotations

from fairart.plugins.hookspecs import *  # noqa: F403
from fairart.plugins.hookspecs import __all__ as __all__
