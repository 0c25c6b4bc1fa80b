"""The command line; see :mod:`fairart.cli.main`."""

from __future__ import annotations

__all__: list[str] = []
