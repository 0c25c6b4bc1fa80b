"""Checks of a search before any trial."""

from __future__ import annotations

import itertools
from typing import Any

from fairart.errors import OptionError
from fairart.plugins import get_plugin_manager
from fairart.plugins.options import check_value, declared_options
from fairart.runs import build
from fairart.runs.config import OFF, PART_KINDS, check_names
from fairart.tuning.file import Tuning
from fairart.tuning.space import Choice, applies, options_of

__all__ = ["check_tuning"]


def check_tuning(tuning: Tuning) -> None:
    """Check that every part is there, that every option has a part that takes it, and that the data can be split.

    Args:
        tuning: the search.

    Raises:
        OptionError: no method, an option that no part of the space has, a value that an option does not take, too few trials.
        UnknownNameError: an unknown part.
        DatasetError: data that cannot be loaded or split.
    """
    if tuning.base.get("plugins_dir") is not None:
        get_plugin_manager().load_folder(tuning.base["plugins_dir"])
    if "trainer" not in tuning.base and "trainer" not in tuning.space.fields:
        raise OptionError(f"{tuning.source} names no method: give 'trainer' under 'base', or several under 'space'")
    needed = max((len(one.values) for one in tuning.space.fields.values() if isinstance(one, Choice)), default=1)
    if tuning.search.trials < needed:
        raise OptionError(
            f"{tuning.source}: search: trials {tuning.search.trials}: a field of the space has {needed} values, "
            "and each needs a trial"
        )
    for name in tuning.space.fields:
        if "." in name:
            _check_option(tuning, name)
    config = tuning.config({name: one.ends()[0] for name, one in tuning.space.fields.items() if "." not in name})
    if config.devices > 1:
        raise OptionError(
            f"{tuning.source}: base: a trial is one process, got devices {config.devices}; several trials at once: --workers"
        )
    check_names(config)
    build.build_dataset(config)


def _values(tuning: Tuning, kind: str) -> list[Any]:
    one = tuning.space.fields.get(kind)
    return list(one.values) if isinstance(one, Choice) else [tuning.base.get(kind)]


def _check_option(tuning: Tuning, name: str) -> None:
    kind, _, option = name.partition(".")
    label = f"{tuning.source}: space: {name}"
    owners = [
        {**tuning.base, "trainer": trainer, kind: part}
        for trainer, part in itertools.product(_values(tuning, "trainer"), _values(tuning, kind))
    ]
    taking = [values for values in owners if applies(name, values)]
    if not taking and name in tuning.shared:
        return
    if not taking:
        known = sorted(set().union(*(options_of(kind, values) for values in owners)))
        there = f"it has {', '.join(known)}" if known else f"there is no {kind} in any trial, name one"
        raise OptionError(f"{label}: no {kind} of the search has an option {option!r}; {there}")
    for values in taking:
        declared = _declared(kind, values)[option]
        for value in tuning.space.fields[name].ends():
            check_value(value, declared, where=label)


def _declared(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    manager = get_plugin_manager()
    chosen = values.get(kind)
    if chosen is None and kind in PART_KINDS:
        method: Any = manager.find("trainer", values["trainer"])[0].load()
        chosen = method._preset(kind)
    assert chosen not in (None, OFF), "the option applies, so there is a part"
    return declared_options(manager.find(kind, chosen)[0].load() if isinstance(chosen, str) else type(chosen))
