"""The sections about evaluations: numbers and finished texts, without markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairart.reporting.comparison import Cell, Comparison
from fairart.reporting.comparison_text import left_behind_lines, p_text, per_cent, spread_text
from fairart.reporting.comparison_text import points as signed
from fairart.reporting.page.pixels import data_uri, opacities
from fairart.reporting.page.svg import reliability_diagram
from fairart.reporting.tables import Spread
from fairart.statistics import ConfusionMatrix

__all__ = ["Flags", "calibration", "classes", "errors", "ranges", "summary", "tests"]

Flags = Mapping[tuple[str, str], Sequence[str]]
"""(method, attack) -> messages of its failed sanity checks."""

NUMBERS_UP_TO = 20
"""Classes up to which a confusion matrix is a table of numbers; above, it is a picture with the largest entries listed."""

BAD = (200, 84, 20)
LISTED = 15


def points(difference: float) -> str:
    """A difference in points, with a minus sign and not a hyphen."""
    return signed(difference).replace("-", "\N{MINUS SIGN}")


def _value(number: float) -> float | None:
    """The number that a column is sorted by; None is last."""
    return None if math.isnan(number) else round(number, 6)


def summary(comparison: Comparison, flags: Flags) -> list[dict[str, Any]]:
    """A row for each method: overall and worst class under each attack."""
    best = {
        (attack, part): max(
            (getattr(cell, part).mean for (_, shown), cell in comparison.cells.items() if shown == attack), default=math.nan
        )
        for attack in comparison.attacks
        for part in ("overall", "worst")
    }
    rows = []
    for index, (label, runs) in enumerate(comparison.methods.items()):
        cells = []
        for attack in comparison.attacks:
            cell = comparison.cells.get((label, attack))
            for part in ("overall", "worst"):
                cells.append(_summary_cell(cell, part, best[attack, part], len(comparison.methods) > 1))
            cells[-1]["detail"] = _worst_text(cell, comparison)
            cells[-2]["flags"] = flags.get((label, attack), ())
        rows.append({"method": label, "index": index, "seeds": len(runs), "cells": cells})
    return rows


def _summary_cell(cell: Cell | None, part: str, best: float, several: bool) -> dict[str, Any]:
    if cell is None:
        return {"text": "-", "value": None, "best": False}
    spread: Spread = getattr(cell, part)
    return {"text": spread_text(spread), "value": _value(spread.mean), "best": several and spread.mean == best}


def _worst_text(cell: Cell | None, comparison: Comparison) -> str:
    if cell is None:
        return ""
    low, high = cell.results[0].worst_class_interval
    text = f"{comparison.classes[cell.worst_class]} ({100 * cell.worst_probability:.0f} %)"
    return text if len(cell.results) > 1 else f"{text}, {per_cent(float(low))} to {per_cent(float(high))}"


def ranges(comparison: Comparison) -> list[dict[str, Any]]:
    """For each attack and method, from the worst class to the best one, with the accuracy over all between."""
    groups = []
    for attack in comparison.attacks:
        rows = []
        for index, label in enumerate(comparison.methods):
            cell = comparison.cells.get((label, attack))
            if cell is None:
                continue
            worst, overall = 100 * cell.worst.mean, 100 * cell.overall.mean
            best = 100 * max(spread.mean for spread in cell.classes if not math.isnan(spread.mean))
            detail = f"{label}, {attack}: worst class {worst:.1f} %, overall {overall:.1f} %, best class {best:.1f} %"
            rows.append({"index": index, "method": label, "worst": worst, "overall": overall, "best": best, "detail": detail})
        groups.append({"attack": attack, "rows": rows})
    return groups


def tests(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each method and attack: how it differs from the first method."""
    rows = []
    for (label, attack), found in comparison.contrasts.items():
        row: dict[str, Any] = {"method": label, "attack": attack, "index": list(comparison.methods).index(label)}
        for part, test in (("overall", found.overall), ("worst", found.worst)):
            if test is None:
                row[part] = {"text": "-", "value": None, "interval": found.note, "p": "-", "p_value": None, "sure": False}
                continue
            low, high = test.interval
            row[part] = {
                "text": points(test.difference),
                "value": _value(test.difference),
                "interval": "" if math.isnan(low) else f"{points(low)} to {points(high)}",
                "p": p_text(test.p_value),
                "p_value": _value(test.p_value),
                "sure": test.p_value < 0.05,
            }
        row["test"] = _test_name(found.overall.test if found.overall is not None else "", found.note)
        rows.append(row)
    return rows


def _test_name(test: str, note: str) -> str:
    name = {"mcnemar-exact": "McNemar; exact bounds of the worst class", "paired-t": "paired t over seeds", "": "none"}[test]
    return f"{name} ({note})" if note else name


def classes(comparison: Comparison, flags: Flags) -> list[dict[str, Any]]:
    """For each attack a table of classes, methods side by side, with intervals."""
    shown = []
    for attack in comparison.attacks:
        present = [(index, label) for index, label in enumerate(comparison.methods) if (label, attack) in comparison.cells]
        cells = [comparison.cells[label, attack] for _, label in present]
        rows = []
        for place, (name, count) in enumerate(zip(comparison.classes, comparison.support, strict=True)):
            entries = [_class_entry(cell, place, index, label) for cell, (index, label) in zip(cells, present, strict=True)]
            gaps = [cell.classes[place].mean - cells[0].classes[place].mean for cell in cells[1:]]
            rows.append(
                {
                    "name": name,
                    "count": count,
                    "entries": entries,
                    "gaps": [{"text": points(gap), "value": _value(gap), "sign": _sign(gap)} for gap in gaps],
                }
            )
        heads = [{"index": index, "method": label, "flags": flags.get((label, attack), ())} for index, label in present]
        below = left_behind_lines(comparison, [attack])
        shown.append({"attack": attack, "heads": heads, "rows": rows, "left_behind": below})
    return shown


def _sign(gap: float) -> str:
    return "" if math.isnan(gap) or abs(gap) < 0.0005 else "up" if gap > 0 else "down"


def _class_entry(cell: Cell, place: int, index: int, label: str) -> dict[str, Any]:
    spread = cell.classes[place]
    if len(cell.results) > 1:
        half = 0.0 if math.isnan(spread.std) else spread.std
        low, high, text = spread.mean - half, spread.mean + half, f"± {100 * half:.1f}"
    else:
        low, high = map(float, cell.results[0].confidence_interval[place])
        text = f"{per_cent(low)} to {per_cent(high)}"
    absent = math.isnan(spread.mean)
    return {
        "index": index,
        "value": _value(spread.mean),
        "mean": per_cent(spread.mean),
        "interval": "" if absent else text,
        "low": max(0.0, 100 * low),
        "high": min(100.0, 100 * high),
        "at": 100 * spread.mean,
        "worst": cell.worst_class == place,
        "detail": f"{label}: {per_cent(spread.mean)} % ({text})",
    }


def _pooled(cell: Cell) -> ConfusionMatrix:
    return sum((result.confusion for result in cell.results), ConfusionMatrix.zeros(cell.results[0].nb_classes))


def errors(comparison: Comparison) -> list[dict[str, Any]]:
    """For each attack the confusion matrix of each method, seeds added up, and a table of CFPS."""
    shown = []
    for attack in comparison.attacks:
        matrices, scores = [], []
        for index, label in enumerate(comparison.methods):
            cell = comparison.cells.get((label, attack))
            if cell is None:
                continue
            matrix = _pooled(cell)
            matrices.append({"method": label, "index": index, **_matrix(matrix, comparison.classes)})
            scores.append({"method": label, "index": index, "cells": [_score(float(value)) for value in matrix.cfps]})
        shown.append({"attack": attack, "matrices": matrices, "cfps": scores})
    return shown


def _score(value: float) -> dict[str, Any]:
    strength = 100 * math.sqrt(max(0.0, value))
    return {"text": f"{100 * value:.0f}", "value": _value(value), "strength": round(strength)}


def _matrix(matrix: ConfusionMatrix, names: Sequence[str]) -> dict[str, Any]:
    shares = matrix.normalised()
    if len(names) <= NUMBERS_UP_TO:
        rows = [
            [
                {**_score(float(share)), "count": int(count)} if not math.isnan(share) else None
                for share, count in zip(*row, strict=True)
            ]
            for row in zip(shares, matrix.counts, strict=True)
        ]
        return {"rows": rows, "picture": None, "largest": ()}
    wrong = shares.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(np.nan_to_num(wrong), axis=None)[::-1][:LISTED]
    largest = []
    for flat in order:
        true, guess = divmod(int(flat), len(names))
        if wrong[true, guess] > 0:
            share = float(wrong[true, guess])
            largest.append({"true": names[true], "guess": names[guess], "text": per_cent(share), "value": _value(share)})
    picture = data_uri(opacities(np.sqrt(shares), low=0, high=1), BAD)
    return {"rows": None, "picture": picture, "largest": largest}


def calibration(comparison: Comparison) -> dict[str, Any] | None:
    """Reliability diagrams of each method under each attack, and the calibration error of each class; None without any."""
    groups, table = [], []
    for attack in comparison.attacks:
        cards = []
        for index, label in enumerate(comparison.methods):
            cell = comparison.cells.get((label, attack))
            found = None if cell is None else _pooled_calibration(cell)
            if cell is None or found is None:
                continue
            overall = [result.calibration() for result in cell.results]
            ece = Spread.of([single.ece for single in overall if single is not None])
            lean = Spread.of([single.overconfidence for single in overall if single is not None])
            detail = f"reliability of {label}, {attack}: calibration error {spread_text(ece)} per cent"
            diagram = reliability_diagram(found, label=detail, colour=index)
            cards.append({"method": label, "index": index, "diagram": diagram, "ece": spread_text(ece), "lean": _lean(lean.mean)})
            table.append({"method": label, "index": index, "attack": attack, "cells": _class_ece(cell), "overall": _ece(ece)})
        if cards:
            groups.append({"attack": attack, "cards": cards})
    return {"groups": groups, "table": table} if groups else None


def _lean(gap: float) -> str:
    return f"{'over' if gap > 0 else 'under'}-confident by {per_cent(abs(gap))}"


def _ece(spread: Spread) -> dict[str, Any]:
    if math.isnan(spread.mean):
        return {"text": "-", "value": None, "strength": 0}
    strength = round(100 * math.sqrt(min(1.0, spread.mean)))
    return {"text": per_cent(spread.mean), "value": _value(spread.mean), "strength": strength}


def _class_ece(cell: Cell) -> list[dict[str, Any]]:
    found = [result.class_calibration() for result in cell.results]
    return [
        _ece(Spread.of([single[place].ece for single in found if single is not None]))
        for place in range(cell.results[0].nb_classes)
    ]


def _pooled_calibration(cell: Cell) -> Any:
    from fairart.evaluation.results.calibration import reliability

    scored = [result for result in cell.results if result.confidences is not None]
    if not scored:
        return None
    right = np.concatenate([result.correct for result in scored])
    return reliability(right, np.concatenate([result.confidences for result in scored if result.confidences is not None]))
