"""Out of distribution: scores that tell test images from outliers, sets of outliers, and attacks on the scores."""

from __future__ import annotations
