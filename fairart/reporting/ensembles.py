"""What a comparison says of evaluations of ensembles: how often their members disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fairart.evaluation.results.grid import per_cent
from fairart.reporting.run_results import Run

__all__ = ["ensemble_lines"]


def ensemble_lines(methods: Mapping[str, Sequence[Run]], classes: Sequence[str]) -> list[str]:
    """A line for each evaluation of an ensemble: its members, and where they disagree; none without any.

    Args:
        methods: label -> its evaluated runs.
        classes: K names.
    """
    lines = []
    for label, runs in methods.items():
        for run in runs:
            found = None if run.result is None else run.result.ensemble
            if found is None:
                continue
            shares = []
            for name, one in found.items():
                most = int(np.nanargmax(one.class_disagreement))
                worst = f"{classes[most]} {per_cent(float(one.class_disagreement[most]))}"
                shares.append(f"{name} {per_cent(one.disagreement)} (most: {worst})")
            about = f"ensemble of {len(found.members)}, mean of {found.combine}"
            who = label if len(runs) == 1 else run.name
            lines.append(f"{who}: {about}; members disagree on % of the images: {', '.join(shares)}")
    return lines
