"""Groups and their numbers as plain values of ``evaluation.json``, under the key ``groups``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.groups.numbers import SMALL, GroupedResult
from fairart.evaluation.results.outcome import AttackResult
from fairart.statistics import Groups

__all__ = ["groups_from_dict", "groups_to_dict"]


def groups_to_dict(
    groups: Mapping[str, Groups], results: Mapping[str, AttackResult], corruptions: CorruptionResults
) -> list[dict[str, Any]] | None:
    """One entry for each attribute; None where there is none.

    Args:
        groups: name -> groups.
        results: label -> result of an attack, or of clean data.
        corruptions: results of corrupted images; theirs are listed where the images are made of the same samples.
    """
    if not groups:
        return None
    of_same = {} if corruptions.source.get("own_labels", True) else dict(corruptions.items())
    return [
        {
            "name": one.name,
            "names": one.names,
            "counts": one.counts,
            "small": SMALL,
            "of_samples": one.index,
            "results": [{"label": label, **_numbers(GroupedResult(result, one))} for label, result in results.items()],
            "corruptions": [
                {"corruption": name, "severity": severity, **_numbers(GroupedResult(result, one))}
                for (name, severity), result in of_same.items()
            ],
        }
        for one in groups.values()
    ]


def _numbers(found: GroupedResult) -> dict[str, Any]:
    calibration = found.calibration()
    group, label = found.worst_cell
    return {
        "accuracy": found.accuracy,
        "confidence_interval": found.confidence_interval,
        "worst_group": found.worst_group,
        "worst_group_interval": found.worst_group_interval,
        "worst_group_probability": found.worst_group_probability,
        "class_support": found.class_support,
        "class_correct": found.class_correct,
        "class_accuracy": found.class_accuracy,
        "class_confidence_interval": found.class_confidence_interval,
        "worst_cell": {"group": group, "class": label, "interval": found.worst_cell_interval},
        "ece": None if calibration is None else [one.ece for one in calibration],
        "gaps": dataclasses.asdict(found.gaps),
    }


def groups_from_dict(data: Any, results: Mapping[str, AttackResult]) -> dict[str, Groups]:
    """Read the entries back, and check that their counts are those of the predictions.

    Args:
        data: what :func:`groups_to_dict` gave; None for none.
        results: label -> result.

    Raises:
        ValueError, KeyError, TypeError: something else.
    """
    found: dict[str, Groups] = {}
    for entry in data or ():
        index = np.asarray(entry["of_samples"])
        if index.ndim != 1 or index.dtype.kind != "i":
            raise ValueError("the groups of samples must be a list of whole numbers")
        groups = Groups(entry["name"], tuple(map(str, entry["names"])), index.astype(np.int64))
        for stored in entry["results"]:
            counts = GroupedResult(results[stored["label"]], groups).class_correct
            if counts.tolist() != stored["class_correct"]:
                raise ValueError(f"the counts by {groups.name!r} of {stored['label']!r} are not those of its predictions")
        found[groups.name] = groups
    return found
