"""Epsilon schedulers: the perturbation budget of each class, one method a file."""

from __future__ import annotations

from fairart.policies.epsilon_schedulers.base import EpsilonScheduler
from fairart.policies.epsilon_schedulers.ccm import ClassCalibratedMargin
from fairart.policies.epsilon_schedulers.constant import ConstantEpsilon
from fairart.policies.epsilon_schedulers.dafa import DAFAMargin
from fairart.policies.epsilon_schedulers.frl import FRLMargin

__all__ = ["ClassCalibratedMargin", "ConstantEpsilon", "DAFAMargin", "EpsilonScheduler", "FRLMargin"]
