"""The section of the setup: configurations, attacks, sanity checks, versions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fairart.evaluation.results.canonical import canonical
from fairart.reporting.comparison_text import per_cent
from fairart.reporting.run_results import Run

__all__ = ["attacks", "checks", "configurations", "versions"]


def _text(value: Any) -> str:
    return _canonical_text(canonical(value))


def _canonical_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_canonical_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_canonical_text, value)) or "none"
    return "none" if value is None else str(value)


def configurations(methods: Mapping[str, Sequence[Run]]) -> dict[str, Any] | None:
    """A row for each key of the config, a column for each method; keys that differ between methods are marked.

    Args:
        methods: label -> its runs.
    """
    configured = {label: runs for label, runs in methods.items() if runs[0].config}
    keys = list(dict.fromkeys(key for runs in configured.values() for run in runs for key in run.config))
    rows = []
    for key in keys:
        # Seeds, and other values that differ between the runs of a method, are listed.
        values = [list(dict.fromkeys(_text(run.config.get(key)) for run in runs)) for runs in configured.values()]
        cells = ["; ".join(found) for found in values]
        rows.append({"key": key, "cells": cells, "differs": len(set(cells)) > 1})
    rows.sort(key=lambda row: (not row["differs"], row["key"] != "seed"))
    return {"methods": list(configured), "rows": rows} if rows else None


def attacks(methods: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """A row for each attack: its options, and how much it changed the samples."""
    rows = []
    for label, runs in methods.items():
        for run in runs:
            for name, result in run.result.items() if run.result is not None else ():
                if result.config.get("attack") == "none":
                    continue
                change = result.perturbation
                rows.append(
                    {
                        "method": label,
                        "run": run.name,
                        "label": name,
                        "attack": result.config.get("attack", name),
                        "options": _text(result.config.get("options", {})),
                        "attacked": "" if change is None else str(change.nb_attacked),
                        "changed": "" if change is None else per_cent(change.share_changed),
                        "mean": "" if change is None or math.isnan(change.mean_linf) else f"{change.mean_linf:.4g}",
                        "max": "" if change is None or math.isnan(change.max_linf) else f"{change.max_linf:.4g}",
                    }
                )
    return rows


def checks(methods: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """A row for each sanity check, failed ones first."""
    rows = [
        {
            "run": run.name,
            "method": label,
            "name": check.name,
            "attack": check.attack or "all",
            "passed": check.passed,
            "detail": check.detail,
        }
        for label, runs in methods.items()
        for run in runs
        for check in (run.result.checks if run.result is not None else ())
    ]
    return sorted(rows, key=lambda row: bool(row["passed"]))


def versions(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row for each run: settings of its evaluation, number of samples, and versions."""
    rows = []
    for run in runs:
        if run.result is None:
            continue
        config = run.result.config
        rows.append(
            {
                "run": run.name,
                "samples": len(run.result.labels),
                "config": ", ".join(
                    f"{key} {_text(value)}"
                    for key, value in config.items()
                    if key in ("seed", "batch_size", "device", "dtype", "clip_values") and value is not None
                ),
                "note": str(config.get("note") or ""),
                "versions": ", ".join(f"{name} {number}" for name, number in run.result.versions.items()),
            }
        )
    return rows
