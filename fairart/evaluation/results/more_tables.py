"""The tables that only some evaluations have: groups, shifted test sets, affine changes, temperatures, members of ensembles,
input defences."""

from __future__ import annotations

from fairart.evaluation.results.affine_table import affine_grid, affine_notes
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.defence_table import defence_grid, defence_notes
from fairart.evaluation.results.ensemble_table import ensemble_grids, ensemble_notes
from fairart.evaluation.results.grid import Grid
from fairart.evaluation.results.group_table import group_grids, group_notes
from fairart.evaluation.results.shift_table import shift_grid, shift_notes
from fairart.evaluation.results.temperature_table import class_temperature_grid, temperature_grid, temperature_notes

__all__ = ["more_tables"]


def more_tables(result: EvaluationData) -> list[tuple[list[Grid], list[str]]]:
    """Tables, and the lines below them, of every part that the evaluation has.

    Args:
        result: the evaluation.
    """
    found = [(group_grids(result, groups), group_notes(result, groups)) for groups in result.groups.values()]
    if len(result.shifts):
        found.append(([shift_grid(result)], shift_notes(result)))
    if len(result.affine):
        found.append(([affine_grid(result, family) for family in result.affine.families], affine_notes(result)))
    if result.temperature is not None:
        grids = [temperature_grid(result.temperature), class_temperature_grid(result)]
        found.append((grids, temperature_notes(result.temperature)))
    if result.ensemble is not None:
        found.append((ensemble_grids(result), ensemble_notes(result.ensemble)))
    found += [([defence_grid(result, one)], defence_notes(result, one)) for one in result.defences.values()]
    return found
