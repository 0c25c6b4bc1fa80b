"""The outcome of every corruption at every severity, and the means over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fairart.corruptions import mean_corruption_error
from fairart.did_you_mean import did_you_mean
from fairart.evaluation.results.outcome import AttackResult

__all__ = ["CorruptionResults", "corruption_label"]

FloatArray = npt.NDArray[np.float64]
Cell = tuple[str, int]


def corruption_label(name: str, severity: int) -> str:
    """The label of one result, such as ``"fog/3"``."""
    return f"{name}/{severity}"


class CorruptionResults(Mapping[Cell, AttackResult]):
    """Results by (corruption, severity), each corruption at the same severities. Empty if no corruption was evaluated.

    The images may differ from those of the attacks: a folder has its own images and labels.

    Args:
        results: (name, severity) -> result, labelled ``name/severity``.
        source: where the images come from, see :meth:`MadeCorruptions.describe` and :meth:`CorruptionFolder.describe`.

    Raises:
        ValueError: a corruption lacks a severity that another one has, or results are of different samples.
    """

    def __init__(self, results: Mapping[Cell, AttackResult] | None = None, *, source: Mapping[str, Any] | None = None) -> None:
        self._results = dict(results or {})
        self.source = dict(source or {})
        self.names: tuple[str, ...] = tuple(dict.fromkeys(name for name, _ in self._results))
        self.severities: tuple[int, ...] = tuple(sorted({severity for _, severity in self._results}))
        for cell in ((name, severity) for name in self.names for severity in self.severities):
            if cell not in self._results:
                raise ValueError(f"corruption {cell[0]!r} has no result at severity {cell[1]}, others have one")
        columns = list(self._results.values())
        for column in columns[1:]:
            if column.nb_classes != columns[0].nb_classes or not np.array_equal(column.labels, columns[0].labels):
                raise ValueError(f"results of one set of corruptions are of the same samples: {column.label!r} has other labels")

    def __getitem__(self, cell: Cell) -> AttackResult:
        """The result of one (corruption, severity)."""
        try:
            return self._results[cell]
        except (KeyError, TypeError):
            known = [corruption_label(*key) for key in self._results]
            asked = corruption_label(*cell) if isinstance(cell, tuple) and len(cell) == 2 else str(cell)
            raise KeyError(f"no result of corruption {asked!r}; {did_you_mean(asked, known)}") from None

    def __iter__(self) -> Iterator[Cell]:
        """(corruption, severity), in the order in which they ran."""
        return iter(self._results)

    def __len__(self) -> int:
        """Number of results."""
        return len(self._results)

    def __repr__(self) -> str:
        mean = f", mean accuracy={self.mean_accuracy():.4f}" if len(self) else ""
        return f"CorruptionResults({len(self.names)} corruptions x {len(self.severities)} severities{mean})"

    @property
    def version(self) -> int | None:
        """``CORRUPTION_VERSION`` of the images, also if they were read from a folder; None for published images."""
        made = self.source.get("made") or self.source
        found = made.get("version") if isinstance(made, Mapping) else None
        return found if isinstance(found, int) else None

    @property
    def made(self) -> bool:
        """Whether fairart made the images; False for a published folder, and if there are none."""
        return self.version is not None

    @property
    def accuracy(self) -> FloatArray:
        """(C, S) accuracy over all samples, corruptions in the order of ``names``."""
        return self._grid(lambda result: result.accuracy)

    @property
    def worst_class_accuracy(self) -> FloatArray:
        """(C, S) accuracy of the worst class of each, which may be a different class in each cell."""
        return self._grid(lambda result: result.worst_class_accuracy())

    def _grid(self, number: Callable[[AttackResult], float]) -> FloatArray:
        rows = [[number(self[name, severity]) for severity in self.severities] for name in self.names]
        return np.array(rows, dtype=np.float64).reshape(len(self.names), len(self.severities))

    def _chosen(self, name: str | None, severity: int | None) -> list[AttackResult]:
        chosen = [result for (one, at), result in self.items() if name in (None, one) and severity in (None, at)]
        if not chosen:
            raise KeyError(f"no result of corruption {name!r} at severity {severity!r}; names: {', '.join(self.names) or 'none'}")
        return chosen

    def mean_accuracy(self, name: str | None = None, severity: int | None = None) -> float:
        """Mean of the accuracy over corruptions and severities.

        Args:
            name: over the severities of this corruption only.
            severity: over the corruptions at this severity only.

        Raises:
            KeyError: there is none such.
        """
        return float(np.mean([result.accuracy for result in self._chosen(name, severity)]))

    def mean_worst_class_accuracy(self, name: str | None = None, severity: int | None = None) -> float:
        """Mean of the accuracy of each one's own worst class; never above the lowest of :meth:`mean_class_accuracy`.

        Args:
            name: over the severities of this corruption only.
            severity: over the corruptions at this severity only.

        Raises:
            KeyError: there is none such.
        """
        return float(np.mean([result.worst_class_accuracy() for result in self._chosen(name, severity)]))

    def mean_class_accuracy(self, name: str | None = None, severity: int | None = None) -> FloatArray:
        """(K,) mean of each class's accuracy over corruptions and severities, NaN if the class is absent.

        Args:
            name: over the severities of this corruption only.
            severity: over the corruptions at this severity only.

        Raises:
            KeyError: there is none such.
        """
        mean: FloatArray = np.mean([result.class_accuracy for result in self._chosen(name, severity)], axis=0)
        return mean

    def errors(self) -> dict[str, list[float]]:
        """Corruption -> error at each severity, shares in [0, 1]."""
        return {name: [1 - self[name, severity].accuracy for severity in self.severities] for name in self.names}

    def select(self, names: Sequence[str], severities: Sequence[int]) -> CorruptionResults:
        """The results of some corruptions at some severities.

        Raises:
            ValueError: one of them is missing; the message names it.
        """
        missing = [corruption_label(n, s) for n in names for s in severities if (n, s) not in self._results]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ValueError(f"there is no result of {', '.join(missing[:3])}{more}")
        return CorruptionResults({(n, s): self._results[n, s] for n in names for s in severities}, source=self.source)

    def mean_corruption_error(self, reference: CorruptionResults | None = None) -> float:
        """mCE: errors relative to those of a reference model (Hendrycks & Dietterich, ICLR 2019).

        Args:
            reference: results of the same corruptions and severities, and perhaps more; None for the plain mean error.

        Returns:
            1 if the model makes as many errors as the reference (100 % in the paper); lower is better. NaN if the reference
            makes no error under some corruption.

        Raises:
            ValueError: no results at all, or a reference that lacks some, or whose images were made in another way.
        """
        if not len(self):
            raise ValueError("there are no results of corruptions to take a mean corruption error of")
        if reference is None:
            return mean_corruption_error(self.errors())
        check_same_kind(self.version, reference)
        return mean_corruption_error(self.errors(), reference.select(self.names, self.severities).errors())


def check_same_kind(version: int | None, reference: CorruptionResults) -> None:
    """Refuse to compare images made by fairart with published ones, or with those of another version.

    Args:
        version: of the images; None for published ones.
        reference: the results to compare with.

    Raises:
        ValueError: the two kinds differ.
    """
    if version == reference.version:
        return
    kinds = ["published" if kind is None else f"made by fairart, version {kind}" for kind in (version, reference.version)]
    raise ValueError(f"the corrupted images are {kinds[0]}, those of the reference {kinds[1]}: their errors do not compare")
