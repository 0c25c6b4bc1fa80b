"""Working through one part of an evaluation batch by batch, from where it was left."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fairart.evaluation.running.partial import Columns, PartialResults, Unit
from fairart.evaluation.running.progress import Progress
from fairart.evaluation.running.sharing import ALONE, Rounds, Sharing

__all__ = ["fill"]

IntArray = npt.NDArray[np.int64]


def fill(
    unit: Unit,
    compute: Callable[[IntArray], Mapping[str, npt.NDArray[np.generic]]],
    *,
    batch_size: int,
    kept: PartialResults,
    progress: Progress,
    sharing: Sharing = ALONE,
) -> Columns:
    """Fill the columns of a unit.

    Args:
        unit: what to work through.
        compute: the columns of the rows it is given. A call may start at any multiple of the batch size.
        batch_size: rows at a time.
        kept: where the unit goes on from, and where it is kept.
        progress: called for every row.
        sharing: the processes that share the rows.

    Returns:
        The columns, complete.
    """
    columns, done = sharing.same(kept.load(unit))
    # A part that was written in other batches cannot be: the batch size is part of the fingerprint.
    progress.begin(unit.label)
    progress.skip(done)
    started, rounds = done, Rounds(sharing, batch_size)
    try:
        while done < unit.rows:
            stop = rounds.stop(done, unit.rows)
            for place in rounds.own(done, stop):
                for name, values in compute(place).items():
                    columns[name][place] = values
            rounds.complete(columns, done, stop)
            progress.tick(stop - done)
            done = stop
            kept.save(unit, columns, done)
    finally:
        # Also on the way out of an error or Ctrl-C: nothing that was computed is computed again.
        if done > started:
            kept.save(unit, columns, done, now=True)
    return columns
