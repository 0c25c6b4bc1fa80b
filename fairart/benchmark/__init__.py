"""Grids of runs, the command ``fairart benchmark``: methods x data sets x models x seeds, each run once, all in one table.

The folder ``benchmarks/`` at the top of the repository is something else: scripts that measure speed.

Importing this package loads nothing heavy; running a grid does.
"""

from __future__ import annotations

from fairart.benchmark.cells import Cell
from fairart.benchmark.file import Grid, grid_from_mapping, read_grid
from fairart.benchmark.overview import DryRun
from fairart.benchmark.plan import EvaluationPlan
from fairart.benchmark.ray_cluster import RayOptions
from fairart.benchmark.runner import dry_run, run_grid

__all__ = ["Cell", "DryRun", "EvaluationPlan", "Grid", "RayOptions", "dry_run", "grid_from_mapping", "read_grid", "run_grid"]
