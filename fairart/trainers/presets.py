"""The named methods: which parts each one takes by default."""

from __future__ import annotations

from typing import Any, ClassVar

from fairart.trainers.base import FairnessTrainer

__all__ = [
    "ATTrainer",
    "FATTrainer",
    "FairTATFixedEpsTrainer",
    "FairTATTrainer",
    "FairTATUniformTrainer",
    "StandardTrainer",
    "TRADESTrainer",
]


class StandardTrainer(FairnessTrainer):
    """Training on clean inputs; takes the arguments of :class:`FairnessTrainer`."""

    defaults: ClassVar[dict[str, Any]] = {"objective": "standard"}


class ATTrainer(FairnessTrainer):
    """PGD adversarial training (Madry et al., ICLR 2018); takes the arguments of :class:`FairnessTrainer`."""

    defaults: ClassVar[dict[str, Any]] = {"objective": "at"}


class TRADESTrainer(FairnessTrainer):
    """TRADES (Zhang et al., ICML 2019); takes the arguments of :class:`FairnessTrainer`."""

    defaults: ClassVar[dict[str, Any]] = {"objective": "trades"}


class FATTrainer(FairnessTrainer):
    """Friendly adversarial training (Zhang et al., ICML 2020); takes the arguments of :class:`FairnessTrainer`."""

    defaults: ClassVar[dict[str, Any]] = {"objective": "fat"}


class FairTATTrainer(FairnessTrainer):
    """FAIR-TAT: targets drawn by class false positive score, budgets by class accuracy (Medi, Jung, Keuper, WACV 2025).

    Over ``objective="at"``, ``"trades"`` or ``"fat"``, with ``averaging=None``, ``"ema"`` or ``"fawa"``. The paper's variants:
    uniform targets (A.2) with ``target_sampler="uniform"``, no class-wise eps (A.3) with ``epsilon_scheduler=None``. Takes the
    arguments of :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "at", "target_sampler": "cfps", "epsilon_scheduler": "ccm"}


class FairTATUniformTrainer(FairTATTrainer):
    """FAIR-TAT's variant A.2: targets drawn uniformly; takes the arguments of :class:`FairnessTrainer`."""

    defaults: ClassVar[dict[str, Any]] = {**FairTATTrainer.defaults, "target_sampler": "uniform"}


class FairTATFixedEpsTrainer(FairTATTrainer):
    """FAIR-TAT's variant A.3: the same budget for every class; takes the arguments of :class:`FairnessTrainer`."""

    defaults: ClassVar[dict[str, Any]] = {**FairTATTrainer.defaults, "epsilon_scheduler": None}
