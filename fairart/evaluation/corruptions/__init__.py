"""Common corruptions: the 19 of CIFAR-10-C made on the fly or read from a folder, and perturbation sequences.

Hendrycks & Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR 2019.
"""

from __future__ import annotations

from fairart.evaluation.corruptions.common import SEVERITIES, CorruptionWarning
from fairart.evaluation.corruptions.folder import CorruptionFolder, CorruptionFolderError
from fairart.evaluation.corruptions.make import CORRUPTION_VERSION, MadeCorruptions
from fairart.evaluation.corruptions.mce import mean_corruption_error
from fairart.evaluation.corruptions.sequences import NOISE_SEQUENCES, SEQUENCES, flip_rate, perturbation_sequence
from fairart.evaluation.corruptions.sets import CORRUPTION_SETS, corruption_names
from fairart.evaluation.corruptions.textures import MissingTexturesError
from fairart.evaluation.corruptions.write import write_corruptions

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
