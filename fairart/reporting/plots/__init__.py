"""Plots of evaluations and histories, drawn with matplotlib's objects alone.

Each function takes results and returns a :class:`matplotlib.figure.Figure`. Nothing here touches pyplot or the user's settings: a
figure belongs to the caller, who may change it before :func:`save_figure` writes it. The same numbers give the same bytes.
"""

from __future__ import annotations

from fairart.reporting.plots.classes import accuracy_per_class
from fairart.reporting.plots.details import confusion_matrix, corruption_by_severity, reliability_diagram
from fairart.reporting.plots.kinds import kinds_of_robustness
from fairart.reporting.plots.models import cfps_across_models, tradeoff
from fairart.reporting.plots.saving import save_figure, save_png
from fairart.reporting.plots.training import epsilon_per_class_over_epochs, target_distribution_over_epochs

__all__ = [
    "accuracy_per_class",
    "cfps_across_models",
    "confusion_matrix",
    "corruption_by_severity",
    "epsilon_per_class_over_epochs",
    "kinds_of_robustness",
    "reliability_diagram",
    "save_figure",
    "save_png",
    "target_distribution_over_epochs",
    "tradeoff",
]
