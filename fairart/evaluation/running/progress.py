"""The progress bar of an evaluation: samples over all its parts, with the time left."""

from __future__ import annotations

from types import TracebackType

from tqdm.auto import tqdm

__all__ = ["Progress"]


class Progress:
    """Counts samples over all parts of an evaluation; drawn on standard error where that is a terminal.

    Args:
        total: samples to work on, as far as that is known.
        verbose: draw it.
    """

    def __init__(self, total: int = 0, *, verbose: bool = False) -> None:
        self._bar = tqdm(total=total, unit="sample", disable=None if verbose else True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._bar.close()

    @property
    def total(self) -> int:
        """Samples to work on."""
        return int(self._bar.total)

    def expect(self, more: int) -> None:
        """Add to the samples to work on; fewer than thought is negative."""
        self._bar.total += more
        self._bar.refresh()

    def begin(self, name: str) -> None:
        """Say which part runs now."""
        self._bar.set_description(name)

    def tick(self, number: int) -> None:
        """So many samples are done."""
        self._bar.update(number)

    def skip(self, number: int) -> None:
        """So many samples were done before: they count, but say nothing about the time that is left."""
        if not self._bar.disable:
            self._bar.n += number
            self._bar.initial += number
            self._bar.last_print_n += number
            self._bar.refresh()
