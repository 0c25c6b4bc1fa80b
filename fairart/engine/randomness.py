"""Random state: everything in a run follows from one seed, and the process's own state is left as it was found."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fairart.draws import PartGenerator

__all__ = ["Streams", "isolated_random_state", "resolve_seed", "seed_global_random_state"]


def resolve_seed(seed: int | None) -> int:
    """The seed itself, or a fresh one where it is None.

    Raises:
        ValueError: a negative seed, or no integer.
    """
    if seed is None:
        return secrets.randbits(32)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0 or None, got {seed!r}")
    return int(seed)


@dataclass(frozen=True)
class Streams:
    """Independent random streams of one run.

    Args:
        order: shuffling, on the CPU, so that the order of the data is the same on every device.
        attack: starts, targets and augmentation, on the device.
        validation: starts of the validation attack, on the device.
        split_seed: of the hold-out.
    """

    order: torch.Generator
    attack: PartGenerator
    validation: PartGenerator
    split_seed: int

    @classmethod
    def of(cls, seed: int, device: torch.device, *, first_epoch: int = 0) -> Streams:
        """The streams of a seed; those of a run that goes on at a later epoch are others."""
        order, attack, validation, split = (int(n) for n in np.random.SeedSequence([seed, first_epoch]).generate_state(4))
        return cls(
            torch.Generator().manual_seed(order),
            _part_generator(device, attack),
            _part_generator(device, validation),
            split,
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The state of each stream."""
        return {name: getattr(self, name).get_state() for name in ("order", "attack", "validation")}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take the states back."""
        for name, value in state.items():
            getattr(self, name).set_state(value)


def _part_generator(device: torch.device, seed: int) -> PartGenerator:
    generator = PartGenerator(device)
    generator.manual_seed(seed)
    return generator


def global_random_state(device: torch.device) -> dict[str, Any]:
    """The global states that a model's dropout, an ART attack or a data generator may draw from."""
    legacy = np.random.get_state()  # noqa: NPY002  # kept so that it can be put back
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "numpy": legacy, "python": random.getstate()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_global_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put the global states back."""
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    random.setstate(state["python"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def seed_global_random_state(seed: int, device: torch.device, *, first_epoch: int = 0) -> None:
    """Seed the global random states of torch, numpy and Python, inside :func:`isolated_random_state`, which puts them back.

    Args:
        seed: see there.
        device: see there.
        first_epoch: see there.
    """
    word = int(np.random.SeedSequence([seed, first_epoch, 1]).generate_state(1)[0])
    torch.default_generator.manual_seed(word)
    if device.type == "cuda":
        torch.cuda.manual_seed(word)
    np.random.seed(word)  # noqa: NPY002  # the caller restores it
    random.seed(word)


@contextlib.contextmanager
def isolated_random_state(seed: int, device: torch.device, *, first_epoch: int = 0) -> Iterator[None]:
    """Seed the global random states of torch, numpy and Python for a while, and put them back.

    The engine itself draws from :class:`Streams`; a model's dropout, an ART attack or a user's data generator draw from the
    global states, and have to repeat with the seed as well.

    Args:
        seed: of the run.
        device: whose CUDA state is included.
        first_epoch: where the run goes on; a later one draws other numbers, as with :class:`Streams`.
    """
    before = global_random_state(device)
    try:
        seed_global_random_state(seed, device, first_epoch=first_epoch)
        yield
    finally:
        set_global_random_state(before, device)
