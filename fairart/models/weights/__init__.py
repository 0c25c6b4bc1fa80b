"""Weight files as people have them: read without running code, found, fitted to a network, or refused with the reason."""

from __future__ import annotations

from fairart.models.weights.loading import LoadedWeights, load_weights
from fairart.models.weights.read_file import read_file

__all__ = ["LoadedWeights", "load_weights", "read_file"]
