"""Inner attacks: pure torch functions in the L-inf or the L2 ball, with a budget per sample and no gradient on the parameters."""

from __future__ import annotations

from fairart.attacks.boundary import boundary_pgd
from fairart.attacks.common import frozen, project
from fairart.attacks.early_stopped import early_stopped_pgd
from fairart.attacks.pgd import fgsm, pgd

__all__ = ["boundary_pgd", "early_stopped_pgd", "fgsm", "frozen", "pgd", "project"]
