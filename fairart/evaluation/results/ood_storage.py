"""Results of outliers as a part of an evaluation's JSON file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairart.evaluation.results.ood_results import AttackedScores, OodResults, ScoredImages

__all__ = ["ood_from_dict", "ood_to_dict"]


def ood_to_dict(ood: OodResults) -> dict[str, Any] | None:
    """Plain values by name; None if there are no outliers.

    Args:
        ood: the results.
    """
    if ood.inliers is None:
        return None
    return {
        "config": ood.config,
        "scores": list(ood.scores),
        "inliers": _images_to_dict(ood.inliers),
        "sets": [
            {"name": name, **_images_to_dict(images), "detection": _detections(ood, name), **_targets(ood, name)}
            for name, images in ood.items()
        ],
        "attacked": [
            {
                "score": score,
                "inliers": _images_to_dict(found.inliers),
                "sets": [{"name": name, **_images_to_dict(images)} for name, images in found.outliers.items()],
            }
            for score, found in ood.attacked.items()
        ],
    }


def _detections(ood: OodResults, name: str) -> list[dict[str, Any]]:
    return [
        {"score": score, "attacked": attacked, **ood.detection(name, score, attacked=attacked).to_dict()}
        for score in ood.scores
        for attacked in ood.conditions(name, score)
    ]


def _targets(ood: OodResults, name: str) -> dict[str, Any]:
    rates = ood.target_rates(name)
    return {} if rates is None else {"targets": {"rates": rates, "confidences": ood.target_confidences(name)}}


def _images_to_dict(images: ScoredImages) -> dict[str, Any]:
    return {"predictions": images.predictions, "confidences": images.confidences, "values": dict(images.scores)}


def ood_from_dict(data: Mapping[str, Any] | None, *, nb_classes: int, class_names: Sequence[str] | None) -> OodResults:
    """Read what :func:`ood_to_dict` made, and check that its numbers follow from its scores.

    Args:
        data: the part of the file, or None.
        nb_classes: K.
        class_names: K names, or None.

    Raises:
        ValueError, KeyError, TypeError: the part is damaged.
    """
    if data is None:
        return OodResults()
    found = OodResults(
        _images_from_dict(data["inliers"]),
        {str(entry["name"]): _images_from_dict(entry) for entry in data["sets"]},
        nb_classes=nb_classes,
        class_names=class_names,
        attacked={
            str(entry["score"]): AttackedScores(
                _images_from_dict(entry["inliers"]), {str(one["name"]): _images_from_dict(one) for one in entry["sets"]}
            )
            for entry in data["attacked"]
        },
        config=data["config"],
    )
    for entry in data["sets"]:
        for numbers in entry["detection"]:
            own = found.detection(entry["name"], numbers["score"], attacked=numbers["attacked"])
            if not math.isclose(own.auroc, numbers["auroc"], abs_tol=1e-9):
                raise ValueError(f"the AUROC of {entry['name']!r} is not that of its scores")
    return found


def _images_from_dict(entry: Mapping[str, Any]) -> ScoredImages:
    predictions = np.asarray(entry["predictions"])
    if predictions.ndim != 1 or predictions.dtype.kind != "i":
        raise ValueError("predictions of outliers must be a list of whole numbers")
    return ScoredImages(
        predictions.astype(np.int64),
        np.asarray(entry["confidences"], dtype=np.float64),
        {str(name): np.asarray(values, dtype=np.float64) for name, values in entry["values"].items()},
    )
