"""The attacks beyond FGSM and PGD, one idea a file; registered by name, imported when one is asked for."""

from __future__ import annotations

__all__: list[str] = []
