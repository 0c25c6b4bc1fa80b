"""What a sanity check of an evaluation says: the record alone, which results hold, files store and tables print."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SanityCheck"]


@dataclass(frozen=True)
class SanityCheck:
    """One test of whether a number can be trusted (Carlini et al., On Evaluating Adversarial Robustness, 2019).

    Args:
        name: short name, such as ``"more steps never help"``.
        passed: whether the check holds.
        detail: one sentence with the figures that decided it; printed below the table where it failed.
        attack: label of the attack whose number it is about; None where it is about the model or all attacks.
    """

    name: str
    passed: bool
    detail: str
    attack: str | None = None
