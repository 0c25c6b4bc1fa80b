"""What a few seeds can say: mean with interval, Holm's correction for several comparisons, power."""

from __future__ import annotations

from fairart.statistics.over_seeds.holm import holm
from fairart.statistics.over_seeds.mean_interval import MeanInterval, mean_interval
from fairart.statistics.over_seeds.power import detectable_difference, price_of_comparisons

__all__ = ["MeanInterval", "detectable_difference", "holm", "mean_interval", "price_of_comparisons"]
