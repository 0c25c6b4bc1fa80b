"""The result of :func:`fairart.evaluation.evaluate`: the measured numbers, with printing, saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairart.evaluation.results import storage
from fairart.evaluation.results.affine_table import render_affine, render_affine_html
from fairart.evaluation.results.data import EvaluationData
from fairart.evaluation.results.defence_table import render_defences, render_defences_html
from fairart.evaluation.results.ensemble_table import render_ensemble, render_ensemble_html
from fairart.evaluation.results.frames import evaluation_frame
from fairart.evaluation.results.group_table import group_frame, render_groups, render_groups_html
from fairart.evaluation.results.groups import GroupsLike
from fairart.evaluation.results.shift_table import render_shifts, render_shifts_html
from fairart.evaluation.results.table import render_html, render_table
from fairart.evaluation.results.temperature_table import render_temperature, render_temperature_html

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
        for each corruption, a column for each severity; then a table for each certificate; for each attribute of the samples
        tables by group and by class within each group; classes on shifted test sets, and against rotation, scale and shear;
        calibration before and after temperature scaling; of an ensemble, where its members disagree; a table for each input
        defence.

        Args:
            intervals: print 95 % intervals beside the numbers.
        """
        return "\n\n".join([render_table(self, intervals=intervals), *self._more(intervals)])

    def _more(self, intervals: bool) -> list[str]:
        return [
            *render_groups(self, intervals=intervals),
            *render_shifts(self, intervals=intervals),
            *render_affine(self),
            *render_temperature(self),
            *render_ensemble(self, intervals=intervals),
            *render_defences(self, intervals=intervals),
        ]

    def _repr_html_(self) -> str:
        """The table for notebooks, with the notes folded up."""
        return (
            render_html(self)
            + render_groups_html(self)
            + render_shifts_html(self)
            + render_affine_html(self)
            + render_temperature_html(self)
            + render_ensemble_html(self)
            + render_defences_html(self)
        )

    def grouped(self, groups: GroupsLike) -> EvaluationResult:
        """The same results with other attributes of the samples: no attack is run again.

        Args:
            groups: (n,) values, one a sample, or name of an attribute -> its values.

        Raises:
            ValueError: not one value a sample, or values that make no groups.
        """
        return EvaluationResult(
            list(self.values()),
            corruptions=self.corruptions,
            config=self.config,
            versions=self.versions,
            checks=self.checks,
            groups=groups,
            shifts=self.shifts,
            temperature=self.temperature,
            affine=self.affine,
            ensemble=self.ensemble,
            certificates=list(self.certificates.values()),
            ood=self.ood,
            defences=list(self.defences.values()),
        )

    def to_frame(self, *, by: str | None = None) -> DataFrame:
        """A pandas data frame with one row a class and attack, clean data included.

        Columns: ``attack``, ``class`` (index), ``name``, ``n`` (test samples), ``correct``, ``accuracy`` in [0, 1] (NaN if the
        class is absent), ``low`` and ``high`` (95 % Wilson interval), ``worst`` (whether it is the lowest class of the attack),
        ``doubtful`` (whether a sanity check of the attack's numbers failed).

        Args:
            by: the name of an attribute of the samples: one row a group, class and attack, with the columns ``attribute``,
                ``group``, and ``small`` (whether there are fewer than 30 samples) besides; without ``worst``.

        Raises:
            ImportError: pandas is not installed (``pip install "fairart[pandas]"``).
            KeyError: no such attribute.
        """
        return evaluation_frame(self) if by is None else group_frame(self, by)

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
            groups=found.groups,
            shifts=found.shifts,
            temperature=found.temperature,
            affine=found.affine,
            ensemble=found.ensemble,
            defences=found.defences,
        )
