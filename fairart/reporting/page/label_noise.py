"""The section of noisy labels: which wrong training labels were learnt, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairart.reporting.comparison_text import per_cent
from fairart.reporting.run_results import Run

__all__ = ["label_noise"]

COUNTS = ("noisy", "learnt", "original", "other", "unchanged", "unchanged_right", "given", "given_learnt")


def label_noise(methods: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """A table for each method that was trained on noisy labels, with a row a class and one for all; counts are summed over seeds.

    Args:
        methods: label -> its runs.
    """
    tables = []
    for index, (label, runs) in enumerate(methods.items()):
        found = [run.label_noise for run in runs if run.label_noise is not None and run.label_noise["by_class"]]
        if not found:
            continue
        names = [row["class"] for row in found[0]["by_class"]]
        counts = np.array([[[row[name] for name in COUNTS] for row in one["by_class"]] for one in found]).sum(axis=0)
        rows = [_row(name, row) for name, row in zip(names, counts.tolist(), strict=True)]
        tables.append(
            {
                "method": label,
                "index": index,
                "seeds": len(found),
                "noise": found[0]["noise"],
                "rows": rows,
                "total": _row("all", counts.sum(axis=0).tolist()),
            }
        )
    return tables


def _row(name: str, counts: Sequence[int]) -> dict[str, Any]:
    row = dict(zip(COUNTS, counts, strict=True))
    return {
        "name": name,
        "noisy": row["noisy"],
        "given": row["given"],
        "learnt": _cell(row["learnt"], row["noisy"]),
        "original": _cell(row["original"], row["noisy"]),
        "other": _cell(row["other"], row["noisy"]),
        "unchanged": _cell(row["unchanged_right"], row["unchanged"]),
        "given_learnt": _cell(row["given_learnt"], row["given"]),
    }


def _cell(count: int, of: int) -> dict[str, Any]:
    if not of:
        return {"text": "-", "value": None, "strength": 0}
    return {"text": per_cent(count / of), "value": round(count / of, 6), "strength": round(100 * count / of)}
