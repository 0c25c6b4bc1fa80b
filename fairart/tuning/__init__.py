"""Searching for settings, the command ``fairart tune``: equal budgets, judged on held-out training images only.

Importing this package loads nothing heavy; a search does.
"""

from __future__ import annotations

from fairart.tuning.file import Search, Tuning, read_tuning, tuning_from_mapping
from fairart.tuning.space import Choice, Range, Space

__all__ = ["Choice", "Range", "Search", "Space", "Tuning", "read_tuning", "tuning_from_mapping"]
