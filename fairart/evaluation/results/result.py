"""The result of :func:`fairart.evaluation.evaluate`: the measured numbers, with printing, saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairart.evaluation.results import storage
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.frames import evaluation_frame
from fairart.evaluation.results.table import render_html, render_table

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["EvaluationResult"]


class EvaluationResult(EvaluationData):
    """All results of one evaluation; see :class:`~fairart.evaluation.results.data.EvaluationData` for its arguments."""

    def mean_corruption_error(self, reference: EvaluationResult | str | Path | None = None) -> float:
        """mCE: errors on corrupted images, relative to those of a reference model (Hendrycks & Dietterich, ICLR 2019).

        Args:
            reference: an evaluation, or its file, with at least the same corruptions at the same severities; None for
                the plain mean error.

        Returns:
            1 if the model makes as many errors as the reference; lower is better.

        Raises:
            ValueError: no corruptions here, or a reference that lacks some, or whose images were made in another way.
            DamagedFileError: the file is not an evaluation.
        """
        other = EvaluationResult.load(reference) if isinstance(reference, str | Path) else reference
        return self.corruptions.mean_corruption_error(None if other is None else other.corruptions)

    def table(self, *, intervals: bool = True) -> str:
        """Plain text: a row for each class, a column for each attack, overall and worst rows, configurations below; then a row
        for each corruption, a column for each severity; then a table for each certificate.

        Args:
            intervals: print 95 % intervals beside the numbers.
        """
        return render_table(self, intervals=intervals)

    def _repr_html_(self) -> str:
        """The table for notebooks, with the notes folded up."""
        return render_html(self)

    def to_frame(self) -> DataFrame:
        """A pandas data frame with one row a class and attack, clean data included.

        Columns: ``attack``, ``class`` (index), ``name``, ``n`` (test samples), ``correct``, ``accuracy`` in [0, 1] (NaN if the
        class is absent), ``low`` and ``high`` (95 % Wilson interval), ``worst`` (whether it is the lowest class of the attack),
        ``doubtful`` (whether a sanity check of the attack's numbers failed).

        Raises:
            ImportError: pandas is not installed (``pip install "fairart[pandas]"``).
        """
        return evaluation_frame(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and text, for JSON; NaN is None."""
        return storage.to_dict(self)

    def save(self, path: str | Path) -> Path:
        """Write a JSON file. An older file is replaced only when the new one is complete.

        Args:
            path: file; its folder must exist.

        Returns:
            The path.
        """
        return storage.save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> EvaluationResult:
        """Read what :meth:`save` wrote.

        Args:
            path: file.

        Raises:
            FileNotFoundError: the file does not exist.
            DamagedFileError: it is not an evaluation, has a newer format, or is incomplete.
        """
        found = storage.load(path)
        return cls(
            found.results,
            corruptions=found.corruptions,
            certificates=found.certificates,
            ood=found.ood,
            config=found.config,
            versions=found.versions,
            checks=found.checks,
        )
