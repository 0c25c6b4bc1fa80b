"""Which classes every kind of robustness leaves behind: classes down, kinds across, and whether kinds rank the classes alike."""

from __future__ import annotations

from fairart.reporting.kinds.by_kind import ByKind, MethodKinds, by_kind
from fairart.reporting.kinds.collecting import measured_kinds
from fairart.reporting.kinds.measures import Kind, Measure

__all__ = ["ByKind", "Kind", "Measure", "MethodKinds", "by_kind", "measured_kinds"]
