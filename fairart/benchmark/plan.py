"""How the cells of a grid are evaluated. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fairart.errors import OptionError
from fairart.plugins.options import Option, validate_options

__all__ = ["Attack", "EvaluationPlan", "read_plan"]

Attack = tuple[str, dict[str, Any]]
"""Registered name, and options, among them ``label``."""

EXAMPLE = "pgd-20: {attack: pgd, max_iter: 20}"
FORM = f"expects names such as [fgsm, pgd], or label: {{options}} lines such as {EXAMPLE}"


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What every cell is evaluated with.

    Raises:
        OptionError: attacks of another form.
    """

    attacks: Annotated[Any, Option("attacks: names, or label -> options")] = ("pgd",)
    corruptions: Annotated[Any, Option("corruptions: a named set such as all, names, or name -> options; by default none")] = None
    corruptions_dir: Annotated[str | None, Option("folder in the layout of CIFAR-10-C to read corruptions from")] = None
    severities: Annotated[tuple[int, ...] | None, Option("of the corruptions, any of 1 to 5; by default all")] = None
    metrics: Annotated[tuple[str, ...], Option("fairness metrics to tabulate, by registered name")] = ()
    reference: Annotated[str | None, Option("row that mCE and metrics with a baseline compare with")] = None
    limit: Annotated[int | None, Option("test images, drawn at random; by default all", low=1)] = None
    batch_size: Annotated[int, Option("images at a time", low=1)] = 512
    seed: Annotated[int, Option("of the attacks' random starts", low=0)] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "attacks", tuple(_attacks(self.attacks)))
        _check_corruptions(self)

    @property
    def corrupted(self) -> bool:
        """Whether corrupted images are evaluated."""
        return self.corruptions is not None or self.corruptions_dir is not None

    @property
    def corruption_names(self) -> str | list[str] | None:
        """A named set, names, or None."""
        given = self.corruptions
        return given if given is None or isinstance(given, str) else [str(name) for name in given]

    @property
    def corruption_options(self) -> dict[str, dict[str, Any]]:
        """Corruption -> its options."""
        given = self.corruptions
        return {str(name): dict(options) for name, options in given.items() if options} if isinstance(given, Mapping) else {}

    def to_dict(self) -> dict[str, Any]:
        """The settings that determine the numbers of an evaluation, as arguments of ``evaluate_run``."""
        folder = self.corruptions_dir
        return {
            "attacks": [[name, dict(options)] for name, options in self.attacks],
            "corruptions": self.corruption_names,
            # Made absolute: the machines of a cluster have other working folders.
            "corruptions_dir": None if folder is None else str(Path(folder).expanduser().absolute()),
            "severities": None if self.severities is None else list(self.severities),
            "options": self.corruption_options,
            "limit": self.limit,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }


def read_plan(mapping: Any, *, where: str) -> EvaluationPlan:
    """Check the evaluation part of a grid file.

    Args:
        mapping: option -> value; None for the defaults.
        where: name of the source in error messages.

    Raises:
        OptionError: no mapping, an unknown option or a bad value.
    """
    if not isinstance(mapping, Mapping | None):
        raise OptionError(f"{where} expects 'option: value' lines, got {mapping!r}")
    given = {
        key: [value] if key in ("metrics", "attacks") and isinstance(value, str) else value
        for key, value in (mapping or {}).items()
    }
    try:
        return EvaluationPlan(**validate_options(EvaluationPlan, given, where=where))
    except OptionError as error:
        # The options name their source already; the form of the attacks does not.
        raise error if str(error).startswith(where) else OptionError(f"{where}: {error}") from error


def _check_corruptions(plan: EvaluationPlan) -> None:
    given = plan.corruptions
    entries = given.values() if isinstance(given, Mapping) else ()
    if not isinstance(given, str | list | tuple | Mapping | None) or not all(
        isinstance(entry, Mapping | None) for entry in entries
    ):
        raise OptionError(f"corruptions expects a named set such as all, names, or 'name: {{options}}' lines, got {given!r}")
    if plan.severities is not None and not plan.corrupted:
        raise OptionError("severities go with corruptions or corruptions_dir")


def _attacks(given: Any) -> Iterable[Attack]:
    entries = list(given.items()) if isinstance(given, Mapping) else given
    if not isinstance(entries, list | tuple):
        raise OptionError(f"attacks {FORM}, got {given!r}")
    seen: set[str] = set()
    for name, options in map(_attack, entries):
        if options["label"] in seen:
            raise OptionError(f"attacks: two are labelled {options['label']!r}; give one a label of its own, as {EXAMPLE}")
        seen.add(options["label"])
        yield name, options


def _attack(entry: Any) -> Attack:
    if isinstance(entry, str):
        return entry, {"label": entry}
    if isinstance(entry, Mapping) and len(entry) == 1:
        entry = next(iter(entry.items()))
    if isinstance(entry, tuple | list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], Mapping | None):
        label, options = entry[0], {str(key): value for key, value in (entry[1] or {}).items()}
        name = options.pop("attack", label)
        if isinstance(name, str) and isinstance(options.setdefault("label", label), str):
            return name, options
    raise OptionError(f"attacks {FORM}, got {entry!r}")
