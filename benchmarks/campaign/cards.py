"""Peak rates of GPUs by data sheet."""

from __future__ import annotations

__all__ = ["bf16_peak"]

PEAKS = (
    ("H100 NVL", 835e12),
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("H200", 989e12),
    ("A100", 312e12),
)
"""Part of the card's name -> dense bfloat16 operations a second; the first that fits. "H100" alone is the SXM card."""


def bf16_peak(card: str) -> float | None:
    """Dense bfloat16 operations a second of a card by its name; None if it is not known."""
    return next((rate for name, rate in PEAKS if name.lower() in card.lower()), None)
