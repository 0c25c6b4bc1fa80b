"""Whether cells that were run again have the numbers of an earlier benchmark, sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fairart.benchmark.cells import Cell
from fairart.benchmark.file import Grid
from fairart.benchmark.state import cell_folder, state_of
from fairart.evaluation import AttackResult, EvaluationResult
from fairart.runs.folders import EVALUATION

__all__ = ["Repeated", "compare_with"]


MISSING = {
    "new": "it has no such run",
    "trained": "not evaluated by this plan",
    "no weights": "not evaluated by this plan",
}


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """A cell beside the same one of an earlier benchmark.

    Args:
        cell: the cell.
        same: whether every prediction and every confidence is the same; None if one of the two is missing.
        detail: which one is missing, or what differs.
    """

    cell: Cell
    same: bool | None
    detail: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"name": self.cell.name, "row": self.cell.row_name, "same": self.same, "detail": self.detail}


def compare_with(archive: str | Path, grid: Grid, folder: Path) -> list[Repeated]:
    """Compare the cells of a grid with those of an earlier benchmark, or of an archive.

    Args:
        archive: folder of the earlier one.
        grid: the cells, with the settings that were chosen.
        folder: where they were run again.
    """
    return [_compared(cell, grid, Path(archive).expanduser(), folder) for cell in grid.cells]


def _compared(cell: Cell, grid: Grid, archive: Path, folder: Path) -> Repeated:
    config, plan = cell.config.to_dict(), grid.plan.to_dict()
    places = [cell_folder(where, cell.name) for where in (archive, folder)]
    for place, where in zip(places, ("earlier benchmark", "this one"), strict=True):
        state = state_of(place, config, plan)
        if state != "done":
            return Repeated(cell=cell, same=None, detail=f"{where}: {MISSING.get(state, state)}")
    before, after = (EvaluationResult.load(place / EVALUATION) for place in places)
    details = [*_differing(_parts(before), _parts(after))]
    if not details:
        return Repeated(cell=cell, same=True)
    return Repeated(cell=cell, same=False, detail="; ".join([*details, *_versions(before.versions, after.versions)]))


def _parts(result: EvaluationResult) -> dict[str, AttackResult]:
    corrupted = {f"{name} {severity}": found for (name, severity), found in result.corruptions.items()}
    return {**dict(result), **corrupted}


def _differing(before: Mapping[str, AttackResult], after: Mapping[str, AttackResult]) -> Iterator[str]:
    for label in dict.fromkeys([*before, *after]):
        if label not in before or label not in after:
            yield f"{label}: only in the {'later' if label in after else 'earlier'} one"
            continue
        old, new = before[label], after[label]
        if not np.array_equal(old.labels, new.labels):
            yield f"{label}: other test images"
            continue
        others = int(np.sum(old.predictions != new.predictions))
        if others or not _equal(old.confidences, new.confidences):
            yield (
                f"{label}: {others} of {len(old.labels)} predictions differ, overall {100 * old.accuracy:.2f} -> "
                f"{100 * new.accuracy:.2f} %, worst {100 * old.worst_class_accuracy():.2f} -> "
                f"{100 * new.worst_class_accuracy():.2f} %"
            )


def _equal(one: npt.NDArray[np.float64] | None, other: npt.NDArray[np.float64] | None) -> bool:
    return (one is None and other is None) or (one is not None and other is not None and np.array_equal(one, other))


def _versions(before: Mapping[str, str], after: Mapping[str, str]) -> Sequence[str]:
    apart = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    return [f"{name} was {before.get(name)}, is {after.get(name)}" for name in apart]
