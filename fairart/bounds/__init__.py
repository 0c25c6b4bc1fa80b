"""Interval bounds: the smallest and largest values that a network can give for any input of a box.

Every layer is bounded by itself (Gowal et al., "On the Effectiveness of Interval Bound Propagation", arXiv 1810.12715).
"""

from __future__ import annotations

from fairart.bounds.box import Box
from fairart.bounds.errors import NoBoundsError
from fairart.bounds.network import BoundedNetwork

__all__ = ["BoundedNetwork", "Box", "NoBoundsError"]
