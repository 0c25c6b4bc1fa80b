"""The network as the engine runs it: an ART classifier as a torch module, and faster ways to compute the same passes."""

from __future__ import annotations

from fairart.engine.network.contract import ModelError, check_model, check_plain, predicted, returns_plain_logits
from fairart.engine.network.network import Network, clip_values_of, logits_of, restored_modes

__all__ = [
    "ModelError",
    "Network",
    "check_model",
    "check_plain",
    "clip_values_of",
    "logits_of",
    "predicted",
    "restored_modes",
    "returns_plain_logits",
]
