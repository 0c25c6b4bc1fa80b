"""The section of planned comparisons: finished tables, made sortable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fairart.reporting.grouped import GroupedTable

__all__ = ["comparisons"]

_NUMBER = re.compile(r"<?[-+]?\d+(?:\.\d+)?")
_SIGN = re.compile(r"-(?=\d)")


def comparisons(tables: Sequence[GroupedTable]) -> list[dict[str, Any]]:
    """Each table as heads, rows and notes; columns of numbers sort by the first number of a cell.

    Args:
        tables: in the order of the page.
    """
    return [_table(table) for table in tables]


def _table(table: GroupedTable) -> dict[str, Any]:
    columns = list(zip(*(cells for _, cells in table.rows), strict=True))
    numeric = [any(_value(cell.text) is not None for cell in column) for column in columns]
    heads: list[dict[str, Any]] = []
    starts, place = set(), 0
    for group, names in table.groups:
        starts.add(place)
        heads.append({"name": group, "columns": [{"name": name, "place": place + at + 1} for at, name in enumerate(names)]})
        place += len(names)
    return {
        "title": table.title,
        "corner": table.corner,
        "groups": heads,
        "kinds": ["n" if number else "t" for number in numeric],
        "rows": [
            {
                "name": name,
                "cells": [
                    {
                        "text": _SIGN.sub("\N{MINUS SIGN}", cell.text) if number else cell.text,
                        "value": _value(cell.text) if number else None,
                        "best": cell.best,
                        "edge": at in starts,
                    }
                    for at, (cell, number) in enumerate(zip(cells, numeric, strict=True))
                ],
            }
            for name, cells in table.rows
        ],
        "notes": table.notes,
    }


def _value(text: str) -> float | None:
    found = _NUMBER.match(text)
    # "<0.001" is the smallest p-value that is printed.
    return None if found is None else 0.0 if text.startswith("<") else float(found.group())
