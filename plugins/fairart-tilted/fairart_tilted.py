"""A method in one file: exponentially tilted class weights, and a trainer preset that uses them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from fairart import hookimpl
from fairart.options import Option
from fairart.policies import ClassWeighting
from fairart.statistics import EpochStatistics
from fairart.trainers import FairnessTrainer

__all__ = ["TiltedTrainer", "TiltedWeighting"]


class TiltedWeighting(ClassWeighting):
    """Weight of class k in proportion to exp(tilt * e_k), with e_k its robust error in training; the mean weight is 1.

    Tilted Empirical Risk Minimization (Li, Beirami, Sanjabi, Smith, ICLR 2021) weighs groups by exp(t * their loss), batch by
    batch. Here the groups are classes and the last epoch's robust error stands in for the loss: not a method of that paper.

    Args:
        tilt: 0 weighs every class alike; more leans towards the worst class.
    """

    def __init__(self, *, tilt: Annotated[float, Option("exponent of a class that is all wrong", low=0, high=50)] = 2.0) -> None:
        super().__init__()
        self.tilt = tilt

    def weights(self, statistics: EpochStatistics) -> np.ndarray:
        """(K,) weights; a class without samples counts as the average one."""
        accuracy = statistics.robust.class_accuracy
        errors = 1.0 - np.where(np.isnan(accuracy), statistics.robust.accuracy, accuracy)
        powers = np.exp(self.tilt * errors)
        return powers / powers.mean()


class TiltedTrainer(FairnessTrainer):
    """TRADES with tilted class weights; takes the arguments of ``FairnessTrainer``."""

    defaults: ClassVar[dict[str, Any]] = {"objective": "trades", "class_weighting": "tilted"}


@hookimpl
def fairart_register_class_weightings(register):
    """Make the weighting known."""
    register("tilted", TiltedWeighting)


@hookimpl
def fairart_register_trainers(register):
    """Make the method known."""
    register("tilted", TiltedTrainer)
