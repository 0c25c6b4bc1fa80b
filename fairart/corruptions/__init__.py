"""Common corruptions: the 19 of CIFAR-10-C made on the fly or read from a folder, and perturbation sequences.

Hendrycks & Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR 2019.

The names are imported at first use: listing what is registered (:mod:`fairart.corruptions.registered`) must not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairart.corruptions.common import SEVERITIES, CorruptionWarning
    from fairart.corruptions.folder import CorruptionFolder, CorruptionFolderError
    from fairart.corruptions.make import CORRUPTION_VERSION, MadeCorruptions
    from fairart.corruptions.mce import mean_corruption_error
    from fairart.corruptions.sequences import NOISE_SEQUENCES, SEQUENCES, flip_rate, perturbation_sequence
    from fairart.corruptions.sets import CORRUPTION_SETS, corruption_names
    from fairart.corruptions.textures import MissingTexturesError
    from fairart.corruptions.write import write_corruptions

__all__ = [
    "CORRUPTION_SETS",
    "CORRUPTION_VERSION",
    "NOISE_SEQUENCES",
    "SEQUENCES",
    "SEVERITIES",
    "CorruptionFolder",
    "CorruptionFolderError",
    "CorruptionWarning",
    "MadeCorruptions",
    "MissingTexturesError",
    "corruption_names",
    "flip_rate",
    "mean_corruption_error",
    "perturbation_sequence",
    "write_corruptions",
]

_NAMES_OF_MODULE = {
    "common": (
        "SEVERITIES",
        "CorruptionWarning",
    ),
    "folder": (
        "CorruptionFolder",
        "CorruptionFolderError",
    ),
    "make": (
        "CORRUPTION_VERSION",
        "MadeCorruptions",
    ),
    "mce": ("mean_corruption_error",),
    "sequences": (
        "NOISE_SEQUENCES",
        "SEQUENCES",
        "flip_rate",
        "perturbation_sequence",
    ),
    "sets": (
        "CORRUPTION_SETS",
        "corruption_names",
    ),
    "textures": ("MissingTexturesError",),
    "write": ("write_corruptions",),
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
