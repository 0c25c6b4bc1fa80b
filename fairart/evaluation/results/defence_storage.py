"""Results behind defences as plain values for a file, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairart.evaluation.results.comparing.common import PairedTest
from fairart.evaluation.results.defence_result import DefenceResult, DefendedAttack
from fairart.evaluation.results.outcome import AttackResult

__all__ = ["defences_from_list", "defences_to_list"]

TOLERANCE = 1e-9


def defences_to_list(
    defences: Mapping[str, DefenceResult], write: Callable[[AttackResult], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Plain values, one entry a defence.

    Args:
        defences: label -> what was measured.
        write: the plain values of one result.
    """
    return [
        {
            "label": found.label,
            "config": found.config,
            "clean": write(found.clean),
            "attacks": [
                {
                    "attack": one.attack,
                    "naive": write(one.naive),
                    "bpda": write(one.bpda),
                    "both": {
                        "accuracy": one.both.accuracy,
                        "accuracy_interval": one.both.accuracy_interval,
                        "class_accuracy": one.both.class_accuracy,
                        "confidence_interval": one.both.confidence_interval,
                    },
                    "illusion": one.illusion.to_dict(),
                    "class_illusion": one.class_illusion,
                    "class_illusion_intervals": one.class_illusion_intervals,
                    "gain": one.gain.to_dict(),
                }
                for one in found.attacks
            ],
        }
        for found in defences.values()
    ]


def defences_from_list(
    entries: Sequence[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any]], AttackResult],
    results: Mapping[str, AttackResult],
) -> list[DefenceResult]:
    """Read what :func:`defences_to_list` gave.

    Args:
        entries: the plain values.
        read: one result of its plain values.
        results: label -> result of the undefended model.

    Raises:
        ValueError: a difference that is not that of the predictions, or results that do not go together.
        KeyError: a part is missing, or an attack that the undefended model was not evaluated under.
    """
    found = []
    for entry in entries:
        attacks = []
        for plain in entry["attacks"]:
            one = DefendedAttack(results[plain["attack"]], read(plain["naive"]), read(plain["bpda"]))
            _check(one.illusion, plain["illusion"], entry["label"])
            attacks.append(one)
        found.append(DefenceResult(str(entry["label"]), entry["config"], read(entry["clean"]), attacks))
    return found


def _check(test: PairedTest, plain: Mapping[str, Any], label: str) -> None:
    if abs(test.difference - plain["difference"]) > TOLERANCE:
        raise ValueError(f"the difference behind defence {label!r} is not that of its predictions")
