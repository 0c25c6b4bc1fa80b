"""The network as the engine runs it: an ART classifier as a torch module, and faster ways to compute the same passes."""

from __future__ import annotations

from fairart.engine.network.network import Network, clip_values_of, restored_modes

__all__ = ["Network", "clip_values_of", "restored_modes"]
