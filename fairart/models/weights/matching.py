"""Fitting the names of a file to the names of a network: prefixes, counters, and buffers that need not agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from fairart.models.weights.normalization_buffers import is_normalization_key

__all__ = ["Match", "best_match"]

COUNTERS = ("num_batches_tracked", "n_averaged")
"""Counts of batches and of averaged models: no prediction depends on them in eval mode."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Match:
    """How the names of a file go with those of a network.

    Args:
        prefix: taken off the file's names.
        added: prefix of the network's names that the file's lack.
        pairs: network's name -> file's name; both have the same shape, or the same numbers of a normalisation.
        missing: network's names that the file does not have.
        left_over: file's names under ``prefix`` that the network does not have.
        beside: file's names that do not begin with ``prefix``: other parts that were saved along.
        reshaped: network's name -> the file's shape, where both have the name and the shapes differ.
    """

    prefix: str
    added: str
    pairs: Mapping[str, str]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    beside: tuple[str, ...]
    reshaped: Mapping[str, tuple[int, ...]]

    @property
    def fits(self) -> bool:
        """Whether every weight has its tensor and no tensor of the part is left."""
        return not (self.missing or self.left_over or self.reshaped) and bool(self.pairs)

    @property
    def badness(self) -> tuple[int, ...]:
        """Less is better: what does not agree, then what was changed to get there."""
        wrong = len(self.missing) + len(self.reshaped)
        return (-len(self.pairs), wrong, len(self.left_over), len(self.beside), len(self.prefix) + len(self.added))


def _prefixes(names: Iterable[str]) -> list[str]:
    found = {""}
    for name in names:
        parts = name.split(".")
        found |= {".".join(parts[:end]) + "." for end in range(1, len(parts))}
    return sorted(found, key=lambda prefix: (prefix.count("."), len(prefix), prefix))


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] in COUNTERS


def best_match(tensors: Mapping[str, Tensor], model: Mapping[str, Tensor], *, prefix: str | None = None) -> list[Match]:
    """The best ways to read a file's names as the network's; several only where they fit equally well.

    Args:
        tensors: of the file.
        model: state dict of the network.
        prefix: to take off the file's names; None to look for it.

    Returns:
        At least one match, which may not fit.
    """
    found, wanted = _shapes(tensors), _shapes(model)
    given = prefix if not prefix or prefix.endswith(".") else f"{prefix}."
    offs = _likely(found, wanted) if given is None else [given]
    matches = [_match(found, wanted, off, "") for off in offs]
    if not any(match.fits for match in matches):
        # A network within a wrapper, such as Sequential(Normalize, net), whose weights were saved alone.
        share = 0.5 * len(wanted)
        wrappers = [added for added in _prefixes(wanted) if added and sum(name.startswith(added) for name in wanted) >= share]
        matches += [_match(found, wanted, off, added) for added in wrappers for off in offs]
    matches.sort(key=lambda match: (not match.fits, match.badness))
    best = matches[0]
    if not best.fits:
        return [best]
    return [match for match in matches if match.fits and len(match.pairs) == len(best.pairs)]


def _likely(found: Shapes, wanted: Shapes) -> list[str]:
    """Prefixes under which the file has a name of the network, as it is or within a wrapper."""
    ends = {name.rpartition(".")[2] for name in wanted}
    heads = {end: [name for name in found if name.rpartition(".")[2] == end] for end in ends}
    likely = {""}
    for name in wanted:
        tails = [name]
        parts = name.split(".")
        tails += [".".join(parts[start:]) for start in (1, 2) if start < len(parts)]
        for other in heads[name.rpartition(".")[2]]:
            likely |= {other[: -len(tail)] for tail in tails if other.endswith(f".{tail}")}
    return sorted(likely, key=lambda prefix: (prefix.count("."), len(prefix), prefix))


def _match(found: Shapes, wanted: Shapes, off: str, added: str) -> Match:
    under = {name[len(off) :]: name for name in found if name.startswith(off)}
    pairs, missing, reshaped = {}, [], {}
    for name, shape in wanted.items():
        rest = name[len(added) :] if name.startswith(added) else None
        there = None if rest is None else under.get(rest)
        if there is not None and (found[there] == shape or _same_numbers(name, found[there], shape)):
            pairs[name] = there
        elif there is not None:
            reshaped[name] = found[there]
        elif not _is_counter(name) and not is_normalization_key(name):
            missing.append(name)
    used = {*pairs.values(), *(under[name[len(added) :]] for name in reshaped)}
    spare = [name for name in found if name not in used and not _is_counter(name) and not is_normalization_key(name)]
    return Match(
        prefix=off,
        added=added,
        pairs=pairs,
        missing=tuple(missing),
        left_over=tuple(name for name in spare if name.startswith(off)),
        beside=tuple(name for name in spare if not name.startswith(off)),
        reshaped=reshaped,
    )


def _same_numbers(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """A mean of shape (3,) or (3, 1, 1) where (1, 3, 1, 1) is wanted."""
    return is_normalization_key(name) and [side for side in found if side != 1] == [side for side in wanted if side != 1]
