"""Options of parts; the same names as in :mod:`fairart.plugins.options`, under the path that plugins import."""

from __future__ import annotations

from fairart.plugins.options import *  # noqa: F403
from fairart.plugins.options import __all__ as __all__
