"""The names of the corruptions, and the sets of them that papers report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fairart.did_you_mean import did_you_mean
from fairart.errors import UnknownNameError

__all__ = ["CORRUPTION_SETS", "corruption_names"]

_COMMON15 = (
    *("gaussian_noise", "shot_noise", "impulse_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness"),
    *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
_EXTRA4 = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
_ALL = _COMMON15 + _EXTRA4

CORRUPTION_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "common15": _COMMON15,
        "extra4": _EXTRA4,
        "paper18": tuple(name for name in _ALL if name != "glass_blur"),
        "all": _ALL,
    }
)
"""``common15``: what mCE is taken over; ``extra4``: the authors' hold-out; ``paper18``: those that the FAIR-TAT paper uses, all
but glass blur; ``all``: the 19 of CIFAR-10-C."""


def corruption_names(wanted: str | Sequence[str], *, known: Sequence[str] = _ALL) -> tuple[str, ...]:
    """Spell out which corruptions are meant.

    Args:
        wanted: a set, a name, or several of either, as a sequence or as text with commas: ``"common15"``, ``"fog,snow"``. One
            with a minus sign is left out again: ``"all,-frost"``.
        known: the names there are; those of CIFAR-10-C, and in them of plugins where the caller adds them.

    Returns:
        The names in the order given, each once.

    Raises:
        UnknownNameError: a name that is neither; the message names the nearest ones.
        ValueError: none at all.
    """
    words = wanted.split(",") if isinstance(wanted, str) else list(wanted)
    found: dict[str, None] = {}
    for word in (str(word).strip() for word in words):
        name = word.removeprefix("-")
        if name not in CORRUPTION_SETS and name not in known:
            raise UnknownNameError(f"there is no corruption {name!r}; {did_you_mean(name, [*known, *CORRUPTION_SETS])}")
        meant = dict.fromkeys(CORRUPTION_SETS.get(name, (name,)))
        found = found | meant if name == word else {kept: None for kept in found if kept not in meant}
    if not found:
        raise ValueError("no corruption is named")
    return tuple(found)
