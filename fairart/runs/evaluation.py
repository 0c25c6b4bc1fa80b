"""What an evaluation needs besides the classifier: attacks with their budgets, test images, corrupted images, a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fairart.corruptions import SEVERITIES, CorruptionFolder, MadeCorruptions, corruption_names
from fairart.datasets import Dataset
from fairart.datasets.columns import read_values
from fairart.datasets.stored import select
from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult
from fairart.evaluation.certificates.specs import resolve_certificates
from fairart.evaluation.defences.specs import resolve_defences
from fairart.evaluation.results.corruption_results import check_same_kind
from fairart.evaluation.results.groups import Groups
from fairart.evaluation.running.corrupted import CorruptionSource
from fairart.norms import norm_order, norm_text
from fairart.plugins import get_plugin_manager, registered
from fairart.plugins.options import declared_options

__all__ = [
    "Attack",
    "Budget",
    "Limit",
    "check_options",
    "check_reference",
    "choose_attacks",
    "choose_certificates",
    "choose_defences",
    "choose_images",
    "corruption_source",
    "groups_of",
    "names_to_make",
    "parse_limit",
]

IntArray = npt.NDArray[np.int64]
Options = Mapping[str, Mapping[str, Any]]
Attack = str | tuple[str, Mapping[str, Any]]
"""Registered name, or name and options."""
Limit = int | str | None
"""So many images at most, ``"100/class"`` for so many of each class, None for all."""


class Budget(NamedTuple):
    """eps, step and norm that attacks use if they are not given their own; None leaves each attack its default."""

    eps: float | None = None
    eps_step: float | None = None
    norm: str | float = "inf"


def check_options(options: Options, attacks: Sequence[str], corruptions: Sequence[str]) -> None:
    """Refuse options of what is not run.

    Args:
        options: attack, certificate, defence or corruption -> its options.
        attacks: names of the attacks, certificates and defences.
        corruptions: names of the corruptions that are made.

    Raises:
        OptionError: options of something else.
    """
    known = (*attacks, *corruptions)
    for name in options:
        if name not in known:
            raise OptionError(f"options are set for {name!r}, which is not among what is evaluated; {did_you_mean(name, known)}")


def names_to_make(corruptions: str | Sequence[str] | None, folder: str | Path | None) -> tuple[str, ...]:
    """The corruptions that are made, spelt out; none where they are read from a folder.

    Raises:
        UnknownNameError: no such corruption.
    """
    if corruptions is None or folder is not None:
        return ()
    return corruption_names(corruptions, known=tuple(registered("corruption")))


def choose_attacks(budget: Budget, attacks: Sequence[Attack], options: Options) -> list[tuple[str, dict[str, Any]]]:
    """Attacks with their options; by default the ``eps`` and ``eps_step`` of the budget, if an attack has them.

    With another ``eps`` the step follows that, and not the budget's. Attacks that have a ``norm`` take the budget's as well.

    Args:
        budget: of the run that is evaluated, or given by the user.
        attacks: registered names, or (name, options) pairs.
        options: attack -> its options, for those given by name.

    Raises:
        UnknownNameError: no such attack.
        OptionError: an attack in another norm than the budget's without its own eps.
    """
    chosen, order = [], norm_order(budget.norm)
    for attack in attacks:
        name, given = (attack, options.get(attack, {})) if isinstance(attack, str) else attack
        entry, _ = get_plugin_manager().find("attack", name)
        declared = declared_options(entry.load(), keyword_only=True)
        # Robustness is asked for at the budget that was trained for: 8/255 says nothing about digits trained at 0.2.
        radii = {"eps": budget.eps, "eps_step": budget.eps_step}
        own: dict[str, Any] = {key: value for key, value in radii.items() if key in declared and (value or 0) > 0}
        if "norm" in declared and order == 2:
            own["norm"] = 2
        if "eps" in given:
            # The step belongs to the budget's own eps.
            own.pop("eps_step", None)
        if "eps" in own and "eps" not in given and norm_order({**own, **given}.get("norm", "inf")) != order:
            why = "" if "norm" in declared else ", and this attack has no option norm"
            raise OptionError(
                f"attack {name!r}: set eps as well; that of the run or of --eps, {own['eps']:g}, is an "
                f"{norm_text(order or math.inf)} radius{why}"
            )
        chosen.append((name, {**own, **given}))
    return chosen


def choose_certificates(budget: Budget, certificates: Sequence[Attack], options: Options) -> list[tuple[str, dict[str, Any]]]:
    """Certificates with their options; one that has ``eps`` and is of the norm of the budget takes that of the budget.

    Args:
        budget: of the run that is evaluated, or given by the user.
        certificates: registered names, or (name, options) pairs.
        options: certificate -> its options, for those given by name.

    Raises:
        UnknownNameError: no such certificate.
        OptionError: an option that it does not have, or a bad value.
    """
    chosen = []
    for certificate in certificates:
        name, given = (certificate, options.get(certificate, {})) if isinstance(certificate, str) else certificate
        entry, _ = get_plugin_manager().find("certificate", name)
        factory = entry.load()
        own: dict[str, Any] = {}
        if "eps" in declared_options(factory) and budget.eps and getattr(factory, "order", None) == norm_order(budget.norm):
            own["eps"] = budget.eps
        chosen.append((name, {**own, **given}))
    # Before data and weights are loaded.
    resolve_certificates(chosen)
    return chosen


def choose_defences(defences: Sequence[Attack], options: Options) -> list[tuple[str, dict[str, Any]]]:
    """Input defences with their options.

    Args:
        defences: registered names, or (name, options) pairs.
        options: defence -> its options, for those given by name.

    Raises:
        UnknownNameError: no such defence.
        OptionError: an option that it does not have, or a bad value.
    """
    pairs = [(one, options.get(one, {})) if isinstance(one, str) else one for one in defences]
    chosen = [(name, dict(given)) for name, given in pairs]
    # Before data and weights are loaded.
    resolve_defences(chosen)
    return chosen


def parse_limit(limit: Limit) -> tuple[int | None, bool]:
    """Read a limit.

    Args:
        limit: a whole number or its text, ``"100/class"``, or None.

    Returns:
        The number, and whether it is of each class.

    Raises:
        OptionError: something else, or a number below 1.
    """
    if limit is None:
        return None, False
    digits, slash, unit = str(limit).partition("/")
    if not digits.isdecimal() or int(digits) < 1 or (slash and unit != "class"):
        raise OptionError(f"limit expects a whole number >= 1, or 100/class for so many of each class, got {limit!r}")
    return int(digits), bool(slash)


def choose_images(labels: npt.ArrayLike, limit: Limit, seed: int) -> IntArray:
    """Indices of the images to evaluate: all, or so many drawn at random, ascending.

    Args:
        labels: (n,) classes of all images.
        limit: how many at most, in all or of each class.
        seed: of the choice.

    Raises:
        OptionError: a bad limit.
    """
    classes = np.asarray(labels)
    number, by_class = parse_limit(limit)
    if number is None:
        return np.arange(len(classes))
    # Files may be sorted by class: the first images would be no sample of the data.
    order = np.random.default_rng(seed).permutation(len(classes))
    if not by_class:
        return np.sort(order[:number])
    return np.sort(np.concatenate([order[classes[order] == label][:number] for label in np.unique(classes)]))


def corruption_source(
    data: Dataset,
    keep: IntArray,
    *,
    corruptions: str | Sequence[str] | None,
    folder: str | Path | None,
    severities: Sequence[int] | None,
    options: Options,
    limit: Limit,
    seed: int,
    device: str,
) -> CorruptionFolder | MadeCorruptions | None:
    """Corrupted test images: made of those that are evaluated, or read from a folder.

    A folder brings its labels. Where they are those of the test split, the images that are read are the ones that are
    attacked; else as many are drawn from the folder.

    Args:
        data: the data set of the run.
        keep: indices of the test images that are evaluated.
        corruptions: a named set, or names; None means none, or with a folder all that it contains.
        folder: in the published layout, or None.
        severities: any of 1 to 5; None for all.
        options: corruption -> its options, of those that are made.
        limit: images at most, in all or of each class.
        seed: of what is made, and of the choice.
        device: device on which they are computed and returned.

    Raises:
        CorruptionFolderError: the folder is damaged, or its images or classes are not those of the data set.
        MissingTexturesError: frost is requested, and its pictures are not installed.
        OptionError: options that a corruption does not have.
        ValueError: bad severities, or severities without corruptions.
    """
    chosen = SEVERITIES if severities is None else severities
    if folder is not None:
        read = CorruptionFolder(
            folder,
            corruptions=corruptions,
            severities=chosen,
            nb_classes=data.nb_classes,
            input_shape=data.input_shape,
            device=device,
        )
        return read.subset(keep if np.array_equal(read.labels, data.y_test) else choose_images(read.labels, limit, seed))
    names = names_to_make(corruptions, folder)
    if not names:
        if severities is not None:
            raise ValueError(f"severities {list(severities)} are given without corruptions")
        return None
    given = {name: options[name] for name in names if name in options}
    x, y = select(data.x_test, keep), data.y_test[keep]
    return MadeCorruptions(x, y, corruptions=names, severities=chosen, options=given, seed=seed, device=device)


def groups_of(given: str | Sequence[str], data: Dataset, keep: IntArray) -> dict[str, Groups]:
    """Attributes of the test images that are evaluated.

    Args:
        given: columns of the data set, or files with one value for each of its test images; see
            :func:`fairart.datasets.columns.read_values`.
        data: the data set of the run.
        keep: indices of the test images that are evaluated.

    Returns:
        name -> group of each image.

    Raises:
        OptionError: no such column or file, another number of values, values that make no groups, or two attributes of one name.
    """
    found: dict[str, Groups] = {}
    for one in (given,) if isinstance(given, str) else given:
        try:
            name, values = read_values(one, data.columns, split="test", number=len(data.y_test))
            groups = Groups.of(values[keep], name=name)
        except ValueError as error:
            raise OptionError(str(error)) from error
        if name in found:
            raise OptionError(f"groups {one!r}: two attributes are called {name!r}")
        found[name] = groups
    return found


def check_reference(path: str | Path, source: CorruptionSource | None) -> EvaluationResult:
    """Read a reference for mCE, and check before any work that it has all corruptions and severities.

    Args:
        path: an ``evaluation.json``.
        source: the corruptions that will be evaluated.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is not an evaluation.
        ValueError: no corruptions are evaluated, the reference lacks some, or its images were made in another way.
    """
    if source is None:
        raise ValueError(f"{path} is a reference for corruptions, but no corruptions are evaluated")
    reference = EvaluationResult.load(Path(path).expanduser())
    about = source.describe()
    try:
        check_same_kind((about.get("made") or about).get("version"), reference.corruptions)
        reference.corruptions.select(source.names, source.severities)
    except ValueError as error:
        raise ValueError(f"{path} cannot be the reference of this evaluation: {error}") from error
    return reference
