"""The class-fair methods of the field: each is a preset of registered parts on the one engine."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from art.estimators.classification import PyTorchClassifier

from fairart.objectives.base import Objective
from fairart.plugins import create
from fairart.plugins.options import Option
from fairart.policies.class_weightings.dafa import Strength
from fairart.policies.class_weightings.dafa import WarmUp as DAFAWarmUp
from fairart.policies.class_weightings.frl import WarmUp as FRLWarmUp
from fairart.trainers.base import FairnessTrainer

__all__ = ["BATTrainer", "CFATrainer", "DAFATrainer", "FAALTrainer", "FRLTrainer", "WATTrainer"]


class CFATrainer(FairnessTrainer):
    """CFA: class-wise budgets, class-wise TRADES weight, fairness-aware weight averaging (Wei et al., CVPR 2023).

    Over ``objective="trades"``, ``"at"`` or ``"fat"``; the TRADES weight goes with objectives that have a boundary term.
    Takes the arguments of :class:`FairnessTrainer` as well.

    Paper: lambda1 0.3 with TRADES, else 0.5, from epoch 10 of 200; FAWA decay 0.85. Program: decay 0.88, checkpoint chosen by
    test score, classes assumed balanced. Here: the paper's.

    Args:
        classifier: see :class:`FairnessTrainer`.
        start_epoch: first epoch, counted from 0, with class-wise budgets and weights; None for a twentieth of the run.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "objective": "trades",
        "epsilon_scheduler": "ccm",
        "class_weighting": "ccr",
        "averaging": "fawa",
    }

    def __init__(
        self,
        classifier: PyTorchClassifier,
        *,
        start_epoch: Annotated[
            int | None,
            Option(
                "first epoch, from 0, with class-wise plans; None: after a twentieth of the run", low=0, source="CFA 10 of 200"
            ),
        ] = None,
        **options: Any,
    ) -> None:
        self.start_epoch = self._checked(start_epoch=start_epoch)["start_epoch"]
        super().__init__(classifier, **options)

    def default_part(self, kind: str, objective: Objective) -> Any:
        """Budgets and weights by the objective: 0.3 and CCR with a boundary term, 0.5 and no weights without."""
        if kind == "epsilon_scheduler":
            lambda1 = 0.3 if objective.has_boundary else 0.5
            return create(kind, "ccm", lambda1=lambda1, start_epoch=self.start_epoch)
        if kind == "class_weighting":
            return create(kind, "ccr", start_epoch=self.start_epoch) if objective.has_boundary else None
        return super().default_part(kind, objective)


class FRLTrainer(FairnessTrainer):
    """FRL: dual multipliers reweigh the losses (rw), the margins (rm) or both (rwrm) (Xu et al., ICML 2021).

    Starts from a robust model: ``warm_start`` weights, or a warm-up by the plain objective (TRADES, beta 6). Fine-tune with SGD
    at lr 0.001, divided by 10 at the 40th and 80th epoch after the warm-up: that is the optimizer's and scheduler's, so give one.
    Takes the arguments of :class:`FairnessTrainer` as well.

    Program: needs a downloaded start and ignores its seed. Here: neither.

    Args:
        classifier: see :class:`FairnessTrainer`.
        variant: what the multipliers move.
        warm_up: warm-up epochs; None for half of the run, or 0 with ``warm_start``.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "trades", "epsilon_scheduler": "frl", "class_weighting": "frl"}

    def __init__(
        self,
        classifier: PyTorchClassifier,
        *,
        variant: Annotated[
            Literal["rw", "rm", "rwrm"], Option("what the multipliers move: loss weights, margins, or both")
        ] = "rwrm",
        warm_up: FRLWarmUp = None,
        **options: Any,
    ) -> None:
        checked = self._checked(variant=variant, warm_up=warm_up)
        self.variant, self.warm_up = checked["variant"], checked["warm_up"]
        if self.warm_up is None and options.get("warm_start") is not None:
            self.warm_up = 0
        super().__init__(classifier, **options)

    def default_part(self, kind: str, objective: Objective) -> Any:
        """The parts that the variant moves."""
        if kind == "class_weighting":
            # rm moves no weight, but its loss is FRL's all the same: the multipliers stay 0 with a rate of 0.
            return create(kind, "frl", warm_up=self.warm_up, **({"rate": 0.0} if self.variant == "rm" else {}))
        if kind == "epsilon_scheduler":
            return None if self.variant == "rw" else create(kind, "frl", warm_up=self.warm_up)
        return super().default_part(kind, objective)


class BATTrainer(FairnessTrainer):
    """BAT: trains on both sides of the decision boundary (Sun et al., AAAI 2023).

    Takes the arguments of :class:`FairnessTrainer`.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "bat"}


class WATTrainer(FairnessTrainer):
    """WAT: Hedge over the classes and their mean (Li and Liu, AAAI 2023); takes the arguments of :class:`FairnessTrainer`."""

    defaults: ClassVar[dict[str, Any]] = {"objective": "trades", "class_weighting": "wat"}


class DAFATrainer(FairnessTrainer):
    """DAFA: after a warm-up, class similarities shift budget, step and weight to hard classes (Lee et al., ICLR 2024).

    Over ``objective="trades"``, ``"at"`` or ``"fat"``. Takes the arguments of :class:`FairnessTrainer` as well.

    Paper: the learning rate drops at the last 10 and the last 5 of 110 epochs, which is the scheduler's. Program: its AT loss
    takes a second, unweighted step that undoes the class margins. Here: one step.

    Args:
        classifier: see :class:`FairnessTrainer`.
        warm_up: epochs of the plain objective; None for 7 of 11 of the run.
        strength: lambda.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "trades", "epsilon_scheduler": "dafa", "class_weighting": "dafa"}

    def __init__(
        self, classifier: PyTorchClassifier, *, warm_up: DAFAWarmUp = None, strength: Strength = 1.0, **options: Any
    ) -> None:
        self._own = self._checked(warm_up=warm_up, strength=strength)
        super().__init__(classifier, **options)

    def default_part(self, kind: str, objective: Objective) -> Any:
        """Both parts with the trainer's options, so that they take the same weights."""
        if kind in ("epsilon_scheduler", "class_weighting"):
            return create(kind, "dafa", **self._own)
        return super().default_part(kind, objective)


class FAALTrainer(FairnessTrainer):
    """FAAL: fine-tunes a robust model with the worst class weights of every batch (Zhang et al., CVPR 2024).

    Starts from ``warm_start`` weights, or a warm-up by the plain objective; the paper fine-tunes for two epochs at lr 0.01,
    divided by 10 after the first, which is the optimizer's and scheduler's. Over ``objective="at"`` or ``"trades"``, with
    ``weight_perturbation="awp"`` for FAAL-AWP. Takes the arguments of :class:`FairnessTrainer` as well.

    Args:
        classifier: see :class:`FairnessTrainer`.
        radius: of the KL ball around equal weights.
        warm_up: warm-up epochs; None for all but the last two, or 0 with ``warm_start``.
    """

    defaults: ClassVar[dict[str, Any]] = {"objective": "at", "class_weighting": "faal"}

    def __init__(
        self,
        classifier: PyTorchClassifier,
        *,
        radius: Annotated[float, Option("radius of the KL ball around equal weights", low=0, high=10, source="FAAL 0.5")] = 0.5,
        warm_up: Annotated[
            int | None,
            Option("warm-up epochs; None: all but the last two, or 0 with a warm start", low=0, source="FAAL"),
        ] = None,
        **options: Any,
    ) -> None:
        self._own = self._checked(radius=radius, warm_up=warm_up)
        if warm_up is None and options.get("warm_start") is not None:
            self._own["warm_up"] = 0
        super().__init__(classifier, **options)

    def default_part(self, kind: str, objective: Objective) -> Any:
        """The weighting with the trainer's options."""
        if kind == "class_weighting":
            return create(kind, "faal", **self._own)
        return super().default_part(kind, objective)
