"""The outcome of a sanity check, as results hold it, files store it and tables print it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SanityCheck"]


@dataclass(frozen=True)
class SanityCheck:
    """One test of whether a number can be trusted (Carlini et al., On Evaluating Adversarial Robustness, 2019).

    Args:
        name: short name, such as ``"more steps never help"``.
        passed: whether the check holds.
        detail: one sentence with the figures that decided it; printed below the table if it failed.
        attack: label of the attack whose numbers it is about; None if it is about the model or all attacks.
    """

    name: str
    passed: bool
    detail: str
    attack: str | None = None
