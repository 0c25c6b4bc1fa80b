"""A grid of runs: methods x data sets x models x seeds, each run once, all in one table.

Importing this package loads nothing heavy; running a grid does.
"""

from __future__ import annotations

from fairart.benchmark.grid.cells import Cell
from fairart.benchmark.grid.file import Grid, grid_from_mapping, read_grid
from fairart.benchmark.grid.plan import EvaluationPlan
from fairart.benchmark.grid.ray_cluster import RayOptions
from fairart.benchmark.grid.runner import dry_run, run_grid

__all__ = ["Cell", "EvaluationPlan", "Grid", "RayOptions", "dry_run", "grid_from_mapping", "read_grid", "run_grid"]
