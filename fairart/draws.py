"""Random numbers for one process's part of a batch: those that the whole batch would have been given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Part", "PartGenerator", "in_pieces", "rand", "randint", "randn"]


@dataclass(frozen=True)
class Part:
    """Rows ``first`` to ``stop`` of a batch of ``total`` samples.

    Args:
        first: the first row, >= 0.
        stop: one past the last row, > first.
        total: rows of the whole batch.
    """

    first: int
    stop: int
    total: int

    def __len__(self) -> int:
        return self.stop - self.first


class PartGenerator(torch.Generator):
    """A random state that several processes hold alike, each looking at its own rows of what is drawn.

    While ``part`` is set, the functions of this module draw for the whole batch and give the part's rows. So a run on several
    devices draws the very numbers of a run on one, and the states stay alike. To torch's own functions it is a plain generator.
    """

    part: Part | None = None


def in_pieces(generator: PartGenerator, slices: Sequence[slice]) -> Iterator[slice]:
    """Go through the pieces of a batch one by one, each with the random numbers that it would be given within the whole.

    While a piece is out, the generator looks at its rows; every piece begins at the state that the whole batch would.

    Args:
        generator: random state; its ``part`` is the rows of the batch that the pieces are cut from, None for all.
        slices: the rows of each piece, which together are all rows.
    """
    kept, state, number = generator.part, generator.get_state(), slices[-1].stop
    whole = kept or Part(0, number, number)
    try:
        for rows in slices:
            generator.set_state(state)
            generator.part = Part(whole.first + rows.start, whole.first + rows.stop, whole.total)
            yield rows
    finally:
        generator.part = kept


def rand(shape: Sequence[int], *, generator: torch.Generator | None, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Uniform numbers in [0, 1).

    Args:
        shape: of the result; its first dimension counts samples.
        generator: random state on ``device``; None for torch's global one.
        device: of the result.
        dtype: of the result.
    """
    return _rows(lambda whole: torch.rand(whole, generator=generator, device=device, dtype=dtype), shape, generator)


def randn(shape: Sequence[int], *, generator: torch.Generator | None, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Standard normal numbers; arguments as for :func:`rand`."""
    return _rows(lambda whole: torch.randn(whole, generator=generator, device=device, dtype=dtype), shape, generator)


def randint(high: int, shape: Sequence[int], *, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Whole numbers in [0, high); arguments as for :func:`rand`."""
    return _rows(lambda whole: torch.randint(high, whole, generator=generator, device=device), shape, generator)


def _rows(draw: Callable[[tuple[int, ...]], Tensor], shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    part = generator.part if isinstance(generator, PartGenerator) else None
    # A draw that is not one row a sample belongs to no batch, and is the caller's own.
    if part is None or len(shape) == 0 or shape[0] != len(part):
        return draw(tuple(shape))
    return draw((part.total, *shape[1:]))[part.first : part.stop]
