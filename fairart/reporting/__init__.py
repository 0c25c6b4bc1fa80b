"""Reports of evaluations and histories: tables of classes and methods, and plots; :mod:`.plots` alone needs matplotlib."""

from __future__ import annotations

from fairart.reporting.across import rank_correlations
from fairart.reporting.tables import ClassTable, Column, Spread, class_table, render_rich, render_text

__all__ = ["ClassTable", "Column", "Spread", "class_table", "rank_correlations", "render_rich", "render_text"]
