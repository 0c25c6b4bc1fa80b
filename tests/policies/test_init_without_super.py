"""A policy whose __init__ does not call its base's works, for every kind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fairart.objectives import ATObjective
from fairart.policies import Averaging, ClassSampling, ClassWeighting, EpsilonScheduler, TargetSampler, WeightPerturbation
from fairart.testing import (
    check_averaging,
    check_class_sampling,
    check_class_weighting,
    check_epsilon_scheduler,
    check_target_sampler,
    check_weight_perturbation,
)
from fairart.trainers import FairnessTrainer

Make = Callable[..., Any]


class Sampler(TargetSampler):
    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def class_weights(self, statistics: Any) -> Any:
        return 1.01 - np.nan_to_num(statistics.robust.class_accuracy) ** self.power


class Scheduler(EpsilonScheduler):
    def __init__(self) -> None:
        self.factor = 2.0

    def epsilons(self, base: float, statistics: Any) -> Any:
        return np.full(statistics.robust.nb_classes, self.factor * base)


class Weighting(ClassWeighting):
    def __init__(self) -> None:
        self.floor = 1.0

    def weights(self, statistics: Any) -> Any:
        return np.full(statistics.robust.nb_classes, self.floor)


class Sampling(ClassSampling):
    def __init__(self) -> None:
        self.floor = 1.0

    def probabilities(self, statistics: Any) -> Any:
        return np.full(statistics.robust.nb_classes, self.floor / statistics.robust.nb_classes)


class Average(Averaging):
    def __init__(self) -> None:
        self.seen = 0


class Perturbation(WeightPerturbation):
    def __init__(self) -> None:
        self.gamma = 0.0


class Objective(ATObjective):
    def __init__(self) -> None:
        self.own = 1


PARTS = {
    "target_sampler": (Sampler, check_target_sampler),
    "epsilon_scheduler": (Scheduler, check_epsilon_scheduler),
    "class_weighting": (Weighting, check_class_weighting),
    "class_sampling": (Sampling, check_class_sampling),
    "averaging": (Average, check_averaging),
    "weight_perturbation": (Perturbation, check_weight_perturbation),
    "objective": (Objective, None),
}


@pytest.mark.parametrize("kind", PARTS)
def test_it_trains_and_copies_and_keeps_its_state_apart(kind: str, make_classifier: Make, make_data: Make):
    make, check = PARTS[kind]
    part, other = make(), make()
    trainer = FairnessTrainer(make_classifier(), **{kind: part}, max_iter=1)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=2, seed=0, verbose=False)
    assert len(trainer.history) == 2
    # What one learnt is not on the class.
    assert vars(other) == vars(make())
    copy.deepcopy(part).load_state_dict(part.state_dict())
    if check is not None:
        check(make())
