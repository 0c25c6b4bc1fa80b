"""The attacks of the evaluation, one idea a file: functions on torch batches, registered as kind ``attack``.

See :mod:`fairart.evaluation.attacks.target` for what an attack is given and must give back.
"""

from __future__ import annotations

from fairart.evaluation.attacks.pgd import fgsm_attack, pgd_attack
from fairart.evaluation.attacks.preflight import preflight
from fairart.evaluation.attacks.target import AttackTarget, Epsilon, draw_uniform

__all__ = ["AttackTarget", "Epsilon", "draw_uniform", "fgsm_attack", "pgd_attack", "preflight"]
