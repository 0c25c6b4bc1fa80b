"""One attribute of the samples: which group each of them is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["DEFAULT_NAME", "MOST_GROUPS", "NO_VALUE", "Groups", "GroupsLike", "resolve_groups"]

IntArray = npt.NDArray[np.int64]

DEFAULT_NAME = "group"
"""Name of an attribute that is given as values alone."""

NO_VALUE = "(none)"
"""Name of the group of the samples whose value is an empty text."""

MOST_GROUPS = 1000
"""More groups than this are refused: such a column numbers the samples, or measures them."""


@dataclass(frozen=True, eq=False)
class Groups:
    """An attribute of n samples with G different values.

    Args:
        name: of the attribute, such as ``"site"``.
        names: G names of the groups, all different.
        index: (n,) the group of each sample, in 0..G-1.

    Raises:
        ValueError: no group, names twice, or indices out of range.
    """

    name: str
    names: tuple[str, ...]
    index: IntArray

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise ValueError(f"an attribute has a name, got {self.name!r}")
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"groups by {self.name!r}: the names of the groups must be different, got {list(self.names)[:10]}")
        if self.index.ndim != 1 or not len(self.index) or self.index.min() < 0 or self.index.max() >= len(self.names):
            raise ValueError(f"groups by {self.name!r}: each sample is in one of {len(self.names)} groups, 0 to {len(self) - 1}")

    def __len__(self) -> int:
        """G, the number of groups."""
        return len(self.names)

    @property
    def counts(self) -> IntArray:
        """(G,) samples of each group."""
        return np.bincount(self.index, minlength=len(self.names)).astype(np.int64)

    def of_samples(self, keep: IntArray) -> Groups:
        """The groups of some samples; a group that is left without samples stays.

        Args:
            keep: (m,) indices, m >= 1.
        """
        return Groups(self.name, self.names, self.index[keep])

    @classmethod
    def of(cls, values: npt.ArrayLike, *, name: str = DEFAULT_NAME, number: int | None = None) -> Groups:
        """Sort samples into groups by their value.

        Args:
            values: (n,) texts, whole numbers, or true and false. Groups are in the order of their values.
            name: of the attribute.
            number: how many samples there are; None takes any number of values.

        Raises:
            ValueError: values of another shape, number or type, or more than 1000 different ones.
        """
        array = np.asarray(values)
        who = f"groups by {name!r}"
        if array.ndim != 1 or not len(array) or (number is not None and len(array) != number):
            expected = "one value a sample" if number is None else f"{number} values, one a sample"
            raise ValueError(f"{who}: expected {expected}, got {len(array) if array.ndim == 1 else f'shape {array.shape}'}")
        if array.dtype == object:
            array = _uniform(array, who)
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8")
        if array.dtype.kind not in "biuU":
            raise ValueError(
                f"{who}: expected texts or whole numbers, got {array.dtype}; sort measured values into ranges first, as by "
                "numpy.digitize"
            )
        found, index = np.unique(array, return_inverse=True)
        if len(found) > MOST_GROUPS:
            raise ValueError(
                f"{who}: {len(found)} different values among {len(array)} samples; expected {MOST_GROUPS} groups or fewer"
            )
        return cls(name, tuple(str(value) or NO_VALUE for value in found.tolist()), index.reshape(-1).astype(np.int64))


def _uniform(array: npt.NDArray[np.object_], who: str) -> npt.NDArray[np.generic]:
    """A column of a data frame holds objects: take it if all are texts or all are numbers."""
    if all(isinstance(value, str) for value in array):
        return array.astype(str)
    found: npt.NDArray[np.generic] = np.array(array.tolist())
    if found.ndim != 1 or any(isinstance(value, str) for value in array):
        raise ValueError(f"{who}: expected texts or whole numbers, got values of several types")
    return found


GroupsLike = npt.ArrayLike | Mapping[str, npt.ArrayLike] | Mapping[str, Groups]
"""(n,) values, one a sample; or name of an attribute -> its values."""


def resolve_groups(groups: GroupsLike | None, number: int) -> dict[str, Groups]:
    """Check what the user gave as groups.

    Args:
        groups: see :data:`GroupsLike`; None for none.
        number: of samples.

    Returns:
        Name of each attribute -> groups.

    Raises:
        ValueError: not one value a sample, or values that make no groups.
    """
    if groups is None:
        return {}
    given = groups if isinstance(groups, Mapping) else {DEFAULT_NAME: groups}
    if isinstance(groups, str) or not all(isinstance(name, str) and name for name in given):
        raise ValueError(f"groups expects one value a sample, or name -> values, got {_shown(groups)}")
    return {
        name: _checked(values, number) if isinstance(values, Groups) else Groups.of(values, name=name, number=number)
        for name, values in given.items()
    }


def _checked(groups: Groups, number: int) -> Groups:
    if len(groups.index) != number:
        raise ValueError(f"groups by {groups.name!r}: expected {number} values, one a sample, got {len(groups.index)}")
    return groups


def _shown(groups: object) -> str:
    if isinstance(groups, str):
        return repr(groups)
    return f"the names {list(groups)!r}" if isinstance(groups, Mapping | Sequence) else type(groups).__name__
