"""Explaining why a file's weights do not fit a network, and what would help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from fairart.models.weights.matching import Match

__all__ = ["explain_misfit"]

SHOWN = 4
"""Names that a message lists of each kind."""


def explain_misfit(match: Match, tensors: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> str:
    """Say which names are missing, left over or of another shape, and what would help.

    Args:
        match: the best match that was found.
        tensors: of the file.
        model: state dict of the network.

    Returns:
        Text of a few clauses, for the end of a message.
    """
    if not match.pairs and len(match.reshaped) < len(model) / 2:
        names, there = _listed(list(model)[:2]), _listed(list(tensors)[:2])
        return f"no name agrees (the model begins with {names}, the file with {there}): the file is of another model"
    said = []
    if match.missing:
        near = _nearest(match.missing, [name.removeprefix(match.prefix) for name in match.left_over])
        said.append(f"{len(match.missing)} of the model's {len(model)} tensors are missing: {_listed(match.missing)}{near}")
    if match.left_over:
        said.append(f"{len(match.left_over)} of the file's {len(tensors)} are left over: {_listed(match.left_over)}")
    if match.reshaped:
        shapes = [f"{name} {shape} for {tuple(model[name].shape)}" for name, shape in match.reshaped.items()]
        said.append(f"{len(match.reshaped)} have another shape (file for model): {_listed(shapes)}")
    return "; ".join([*said, _hint(match, model)])


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")


def _nearest(missing: Sequence[str], spare: Sequence[str]) -> str:
    for name in missing[:SHOWN]:
        close = difflib.get_close_matches(name, spare, n=1, cutoff=0.6)
        if close:
            return f" (nearest to {name} in the file: {close[0]})"
    return ""


def _hint(match: Match, model: Mapping[str, Tensor]) -> str:
    if match.missing or match.left_over:
        share = len(match.pairs) / max(1, len(model))
        return "the file is of another model or another version of it" if share < 0.9 else "the file is nearly that of this model"
    heads = [name for name in match.reshaped if _differs_in_first_side_alone(match.reshaped[name], tuple(model[name].shape))]
    if len(heads) == len(match.reshaped) and len(heads) <= 2:
        return f"the last layer differs: try nb_classes={match.reshaped[heads[0]][0]}"
    ratios = {found[0] / wanted[0] for found, wanted in _sides(match, model)}
    if len(ratios) <= 2 and any(ratio != 1 for ratio in ratios):
        ratio = next(ratio for ratio in sorted(ratios) if ratio != 1)
        return f"layers of the file are {ratio:g} times as wide: try another width of the model"
    if len(match.reshaped) <= 2:
        return "the layers agree but for these: the model was made for another image size or another number of classes"
    return "the file is of a model of other width or depth"


def _sides(match: Match, model: Mapping[str, Tensor]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    pairs = [(shape, tuple(model[name].shape)) for name, shape in match.reshaped.items()]
    return [(found, wanted) for found, wanted in pairs if found and wanted and wanted[0]]


def _differs_in_first_side_alone(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) > 0 and found[1:] == wanted[1:] and found[0] != wanted[0]
