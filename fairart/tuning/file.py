"""A search: what is searched, by which objective, with which budget; read from a YAML file and checked. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.plugins.options import Option, validate_options
from fairart.runs.config import OPTION_KINDS, RunConfig, check_values, read_yaml
from fairart.runs.flat import flattened, unflat
from fairart.tuning.space import Space, read_space

__all__ = ["Search", "Tuning", "read_tuning", "tuning_from_mapping"]

PARTS = ("output", "base", "space", "search")


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a space is searched.

    Raises:
        OptionError: options that do not go together.
    """

    trials: Annotated[int, Option("settings to try; those that fairart refuses do not count", low=1)] = 20
    total_epochs: Annotated[
        int | None, Option("no trial begins after so many epochs of all trials; by default no limit", low=1)
    ] = None
    objective: Annotated[
        Literal["worst-class", "average", "sum", "pareto"],
        Option(
            "accuracy under PGD-10 on held-out training images that is maximised: of the worst class, of all images, the "
            "sum of both, or their front"
        ),
    ] = "worst-class"
    floor: Annotated[
        float | None,
        Option("least accuracy over all images, as a share; what is missing to it is taken off the objective", low=0, high=1),
    ] = None
    held_out: Annotated[
        float,
        Option("share of each class of the training images that trials are judged on", low=0, low_open=True, high=0.5),
    ] = 0.2
    smooth: Annotated[int, Option("last epochs whose class accuracies are averaged", low=1)] = 3
    sampler: Annotated[Literal["tpe", "random"], Option("how settings are drawn: tpe learns from earlier trials")] = "tpe"
    pruner: (
        Annotated[
            Literal["median", "halving", "none"],
            Option(
                "when a trial ends early: below the median of earlier ones at its epoch, successive halving, or never; by "
                "default median, with pareto none"
            ),
        ]
        | None
    ) = None
    seed: Annotated[int, Option("of the draws, of every trial's training and of the held-out images", low=0)] = 0

    def __post_init__(self) -> None:
        pruner = self.pruner or ("none" if self.objective == "pareto" else "median")
        if self.objective == "pareto":
            for name, wrong in (("pruner", pruner != "none"), ("floor", self.floor is not None)):
                if wrong:
                    raise OptionError(f"search: a {name} needs one number to compare trials by, and objective 'pareto' has two")
        object.__setattr__(self, "pruner", pruner)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A search over settings.

    Args:
        base: settings of every trial: field -> value, options as ``KIND.OPTION``.
        space: what is chosen.
        search: how.
        source: name of the search in messages, such as the file's name.
        output: folder that the file names, or None.
        shared: options that stand in the space for the sake of other methods, and may apply to no trial here.
    """

    base: Mapping[str, Any]
    space: Space
    search: Search
    source: str
    output: str | None = None
    shared: frozenset[str] = frozenset()

    def config(self, picked: Mapping[str, Any]) -> RunConfig:
        """The run of a trial: judged on held-out training images, the test images are not used.

        Args:
            picked: what was chosen.

        Raises:
            OptionError: settings that do not go together.
        """
        values = {**self.base, **picked, "seed": self.search.seed, "validation_share": self.search.held_out}
        return RunConfig.from_mapping(unflat(values), where=self.source)

    def chosen(self, picked: Mapping[str, Any]) -> RunConfig:
        """The run that a trial's settings stand for: on all training images, evaluated on the test images."""
        return dataclasses.replace(self.config(picked), validation_share=None)

    def to_dict(self) -> dict[str, Any]:
        """What the trials follow from, as plain values; a study is continued by the same search alone."""
        search = {name: value for name, value in vars(self.search).items() if name not in ("trials", "total_epochs")}
        asked = {"base": dict(self.base), "space": self.space.to_dict(), "search": search}
        # As the journal gives it back: tuples become lists.
        plain: dict[str, Any] = json.loads(json.dumps(asked))
        return plain


def read_tuning(path: str | Path) -> Tuning:
    """Read a file for ``fairart tune``.

    Args:
        path: YAML file with ``base:`` (settings of every trial), ``space:`` (field -> values or range), ``search:`` (objective
            and budget), ``output:``.

    Raises:
        FileNotFoundError: the file does not exist.
        OptionError: not YAML, an unknown key (similar ones are suggested), a bad value; the message names the file.
    """
    return tuning_from_mapping(read_yaml(path), where=str(path))


def tuning_from_mapping(document: Mapping[str, Any], *, where: str = "tuning") -> Tuning:
    """Make a search from plain values.

    Args:
        document: what a file holds.
        where: its name in messages.

    Raises:
        OptionError: see :func:`read_tuning`.
    """
    for key in document:
        if key not in PARTS:
            setting = key in RunConfig.declared() or str(key).partition(".")[0] in OPTION_KINDS
            hint = (
                "settings of all trials go under 'base', what varies under 'space'" if setting else did_you_mean(str(key), PARTS)
            )
            raise OptionError(f"{where} has no part {key!r}; {hint}")
    base = read_base(document.get("base"), where=f"{where}: base")
    space = read_space(document.get("space"), where=f"{where}: space")
    for name in space.fields:
        if name in base:
            raise OptionError(f"{where}: {name} stands under 'base' and under 'space'; which of them?")
    output = document.get("output")
    if not isinstance(output, str | None):
        raise OptionError(f"{where}: output expects a folder, got {output!r}")
    return Tuning(
        base=base, space=space, search=read_search(document.get("search"), where=f"{where}: search"), source=where, output=output
    )


def read_base(given: Any, *, where: str) -> dict[str, Any]:
    """Settings of every trial.

    Args:
        given: field -> value.
        where: its name in messages.

    Raises:
        OptionError: no mapping, an unknown field, a bad value, or a field that the search itself sets.
    """
    if not isinstance(given, Mapping | None):
        raise OptionError(f"{where} expects 'field: value' lines, got {given!r}")
    values = dict(given or {})
    for name, instead in (("validation_share", "search: held_out"), ("seed", "search: seed")):
        if name in values:
            raise OptionError(f"{where}: {name} is set by the search: write {instead}")
    flat = flattened(values)
    checked = check_values(unflat(flat), where=where)
    options = checked.pop("options", {})
    return {**checked, **{f"{kind}.{name}": value for kind, chosen in options.items() for name, value in chosen.items()}}


def read_search(given: Any, *, where: str) -> Search:
    """How a space is searched.

    Args:
        given: option -> value; None for the defaults.
        where: its name in messages.

    Raises:
        OptionError: no mapping, an unknown option or a bad value.
    """
    if not isinstance(given, Mapping | None):
        raise OptionError(f"{where} expects 'option: value' lines, got {given!r}")
    values = dict(given or {})
    if isinstance(values.get("held_out"), str) and "test" in values["held_out"]:
        raise OptionError(
            f"{where}: held_out is a share of the training images, got {values['held_out']!r}: settings that are chosen on test "
            "images make their accuracy too high"
        )
    try:
        return Search(**validate_options(Search, values, where=where))
    except OptionError as error:
        raise error if str(error).startswith(where) else OptionError(f"{where}: {str(error).removeprefix('search: ')}") from error
