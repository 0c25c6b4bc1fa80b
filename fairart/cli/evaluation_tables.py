"""The tables of an evaluation on standard output: coloured on a terminal, plain text elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from fairart.cli.output import print_table

__all__ = ["show_evaluation"]


def show_evaluation(result: Any) -> None:
    """Print every table that the evaluation has.

    Args:
        result: an ``EvaluationResult``.
    """
    if not sys.stdout.isatty():
        print(result.table())
        return
    from fairart.evaluation.results.more_tables import more_tables
    from fairart.evaluation.results.ood_table import ood_class_grid, ood_grid, ood_notes
    from fairart.evaluation.results.table import class_grid, corruption_grid, corruption_notes, notes

    grid = class_grid(result)
    print_table(grid.columns, grid.rows)
    print("\n".join(notes(result)))
    if len(result.corruptions):
        grid = corruption_grid(result.corruptions)
        print_table(grid.columns, grid.rows)
        print("\n".join(corruption_notes(result)))
    if len(result.ood):
        for grid in (ood_grid(result.ood), ood_class_grid(result.ood)):
            print_table(grid.columns, grid.rows)
        print("\n".join(ood_notes(result.ood)))
    for grids, below in more_tables(result):
        for grid in grids:
            print_table(grid.columns, grid.rows)
        print("\n".join(below))
    _show_certificates(result)


def _show_certificates(result: Any) -> None:
    from fairart.escapes import terminal
    from fairart.evaluation.results.certificate_table import certificate_grid, certificate_notes, certificate_title

    for certificate in result.certificates.values():
        print(f"\n{terminal(certificate_title(certificate))}")
        grid = certificate_grid(certificate)
        print_table(grid.columns, grid.rows)
        print("\n".join(certificate_notes(certificate, result)))
