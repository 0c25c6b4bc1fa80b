"""Results by group: an attribute of each sample, such as site, sensor or skin type, beside its class."""

from __future__ import annotations

from fairart.evaluation.results.groups.gaps import Gaps, gaps
from fairart.evaluation.results.groups.numbers import SMALL, GroupedResult
from fairart.statistics.groups import Groups, GroupsLike, resolve_groups

__all__ = ["SMALL", "Gaps", "GroupedResult", "Groups", "GroupsLike", "gaps", "resolve_groups"]
