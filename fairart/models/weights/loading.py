"""Filling a network with the weights of a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fairart.errors import WeightsError
from fairart.models.weights.explaining import explain_misfit
from fairart.models.weights.matching import Match, best_match
from fairart.models.weights.nested_state_dicts import Candidate, find_candidates
from fairart.models.weights.normalization_buffers import MeanAndStd, normalization_of_module, normalizations_of_keys
from fairart.models.weights.read_file import read_file, stated_normalization

__all__ = ["LoadedWeights", "load_weights"]


@dataclass(frozen=True, eq=False)
class LoadedWeights:
    """What :func:`load_weights` did.

    Args:
        path: the file.
        key: where the weights stood in it; empty for the top.
        prefix: what was taken off every name.
        normalization: mean and standard deviation that the file holds and the model does not apply itself, (C,) or (1,) each:
            they belong into the classifier's ``preprocessing``. None if there are none.
        normalizes_itself: whether the model applies a mean and standard deviation of its own; it then gets no preprocessing.
        missing: names of the model that kept what they had; empty unless ``strict=False``.
        unused: names of the file that were not used.
        notes: the same in sentences, for a reader.
    """

    path: Path
    key: str
    prefix: str
    normalization: tuple[Tensor, Tensor] | None
    normalizes_itself: bool
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def load_weights(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    index: int | None = None,
    prefix: str | None = None,
    strict: bool = True,
) -> LoadedWeights:
    """Fill a model with the weights of a file, in whatever layout the file has them.

    The file is read with ``weights_only=True``: no code in it is run. The state dict is searched in nested dictionaries and
    lists. Prefixes such as ``module.`` are taken off if the rest then fits. The model is changed only if everything fits.

    Args:
        model: filled in place; device and type of its tensors stay.
        path: what ``torch.save`` wrote, of any version, or safetensors.
        key: where the state dict stands, such as ``"ema.state_dict"``; needed only where several fit.
        index: position in a list of state dicts; by default the first that fits.
        prefix: what to take off the names; by default what makes them fit.
        strict: whether every tensor of model and file must find its counterpart; False loads what fits.

    Returns:
        What was loaded, from where, and what the file says of normalisation.

    Raises:
        WeightsError: the file cannot be read or is refused, or several state dicts fit, or none; the message says what helps.
    """
    lazy = [name for name, value in model.state_dict().items() if is_lazy(value)]
    if lazy:
        raise WeightsError(f"the model has lazy layers without weights yet ({lazy[0]}): pass one batch through it before loading")
    file = Path(path).expanduser()
    candidates = find_candidates(read_file(file), key=key, index=index, file=file)
    wanted = model.state_dict()
    candidate, match = _chosen(candidates, wanted, prefix, file, strict=strict)
    loaded = _described(file, candidate, match, model, candidates)
    _fill(model, candidate, match, loaded)
    return loaded


def _chosen(
    candidates: Sequence[Candidate], wanted: dict[str, Tensor], prefix: str | None, file: Path, *, strict: bool
) -> tuple[Candidate, Match]:
    matched = [(candidate, best_match(candidate.tensors, wanted, prefix=prefix)) for candidate in candidates]
    fitting = [(candidate, matches) for candidate, matches in matched if matches[0].fits]
    if not fitting:
        candidate, matches = min(matched, key=lambda pair: pair[1][0].badness)
        if not strict and matches[0].pairs:
            return candidate, matches[0]
        where = f"at {candidate} " if len(candidates) > 1 else ""
        raise WeightsError(f"{file} does not fit the model: {where}{explain_misfit(matches[0], candidate.tensors, wanted)}")
    fitting = _first_of_each_list(fitting)
    candidate, matches = fitting[0]
    others = [other for other, its in fitting[1:] if not _same(candidate, matches[0], other, its[0])]
    if others:
        keys = ", ".join(repr(found.key) for found in (candidate, *others))
        raise WeightsError(f"{file} holds {len(others) + 1} different state dicts that fit: name one of {keys} as weights_key")
    unlike = [match for match in matches[1:] if not _same(candidate, matches[0], candidate, match)]
    if unlike:
        prefixes = ", ".join(repr(match.prefix) for match in (matches[0], *unlike))
        raise WeightsError(f"{file} holds {len(unlike) + 1} different parts that fit: name one of {prefixes} as weights_prefix")
    return candidate, matches[0]


def _first_of_each_list(fitting: list[tuple[Candidate, list[Match]]]) -> list[tuple[Candidate, list[Match]]]:
    kept, lists = [], set()
    for candidate, matches in fitting:
        place = candidate.key.rpartition("[")[0] if candidate.entry is not None else None
        if place is None or place not in lists:
            kept.append((candidate, matches))
        lists.add(place)
    return kept


def _same(one: Candidate, its: Match, other: Candidate, others: Match) -> bool:
    return its.pairs.keys() == others.pairs.keys() and all(
        torch.equal(one.tensors[its.pairs[name]], other.tensors[others.pairs[name]]) for name in its.pairs
    )


def _described(
    file: Path, candidate: Candidate, match: Match, model: nn.Module, candidates: Sequence[Candidate]
) -> LoadedWeights:
    notes = [f"weights of {file.name}" + (f", key {candidate.key!r}" if candidate.key else "")]
    in_list = sum(other.entry is not None for other in candidates)
    if candidate.entry is not None and in_list > 1:
        notes.append(f"number {candidate.entry} of a list of {in_list} state dicts")
    if match.prefix:
        notes.append(f"prefix {match.prefix!r} taken off")
    if match.added:
        notes.append(f"loaded into the model's part {match.added!r}")
    if match.beside:
        notes.append(f"{len(match.beside)} tensors of other parts not used, such as {match.beside[0]!r}")
    if match.missing or match.reshaped:
        notes.append(
            f"{len(match.missing) + len(match.reshaped)} tensors of the model keep what they had, such as {_first(match)!r}"
        )
    halves = {str(tensor.dtype).removeprefix("torch.") for tensor in candidate.tensors.values() if tensor.dtype.itemsize == 2}
    if halves:
        notes.append(f"stored as {' and '.join(sorted(halves))}")
    found, itself, note = _normalization(file, candidate, match, model)
    notes += note
    return LoadedWeights(
        path=file,
        key=candidate.key,
        prefix=match.prefix,
        normalization=found,
        normalizes_itself=itself is not None,
        missing=(*match.missing, *match.reshaped),
        unused=(*match.left_over, *match.beside),
        notes=tuple(notes),
    )


def _normalization(
    file: Path, candidate: Candidate, match: Match, model: nn.Module
) -> tuple[tuple[Tensor, Tensor] | None, MeanAndStd | None, list[str]]:
    """Mean and deviation for the preprocessing, the model's own layer, and what to say about them."""
    itself, pair = normalization_of_module(model), _pair_of_file(candidate, match)
    if itself is not None:
        return None, itself, [f"the model normalises its input itself ({itself.mean_key})"]
    if pair is not None:
        note = f"mean and standard deviation of the file ({pair.mean_key}) become the classifier's preprocessing"
        return (pair.mean.flatten().float(), pair.std.flatten().float()), None, [note]
    stated = stated_normalization(file)
    if stated is None:
        return None, None, []
    note = "mean and standard deviation of the file's metadata become the classifier's preprocessing"
    return (torch.tensor(stated[0]), torch.tensor(stated[1])), None, [note]


def _first(match: Match) -> str:
    return next(iter((*match.missing, *match.reshaped)))


def _pair_of_file(candidate: Candidate, match: Match) -> MeanAndStd | None:
    """The file's mean and deviation of the input; the part that was loaded comes first."""
    pairs = normalizations_of_keys(candidate.tensors)
    pairs.sort(key=lambda pair: not pair.mean_key.startswith(match.prefix))
    return pairs[0] if pairs else None


def _fill(model: nn.Module, candidate: Candidate, match: Match, loaded: LoadedWeights) -> None:
    state = model.state_dict()
    new = {name: candidate.tensors[there].reshape(state[name].shape) for name, there in match.pairs.items()}
    pair, own = _pair_of_file(candidate, match), normalizations_of_keys(state)
    if loaded.normalizes_itself and pair is not None and own and own[0].mean_key not in new:
        # The same layer under another name.
        for name, value in ((own[0].mean_key, pair.mean), (own[0].std_key, pair.std)):
            new[name] = value.flatten().expand(state[name].numel()).reshape(state[name].shape)
    model.load_state_dict(new, strict=False)
