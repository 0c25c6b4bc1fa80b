"""Running an evaluation: attack by attack and batch by batch, with partial results on disk."""

from __future__ import annotations

__all__: list[str] = []
