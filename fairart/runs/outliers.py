"""Outliers of an evaluation from what the command line says: names of built-in sets and of data sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairart.datasets import Dataset
from fairart.datasets.stored import Images
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError, UnknownNameError
from fairart.evaluation.ood.plan import BUILT_IN
from fairart.evaluation.ood.settings import OodSettings
from fairart.plugins import get_plugin_manager, registered
from fairart.plugins.options import validate_options
from fairart.runs.build import load_dataset
from fairart.runs.evaluation import Budget

__all__ = ["UNSEEN", "OodRequest", "check_ood", "described", "load_ood"]

UNSEEN = "unseen"
"""Name of the set of test images whose classes were left out of training."""


@dataclass(frozen=True, kw_only=True)
class OodRequest:
    """Outliers to evaluate with.

    Args:
        sets: name -> a built-in set, ``"unseen"``, or a data set: a registered name, ``npz:PATH`` or ``folder:PATH``.
        options: fields of :class:`~fairart.evaluation.OodSettings` but ``fit``.
        data_root: folder of the data files.
    """

    sets: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    data_root: str | None = None


def check_ood(request: OodRequest | None, budget: Budget) -> OodSettings | None:
    """Check names and options before data and weights are loaded.

    Args:
        request: sets and options; None for none.
        budget: of attacks on scores, unless the options have their own.

    Returns:
        The settings, without training images; None for no request.

    Raises:
        OptionError: no set, or an option that there is not or with a bad value.
        UnknownNameError: no such set or score.
    """
    if request is None:
        return None
    if not request.sets:
        raise OptionError("ood: expected at least one set of outliers, got none")
    for given in request.sets.values():
        _check_name(given)
    if "fit" in request.options:
        raise OptionError("ood has no option 'fit' here: the training images of the data set are taken")
    # As for attacks on predictions: a run trained without a budget leaves the default.
    own = {key: value for key, value in budget._asdict().items() if value not in (None, 0)}
    if "eps" in request.options:
        # The step belongs to the budget's own eps.
        own.pop("eps_step", None)
    options = validate_options(OodSettings, _named({**own, **request.options}), where="ood")
    return OodSettings(**options)


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """Lists of names from text with commas."""
    lists = {key: tuple(str(options[key]).split(",")) for key in ("scores", "attack") if isinstance(options.get(key), str)}
    return {**options, **lists}


def described(given: str) -> str:
    """What a result file calls a set.

    Args:
        given: what the user wrote.
    """
    return "test images of the classes left out of training" if given == UNSEEN else given


def _check_name(given: str) -> None:
    if given in BUILT_IN or given == UNSEEN:
        return
    try:
        get_plugin_manager().find("dataset", given)
    except UnknownNameError as error:
        known = [*BUILT_IN, UNSEEN, *registered("dataset")]
        raise UnknownNameError(f"ood: there is no set of outliers or data set {given!r}; {did_you_mean(given, known)}") from error


def load_ood(
    request: OodRequest, settings: OodSettings, data: Dataset, *, unseen: Images | None
) -> tuple[dict[str, str | Images], OodSettings]:
    """The arguments ``ood`` and ``ood_settings`` of an evaluation.

    Args:
        request: the sets.
        settings: from :func:`check_ood`.
        data: the data set of the classifier; its training images fit the scores that need them.
        unseen: test images of the classes left out of training; None if none were.

    Raises:
        OptionError: ``"unseen"``, and no class was left out.
        DatasetError: files that do not form a data set.
        DownloadError: a public data set that could not be fetched.
    """
    sets: dict[str, str | Images] = {}
    for name, given in request.sets.items():
        if given == UNSEEN:
            if unseen is None:
                raise OptionError(
                    "ood: unseen needs a run that was trained without some classes (fairart train --leave-out NAMES); "
                    "this model has seen all"
                )
            sets[name] = unseen
        elif given in BUILT_IN:
            sets[name] = given
        else:
            sets[name] = load_dataset(given, data_root=request.data_root).x_test
    fit = (data.x_train, data.y_train) if len(data.x_train) else None
    return sets, dataclasses.replace(settings, fit=fit)
