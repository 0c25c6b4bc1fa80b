"""Settings of methods that a grid chooses by itself: the same number of trials for each, on held-out training images."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairart.errors import OptionError
from fairart.tuning.file import Search, Tuning, read_base, read_search
from fairart.tuning.space import Space, read_space

__all__ = ["Selection", "Spaces", "read_spaces", "selection_name", "selections_of", "without_spaces"]

SEED = 1000
"""Of selections that name none: apart from the seeds that runs are usually given."""

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The search for the settings of one method, on one data set and model.

    Args:
        name: of its folder.
        method: label of the method.
        fixed: fields of the grid that it belongs to, but for the seed.
        tuning: the search.
    """

    name: str
    method: str
    fixed: Values
    tuning: Tuning


@dataclass(frozen=True, kw_only=True)
class Spaces:
    """What a grid file says about selection.

    Args:
        common: space of every method, or None.
        own: label -> space of that method alone.
        search: how; the same for every method.
        base: settings of trials that differ from those of the final runs, such as fewer epochs or images.
    """

    common: Space | None
    own: Mapping[str, Space]
    search: Search
    base: Values

    def of(self, method: str) -> Space | None:
        """The space of a method; None where nothing is chosen for it."""
        fields = {**(self.common.fields if self.common else {}), **(self.own[method].fields if method in self.own else {})}
        return Space(fields=fields) if fields else None

    def names(self) -> set[str]:
        """Every field that is chosen for some method."""
        return {name for space in (self.common, *self.own.values()) if space is not None for name in space.fields}


def without_spaces(methods: Any) -> tuple[Any, dict[str, Any]]:
    """The methods of a grid file without their spaces, and the spaces as they stand there.

    Args:
        methods: list or mapping, unchecked.
    """
    found: dict[str, Any] = {}

    def stripped(label: Any, entry: Any) -> Any:
        if isinstance(entry, Mapping) and "space" in entry:
            found[str(label)] = entry["space"]
            return {name: value for name, value in entry.items() if name != "space"} or None
        return entry

    if isinstance(methods, Mapping):
        return {label: stripped(label, entry) for label, entry in methods.items()}, found
    if isinstance(methods, list):
        plain = [
            {label: stripped(label, entry) for label, entry in one.items()} if isinstance(one, Mapping) else one
            for one in methods
        ]
        return plain, found
    return methods, found


def read_spaces(common: Any, own: Mapping[str, Any], given: Any, *, where: str) -> Spaces | None:
    """Check what a grid file says about selection.

    Args:
        common: its ``space``, or None.
        own: label -> the ``space`` of a method.
        given: its ``selection``, or None.
        where: name of the file in messages.

    Returns:
        None where nothing is to be chosen.

    Raises:
        OptionError: a bad space or search, or one without the other.
    """
    if common is None and not own:
        if given is not None:
            raise OptionError(
                f"{where}: selection has nothing to choose: give a 'space', to all methods or to one, such as "
                "space: {lr: {low: 0.01, high: 0.3, log: true}}"
            )
        return None
    if not isinstance(given, Mapping | None):
        raise OptionError(f"{where}: selection expects 'option: value' lines, got {given!r}")
    said = {"seed": SEED, **(given or {})}
    base = read_base(said.pop("base", None), where=f"{where}: selection: base")
    search = read_search(said, where=f"{where}: selection")
    if search.objective == "pareto":
        raise OptionError(f"{where}: selection: objective 'pareto' leaves several settings, and a grid needs one")
    spaces = {label: read_space(space, where=f"{where}: methods: {label}: space") for label, space in own.items()}
    return Spaces(
        common=None if common is None else read_space(common, where=f"{where}: space"), own=spaces, search=search, base=base
    )


def selection_name(method: str, fixed: Values) -> str:
    """Folder of a selection: the method, and the fields of the grid that it belongs to."""
    words = [method, *(f"{name}-{value}" for name, value in fixed.items())]
    return "_".join(re.sub(r"[^\w.-]+", "-", str(word))[:60] for word in words)


def selections_of(
    spaces: Spaces, methods: Mapping[str, Values], base: Values, axes: Mapping[str, Sequence[Any]], *, where: str
) -> tuple[Selection, ...]:
    """The selections of a grid: one for each method that has a space, and each value of the fields that vary, but for the seed.

    Args:
        spaces: what is chosen.
        methods: label -> fields.
        base: settings of all runs.
        axes: field -> values.
        where: name of the grid in messages.

    Raises:
        OptionError: a field that is chosen and given, or evaluation seeds that include the seed of the selection.
    """
    seeds = axes.get("seed", [base.get("seed", 0)])
    if spaces.search.seed in seeds:
        raise OptionError(
            f"{where}: selection: seed {spaces.search.seed} is also a seed of the grid: settings are chosen with seeds apart"
        )
    varying = {name: values for name, values in axes.items() if name != "seed"}
    found = []
    for label, fields in methods.items():
        space = spaces.of(label)
        if space is None:
            continue
        for name in sorted(space.fields):
            if name in axes or name in fields or name in base:
                raise OptionError(f"{where}: {name} of method {label!r} is chosen from a space and given as well; which of them?")
        for values in itertools.product(*varying.values()):
            fixed = dict(zip(varying, values, strict=True))
            settings = {**base, **fields, **fixed, **spaces.base}
            settings.pop("seed", None)
            found.append(
                Selection(
                    name=selection_name(label, fixed),
                    method=label,
                    fixed=fixed,
                    tuning=Tuning(
                        base=settings,
                        space=space,
                        search=spaces.search,
                        source=f"{where}: selection of {label}",
                        shared=frozenset(spaces.common.fields if spaces.common else ()),
                    ),
                )
            )
    return tuple(found)
