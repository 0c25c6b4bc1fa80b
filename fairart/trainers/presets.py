"""The named methods: which parts each one takes by default."""

from __future__ import annotations

from typing import Any, ClassVar

from fairart.trainers.base import FairnessTrainer

__all__ = [
    "ATTrainer",
    "CFOLTrainer",
    "CSRTrainer",
    "FATTrainer",
    "FairTATFixedEpsTrainer",
    "FairTATTrainer",
    "FairTATUniformTrainer",
    "FastATTrainer",
    "MARTTrainer",
    "NFGSMTrainer",
    "StandardTrainer",
    "TRADESTrainer",
    "TRIXTrainer",
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


class TRIXTrainer(FairnessTrainer):
    """TRIX: targeted examples for strong classes, untargeted ones for weak classes (Medi, Jung, Keuper, arXiv 2507.07768).

    Class-wise budgets as CFA's, and loss weights that raise weak classes. The paper's threshold and weights could not be read:
    here the mean accuracy, and 1 + (mean - A_k). Over ``objective="at"``, ``"trades"`` or ``"fat"``. Takes the arguments of
    :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "objective": "at",
        "target_sampler": "trix",
        "epsilon_scheduler": "ccm",
        "class_weighting": "trix",
    }


class CSRTrainer(FairnessTrainer):
    """CSR: confusional spectral regularisation of a robust model (Jin et al., ICLR 2025).

    The paper fine-tunes a TRADES or TRADES-AWP model for two epochs, SGD at lr 0.001: give ``warm_start``; it trains from scratch
    as well. Every epoch begins with an attack on the whole training set. Takes the arguments of :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "trades", "class_weighting": "csr"}


class CFOLTrainer(FairnessTrainer):
    """CFOL: draws the class of every sample, fooled classes more often (Pethick, Chrysos, Cevher, arXiv 2302.08872).

    Its step ``eta`` is the sampling's: ``class_sampling=create("class_sampling", "cfol", eta=...)``. Takes the arguments of
    :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "at", "class_sampling": "cfol"}


class MARTTrainer(FairnessTrainer):
    """MART: misclassified samples are regularised more (Wang et al., ICLR 2020); takes :class:`FairnessTrainer`'s arguments."""

    defaults: ClassVar[dict[str, Any]] = {"objective": "mart"}


class FastATTrainer(FairnessTrainer):
    """Fast adversarial training by FGSM from a random start (Wong et al., ICLR 2020).

    Two forward passes a batch. Watched for catastrophic overfitting; see ``on_overfitting``. Takes the arguments of
    :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "fgsm-rs"}


class NFGSMTrainer(FairnessTrainer):
    """N-FGSM: one step from strong noise, not projected (de Jorge et al., NeurIPS 2022).

    Two forward passes a batch. Its examples lie within 3 eps by definition. Watched for catastrophic overfitting; see
    ``on_overfitting``. Takes the arguments of :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "n-fgsm"}
