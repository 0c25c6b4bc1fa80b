"""The figures of the comparisons summed up, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["conclusions", "table"]


def conclusions(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Over all comparisons with the reference: is it the same classes, and the same gap?

    One line for each factor, each training, data set and architecture, and each attack.

    Args:
        found: ``comparisons`` of :func:`document`.
    """
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in found:
        for attack, one in entry["attacks"].items():
            of = {"factor": entry["factor"], "where": entry["where"], "attack": attack}
            counts = {"pairs": 0, "spread_larger": 0, "spread_smaller": 0}
            line = lines.setdefault((entry["factor"], entry["where"], attack), {**of, **counts, "ranks": []})
            for index, value in enumerate(one["values"][1:], start=1):
                low, high = value["std_less_reference"]["interval"]
                line["pairs"] += 1
                line["spread_larger"] += low is not None and low > 0
                line["spread_smaller"] += high is not None and high < 0
                rho = None if one["rank_agreement"] is None else one["rank_agreement"]["spearman"][0][index]
                line["ranks"] += [] if rho is None else [rho]
    return list(lines.values())


def table(found: Mapping[str, Any]) -> str:
    """Markdown: a line for each factor, then one for each comparison, attack and value; per cent, differences in points.

    A spread counts as larger or smaller than that of the reference if the interval of the difference excludes 0.

    Args:
        found: of :func:`document`.
    """
    head = (
        "factor",
        "others",
        "attack",
        "value",
        "seeds",
        "average",
        "std of classes",
        "less reference",
        "worst three",
        "rank, seeds",
        "rank, reference",
    )
    lines = ["| " + " | ".join(head) + " |", "| --- " * 4 + "| ---: " * 4 + "| --- | ---: | ---: |"]
    for entry in found["comparisons"]:
        for attack, one in entry["attacks"].items():
            for index, value in enumerate(one["values"]):
                alike = one["rank_agreement"]
                context = ", ".join(filter(None, (entry["where"], entry["context"])))
                cells = [entry["factor"], context, attack, value["value"], str(len(value["seeds"]))]
                cells += [_share(value["average"]), _share(value["std"])]
                cells.append(_share(value["std_less_reference"], sign="+") if index else "(reference)")
                cells += [", ".join(value["worst_three"]), _number(value["seeds_rank_alike"])]
                cells.append(_rank(alike, index) if index else "")
                lines.append("| " + " | ".join(cells) + " |")
    notes = [
        f"{found['cells']} cells. Intervals: 95 %, Student's over the seeds; those of rank correlations by draws of seeds and "
        "test images. Rank, seeds: of two seeds of the value, mean over pairs; rank, reference: of the value and the reference."
    ]
    notes += [f"Failed and left out: {', '.join(found['failed'])}."] if found["failed"] else []
    return "\n".join([*_overview(found["conclusions"]), "", *lines, "", *notes]) + "\n"


def _overview(found: Sequence[Mapping[str, Any]]) -> list[str]:
    head = "| factor | where | attack | pairs with the reference | rank correlation, median | lowest | std larger | std smaller |"
    lines = [head, "| --- | --- | --- |" + " ---: |" * 5]
    for one in found:
        ranks_known = [f"{np.median(one['ranks']):.2f}", f"{min(one['ranks']):.2f}"] if one["ranks"] else ["-", "-"]
        counts = [str(one[name]) for name in ("spread_larger", "spread_smaller")]
        lines.append(
            "| " + " | ".join([one["factor"], one["where"], one["attack"], str(one["pairs"]), *ranks_known, *counts]) + " |"
        )
    return lines


def _share(found: Mapping[str, Any], *, sign: str = "") -> str:
    ends = [f"{100 * end:{sign}.1f}" for end in found["interval"] if end is not None]
    return f"{100 * found['mean']:{sign}.1f}" + (f" [{', '.join(ends)}]" if ends else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rank(alike: Mapping[str, Any] | None, index: int) -> str:
    """Spearman's rho of a value and the reference."""
    if alike is None or alike["spearman"][0][index] is None:
        return "-"
    ends = ", ".join(map(_number, alike["spearman_intervals"][0][index]))
    return f"{_number(alike['spearman'][0][index])} [{ends}]"
