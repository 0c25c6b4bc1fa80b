"""Evaluations as JSON files: replaced only by complete ones, and checked when read."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fairart import packed
from fairart.evaluation.errors import DamagedFileError
from fairart.evaluation.results.affine_results import AffineResults
from fairart.evaluation.results.canonical import canonical
from fairart.evaluation.results.certificate_result import CertificateResult
from fairart.evaluation.results.certificate_storage import certificates_from_list, certificates_to_list
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.defence_result import DefenceResult
from fairart.evaluation.results.defence_storage import defences_from_list, defences_to_list
from fairart.evaluation.results.ensemble_results import EnsembleResults
from fairart.evaluation.results.groups import Groups
from fairart.evaluation.results.groups.storage import groups_from_dict, groups_to_dict
from fairart.evaluation.results.ood_results import OodResults
from fairart.evaluation.results.ood_storage import ood_from_dict, ood_to_dict
from fairart.evaluation.results.outcome import AttackResult, Perturbation
from fairart.evaluation.results.sanity_check import SanityCheck
from fairart.evaluation.results.shift_results import Drop, ShiftResults
from fairart.evaluation.results.temperature import TemperatureResults
from fairart.files import replaced

__all__ = ["load", "save", "to_dict"]

FORMAT = "fairart.evaluation"
FORMAT_VERSION = 2
"""2 adds confidences, corruptions and sanity checks."""

READABLE = (1, 2)


def _attack_to_dict(result: AttackResult) -> dict[str, Any]:
    change = result.perturbation
    return {
        "label": result.label,
        "config": result.config,
        "accuracy": result.accuracy,
        "accuracy_interval": result.accuracy_interval,
        "class_accuracy": result.class_accuracy,
        "confidence_interval": result.confidence_interval,
        "worst_class": result.worst_class,
        "worst_class_probability": result.worst_class_probability,
        "worst_class_interval": result.worst_class_interval,
        "cfps": result.cfps,
        "calibration": _calibration(result),
        "metrics": result.metrics(),
        "perturbation": dataclasses.asdict(change) if change is not None else None,
        "confusion": result.confusion.to_list(),
        "predictions": result.predictions,
        "confidences": result.confidences,
    }


def _calibration(result: AttackResult) -> dict[str, Any] | None:
    overall, classes = result.calibration(), result.class_calibration()
    if overall is None or classes is None:
        return None
    return {**overall.to_dict(), "ece_by_predicted_class": [found.ece for found in classes]}


def _corruptions_to_dict(corruptions: CorruptionResults, labels: Any) -> dict[str, Any] | None:
    if not len(corruptions):
        return None
    own = next(iter(corruptions.values())).labels
    return {
        "source": corruptions.source,
        # Only if they differ from those of the attacks.
        "labels": None if np.array_equal(own, labels) else own,
        "mean_accuracy": corruptions.mean_accuracy(),
        "mean_worst_class_accuracy": corruptions.mean_worst_class_accuracy(),
        "results": [
            {"corruption": name, "severity": severity, **_attack_to_dict(result)}
            for (name, severity), result in corruptions.items()
        ],
    }


def _shifts_to_dict(shifts: ShiftResults, clean: AttackResult) -> list[dict[str, Any]] | None:
    if not len(shifts):
        return None
    return [
        {
            "name": name,
            "source": shifts.sources[name],
            "labels": result.labels,
            "drop": Drop(clean, result).to_dict(),
            **_attack_to_dict(result),
        }
        for name, result in shifts.items()
    ]


def _affine_to_dict(affine: AffineResults) -> list[dict[str, Any]] | None:
    if not len(affine):
        return None
    return [{"family": family, "degree": degree, **_attack_to_dict(result)} for (family, degree), result in affine.items()]


def _only_where_there(result: EvaluationData) -> dict[str, Any]:
    """Parts that not every evaluation has, so that files without them are as before."""
    found = {
        "groups": groups_to_dict(result.groups, result, result.corruptions),
        "shifts": _shifts_to_dict(result.shifts, next(iter(result.values()))),
        "affine": _affine_to_dict(result.affine),
        "temperature": None if result.temperature is None else result.temperature.to_dict(),
        "ensemble": None if result.ensemble is None else result.ensemble.to_dict(),
        "defences": defences_to_list(result.defences, _attack_to_dict) if result.defences else None,
    }
    return {name: part for name, part in found.items() if part is not None}


def to_dict(result: EvaluationData) -> dict[str, Any]:
    """Plain numbers, lists and text; NaN is None.

    Args:
        result: the evaluation.
    """
    plain: dict[str, Any] = canonical(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "versions": result.versions,
            "config": result.config,
            "nb_classes": result.nb_classes,
            "class_names": result.class_names,
            "labels": result.labels,
            "results": [_attack_to_dict(attack) for attack in result.values()],
            "corruptions": _corruptions_to_dict(result.corruptions, result.labels),
            **({"certificates": certificates_to_list(result.certificates)} if result.certificates else {}),
            # Only where there are outliers, so that files without them are as before.
            **({"ood": ood_to_dict(result.ood)} if len(result.ood) else {}),
            "checks": [dataclasses.asdict(check) for check in result.checks],
            **_only_where_there(result),
        }
    )
    return plain


def save(result: EvaluationData, path: str | Path) -> Path:
    """Write the file. An older one is replaced only when the new one is complete.

    Args:
        result: the evaluation.
        path: file; its folder must exist.

    Returns:
        The path.
    """
    final = Path(path)
    text = json.dumps(to_dict(result), allow_nan=False) + "\n"
    with replaced(final) as file:
        file.write(text.encode())
    return final


@dataclasses.dataclass(frozen=True)
class Contents:
    """The contents of a file: the arguments of an ``EvaluationResult``."""

    results: list[AttackResult]
    corruptions: CorruptionResults
    certificates: list[CertificateResult]
    ood: OodResults
    config: dict[str, Any]
    versions: dict[str, str]
    checks: tuple[SanityCheck, ...]
    groups: dict[str, Groups]
    shifts: ShiftResults
    temperature: TemperatureResults | None
    affine: AffineResults
    ensemble: EnsembleResults | None
    defences: list[DefenceResult]


def load(path: str | Path) -> Contents:
    """Read a file of :func:`save`, and check that its counts are those of its predictions.

    Args:
        path: file; a packed one (``NAME.xz``) may be in its place, see :mod:`fairart.packed`.

    Returns:
        The arguments of an ``EvaluationResult``.

    Raises:
        FileNotFoundError: the file does not exist.
        DamagedFileError: it is not an evaluation, has a newer format, or is incomplete.
    """
    file = Path(path)
    try:
        data = json.loads(packed.read_bytes(file).decode("utf-8"))
    except ValueError as error:  # no JSON, or no text at all
        raise DamagedFileError(f"{file} is damaged or no evaluation: it is not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DamagedFileError(f'{file} is no evaluation of fairart: expected a JSON object with "format": "{FORMAT}"')
    if data.get("format_version") not in READABLE:
        raise DamagedFileError(
            f"{file} has format version {data.get('format_version')!r} (written by fairart {_written_by(data)}), "
            f"this fairart reads {' and '.join(map(str, READABLE))}"
        )
    try:
        return _from_dict(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(f"{file} is a damaged evaluation: {type(error).__name__}: {error}") from error


def _written_by(data: Mapping[str, Any]) -> Any:
    versions = data.get("versions")
    return versions.get("fairart", "unknown") if isinstance(versions, Mapping) else "unknown"


def _integers(values: Any, what: str) -> Any:
    array = np.asarray(values)
    if not isinstance(values, list) or array.ndim != 1 or array.dtype.kind != "i":
        raise ValueError(f"{what} must be a list of whole numbers")
    return array.astype(np.int64)


def _from_dict(data: Mapping[str, Any]) -> Contents:
    labels, nb_classes, names = _integers(data["labels"], "labels"), data["nb_classes"], data["class_names"]
    if names is not None and len(names) != nb_classes:
        raise ValueError(f"{len(names)} class names for {nb_classes} classes")
    common = {"nb_classes": nb_classes, "class_names": None if names is None else tuple(names)}
    results = [_attack_from_dict(entry, labels=labels, **common) for entry in data["results"]]
    corruptions = _corruptions_from_dict(data.get("corruptions"), labels, common)
    ood = ood_from_dict(data.get("ood"), **common)
    checks = tuple(SanityCheck(**entry) for entry in data.get("checks", ()))
    certificates = certificates_from_list(data.get("certificates", ()), labels=labels, **common)
    by_label = {result.label: result for result in results}
    groups, shifts = groups_from_dict(data.get("groups"), by_label), _shifts_from_dict(data.get("shifts"), common)
    scaled = data.get("temperature")
    temperature = None if scaled is None else TemperatureResults.from_dict(scaled, by_label, shifts)
    together = data.get("ensemble")
    return Contents(
        results,
        corruptions,
        certificates,
        ood,
        dict(data["config"]),
        dict(data["versions"]),
        checks,
        groups,
        shifts,
        temperature,
        _affine_from_dict(data.get("affine"), labels, common),
        None if together is None else EnsembleResults.from_dict(together, by_label),
        defences_from_list(data.get("defences", ()), lambda entry: _attack_from_dict(entry, labels=labels, **common), by_label),
    )


def _attack_from_dict(entry: Mapping[str, Any], *, labels: Any, **common: Any) -> AttackResult:
    change = entry["perturbation"]
    result = AttackResult(
        label=entry["label"],
        labels=labels,
        predictions=_integers(entry["predictions"], "predictions"),
        config=entry["config"],
        perturbation=None if change is None else _perturbation(change),
        confidences=_confidences(entry.get("confidences"), len(labels)),
        **common,
    )
    if result.confusion.to_list() != entry["confusion"]:
        raise ValueError(f"the counts of {result.label!r} are not those of its predictions")
    return result


def _corruptions_from_dict(data: Mapping[str, Any] | None, labels: Any, common: Mapping[str, Any]) -> CorruptionResults:
    if data is None:
        return CorruptionResults()
    own = labels if data["labels"] is None else _integers(data["labels"], "labels of corruptions")
    cells = [((str(entry["corruption"]), int(entry["severity"])), entry) for entry in data["results"]]
    if len({cell for cell, _ in cells}) < len(cells):
        raise ValueError("two results of one corruption and severity")
    return CorruptionResults(
        {cell: _attack_from_dict(entry, labels=own, **common) for cell, entry in cells}, source=data["source"]
    )


def _shifts_from_dict(data: Any, common: Mapping[str, Any]) -> ShiftResults:
    entries = {str(entry["name"]): entry for entry in data or ()}
    if len(entries) < len(data or ()):
        raise ValueError("two shifts of one name")
    results = {
        name: _attack_from_dict(entry, labels=_integers(entry["labels"], f"labels of {name!r}"), **common)
        for name, entry in entries.items()
    }
    return ShiftResults(results, sources={name: entry["source"] for name, entry in entries.items()})


def _affine_from_dict(data: Any, labels: Any, common: Mapping[str, Any]) -> AffineResults:
    cells = {(str(entry["family"]), float(entry["degree"])): entry for entry in data or ()}
    if len(cells) < len(data or ()):
        raise ValueError("two results of one affine family and degree")
    return AffineResults({cell: _attack_from_dict(entry, labels=labels, **common) for cell, entry in cells.items()})


def _confidences(values: Any, number: int) -> Any:
    if values is None:
        return None
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (number,) or not ((array > 0) & (array <= 1)).all():
        raise ValueError(f"confidences must be {number} shares in (0, 1]")
    return array


def _perturbation(plain: Mapping[str, Any]) -> Perturbation:
    numbers = {key: math.nan if value is None else float(value) for key, value in plain.items() if key != "nb_attacked"}
    return Perturbation(nb_attacked=int(plain["nb_attacked"]), **numbers)
