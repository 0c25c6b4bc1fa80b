"""Runs: training by a config into a folder, reading a folder back, evaluating it.

Importing this package loads nothing heavy; :mod:`fairart.runs.run` does.
"""

from __future__ import annotations

__all__: list[str] = []
