"""The grid file: read, checked and multiplied out. Imports nothing heavy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fairart.benchmark.cells import Cell, place
from fairart.benchmark.comparisons import Planned, planned_comparisons
from fairart.benchmark.only import cells_named
from fairart.benchmark.plan import EvaluationPlan, read_plan
from fairart.benchmark.selection import Selection, read_spaces, selection_name, selections_of, without_spaces
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.runs.config import OPTION_KINDS, RunConfig, check_values, read_yaml
from fairart.runs.flat import flat, unflat

__all__ = ["Grid", "grid_from_mapping", "read_grid"]

PARTS = ("output", "base", "methods", "grid", "include", "exclude", "space", "selection", "evaluation", "comparisons")

Values = dict[str, Any]
"""Fields of a run, options as ``KIND.OPTION``."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The runs of a benchmark and how each is evaluated.

    Args:
        cells: one a run.
        plan: the evaluation of every cell.
        source: name of the grid in error messages, such as the file's name.
        output: folder that the file names, or None.
        comparisons: the planned ones.
        selections: searches for settings of methods; until they are made, cells stand with the methods' own settings.
        document: what the grid was made from.
        only: names of the rows that it was narrowed to, see :meth:`narrowed`; empty for all of them.
    """

    cells: tuple[Cell, ...]
    plan: EvaluationPlan
    source: str
    output: str | None = None
    comparisons: tuple[Planned, ...] = ()
    selections: tuple[Selection, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    only: tuple[str, ...] = ()

    def decided(self, choices: Mapping[str, Mapping[str, Any]]) -> Grid:
        """The grid with the settings that its selections chose.

        Args:
            choices: name of a selection -> what it chose: field -> value.
        """
        return grid_from_mapping(self.document, where=self.source, choices=choices).narrowed(self.only)

    def narrowed(self, only: Sequence[str]) -> Grid:
        """The grid with some of its rows alone, the selections of their methods, and the comparisons among them.

        Args:
            only: methods or rows, each with or without a seed: ``"at"``, ``"fair-tat (ema)/0"``; none for the whole grid.

        Raises:
            OptionError: no such method, row or seed.
        """
        if not only:
            return self
        cells = cells_named(only, self.cells, where=self.source)
        methods, rows = {cell.method for cell in cells}, {cell.row_name for cell in cells}
        return replace(
            self,
            cells=cells,
            selections=tuple(one for one in self.selections if one.method in methods),
            comparisons=tuple(pair for pair in self.comparisons if {pair.method, pair.baseline} <= rows),
            only=tuple(only),
        )


def read_grid(path: str | Path) -> Grid:
    """Read a grid file.

    Args:
        path: YAML file with ``grid:`` (field -> list of values), ``methods:`` (label -> fields), ``base:`` (settings of all
            runs), ``include:`` and ``exclude:`` (lists of cells), ``space:`` and ``selection:`` (settings that the grid
            chooses on held-out training images), ``evaluation:``, ``comparisons:`` (pairs of rows), ``output:``.

    Raises:
        FileNotFoundError: the file does not exist.
        OptionError: not YAML, an unknown key (similar ones are suggested), a bad value, a cell twice; the message names the
            file.
    """
    return grid_from_mapping(read_yaml(path), where=str(path))


def grid_from_mapping(
    document: Mapping[str, Any], *, where: str = "grid", choices: Mapping[str, Mapping[str, Any]] | None = None
) -> Grid:
    """Make a grid from plain values.

    Args:
        document: what a grid file holds.
        where: its name in error messages.
        choices: name of a selection -> what it chose; None before they are made.

    Raises:
        OptionError: see :func:`read_grid`.
    """
    for key in document:
        if key not in PARTS:
            field = key in RunConfig.declared() or str(key).partition(".")[0] in OPTION_KINDS
            hint = (
                "settings of all runs go under 'base', settings that vary under 'grid'"
                if field
                else did_you_mean(str(key), PARTS)
            )
            raise OptionError(f"{where} has no part {key!r}; {hint}")
    base = _fields(document.get("base"), f"{where}: base")
    plain, own = without_spaces(document.get("methods"))
    methods = _methods(plain, f"{where}: methods")
    axes = _axes(document.get("grid"), f"{where}: grid")
    _check_said_once(base, methods, axes, where)
    spaces = read_spaces(document.get("space"), own, document.get("selection"), where=where)
    labelled = methods or {str(name): {"trainer": name} for name in axes.get("trainer", ())}
    varying = {name: values for name, values in axes.items() if methods or name != "trainer"}
    selections = () if spaces is None else selections_of(spaces, labelled, base, varying, where=where)
    products = list(_product(base, methods, axes, where, choices or {}))
    excluded = _list(document.get("exclude"), f"{where}: exclude")
    made = _without([item for _, item in products], excluded, methods, f"{where}: exclude")
    # Nothing is chosen for combinations of which no cell is left.
    left = set(map(id, made))
    needed = {selection for selection, item in products if id(item) in left}
    selections = tuple(selection for selection in selections if selection.name in needed)
    made += [
        _included(entry, base, methods, f"{where}: include") for entry in _list(document.get("include"), f"{where}: include")
    ]
    if not made:
        raise OptionError(f"{where} has no cells: name methods under 'methods', or list 'trainer' under 'grid'")
    cells = place(made, apart=set() if spaces is None else spaces.names())
    _check_different(cells, where)
    plan = read_plan(document.get("evaluation"), where=f"{where}: evaluation")
    _check_reference(plan, cells, where)
    output = document.get("output")
    if not isinstance(output, str | None):
        raise OptionError(f"{where}: output expects a folder, got {output!r}")
    comparisons = planned_comparisons(document.get("comparisons"), cells, where=where)
    return Grid(
        cells=cells,
        plan=plan,
        source=where,
        output=output,
        comparisons=comparisons,
        selections=selections,
        document=document,
    )


def _fields(mapping: Any, where: str) -> Values:
    if not isinstance(mapping, Mapping | None):
        raise OptionError(f"{where} expects 'field: value' lines, got {mapping!r}")
    given = dict(mapping or {})
    dotted = {key: given.pop(key) for key in list(given) if isinstance(key, str) and "." in key}
    options = given.get("options") or {}
    if dotted:
        given["options"] = {**options, **dotted} if isinstance(options, Mapping) else options
    checked = check_values(given, where=where)
    nested = checked.pop("options", {})
    return {**checked, **{f"{kind}.{name}": value for kind, chosen in nested.items() for name, value in chosen.items()}}


def _methods(given: Any, where: str) -> dict[str, Values]:
    """label -> fields. A list names registered methods, a mapping gives labels of the user's own."""
    if given is None:
        return {}
    if isinstance(given, list):
        return {label: fields for entry in given for label, fields in _listed_method(entry, where)}
    if not isinstance(given, Mapping) or not given:
        raise OptionError(f"{where} expects names such as [at, fair-tat], or label: {{trainer: NAME, ...}} lines, got {given!r}")
    methods = {}
    for label, entry in given.items():
        said = {"trainer": label} if entry is None else {"trainer": entry} if isinstance(entry, str) else entry
        fields = _fields(said, f"{where}: {label}")
        methods[str(label)] = {"trainer": str(label), **fields}
    return methods


def _listed_method(entry: Any, where: str) -> Iterable[tuple[str, Values]]:
    if isinstance(entry, str):
        return _methods({entry: None}, where).items()
    if isinstance(entry, Mapping) and len(entry) == 1:
        return _methods(entry, where).items()
    raise OptionError(f"{where}: expected a name, or 'label: {{trainer: NAME, ...}}', got {entry!r}")


def _axes(given: Any, where: str) -> dict[str, list[Any]]:
    if not isinstance(given, Mapping | None):
        raise OptionError(f"{where} expects 'field: [values]' lines, got {given!r}")
    axes: dict[str, list[Any]] = {}
    for key, values in (given or {}).items():
        if key in ("method", "methods"):
            raise OptionError(f"{where}: {key!r} stands beside 'grid', not in it; a registered method is listed as 'trainer'")
        if key == "options":
            raise OptionError(f"{where}: write each option by itself, as epsilon_scheduler.lambda1: [0.3, 0.5]")
        if not isinstance(values, list) or not values:
            raise OptionError(f"{where}: {key} expects a list of values, got {values!r}; settings of all runs go under 'base'")
        ((name, _),) = _fields({key: values[0]}, where).items()
        axes[name] = [_fields({key: value}, where)[name] for value in values]
        for index, value in enumerate(axes[name]):
            if value in axes[name][:index]:
                raise OptionError(f"{where}: {key} lists {value!r} twice")
    return axes


def _check_said_once(base: Values, methods: Mapping[str, Values], axes: Mapping[str, Any], where: str) -> None:
    for name in axes:
        if name in base:
            raise OptionError(f"{where}: {name} stands under 'base' and under 'grid'; which of them?")
        for label, fields in methods.items():
            if name in fields:
                raise OptionError(f"{where}: {name} stands under 'grid' and in method {label!r}; which of them?")
    if methods and "trainer" in base:
        raise OptionError(f"{where}: trainer stands under 'base' and there are 'methods'; which of them?")


Made = list[tuple[str, RunConfig]]
"""Label and run."""


def _product(
    base: Values,
    methods: Mapping[str, Values],
    axes: Mapping[str, list[Any]],
    where: str,
    choices: Mapping[str, Mapping[str, Any]],
) -> Iterable[tuple[str, tuple[str, RunConfig]]]:
    """Name of the selection that a cell belongs to, if there is one, and the cell."""
    if not methods and not axes:
        return
    for label, fields in (methods or {"": {}}).items():
        for values in itertools.product(*axes.values()):
            varying = dict(zip(axes, values, strict=True))
            fixed = {name: value for name, value in varying.items() if name != "seed" and (methods or name != "trainer")}
            selection = selection_name(label or str(varying.get("trainer", "")), fixed)
            yield selection, _made(label, {**base, **fields, **varying, **choices.get(selection, {})}, where)


def _made(label: str, values: Values, where: str) -> tuple[str, RunConfig]:
    if "trainer" not in values:
        raise OptionError(f"{where} names no method: list some under 'methods', or as 'trainer' under 'grid'")
    config = RunConfig.from_mapping(unflat(values), where=where)
    return label or config.trainer, config


def _list(given: Any, where: str) -> Sequence[Any]:
    if not isinstance(given, list | None):
        raise OptionError(f"{where} expects a list of '- field: value' entries, got {given!r}")
    return given or []


def _entry(entry: Any, methods: Mapping[str, Values], where: str) -> tuple[str | None, Values]:
    """The label that an entry of include or exclude names, and its fields."""
    if not isinstance(entry, Mapping) or not entry:
        raise OptionError(f"{where}: expected 'field: value' lines, got {entry!r}")
    fields = dict(entry)
    label = fields.pop("method", None)
    if label is not None and label not in methods:
        raise OptionError(f"{where}: there is no method {label!r}; {did_you_mean(str(label), methods)}")
    return label, _fields(fields, where)


def _without(made: Made, excluded: Sequence[Any], methods: Mapping[str, Values], where: str) -> Made:
    for entry in excluded:
        label, fields = _entry(entry, methods, where)
        kept = [item for item in made if not _matches(item, label, fields)]
        if len(kept) == len(made):
            raise OptionError(f"{where}: no cell of the grid is {dict(entry)!r}")
        made = kept
    return made


def _matches(item: tuple[str, RunConfig], label: str | None, fields: Values) -> bool:
    values = flat(item[1])
    return label in (None, item[0]) and all(values.get(name) == value for name, value in fields.items())


def _included(entry: Any, base: Values, methods: Mapping[str, Values], where: str) -> tuple[str, RunConfig]:
    label, fields = _entry(entry, methods, where)
    return _made(label or "", {**base, **methods.get(label or "", {}), **fields}, where)


def _check_different(cells: Sequence[Cell], where: str) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        twin = seen.setdefault(cell.name, cell)
        if twin is not cell:
            raise OptionError(f"{where}: two cells are one run: {str(twin)!r} and {str(cell)!r}")


def _check_reference(plan: EvaluationPlan, cells: Sequence[Cell], where: str) -> None:
    rows = list(dict.fromkeys(cell.row_name for cell in cells))
    if plan.reference is not None and plan.reference not in rows:
        raise OptionError(f"{where}: evaluation: reference names no row {plan.reference!r}; {did_you_mean(plan.reference, rows)}")
