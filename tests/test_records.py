"""Records that hold arrays compare by value, and equal themselves after a round trip."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import fairart
from fairart.engine import EpochRecord
from fairart.policies import LossTerms
from fairart.statistics import ConfusionMatrix, EpochStatistics, ValidationStatistics
from fairart.trainers import WATTrainer

Make = Callable[..., Any]


def record(change: float = 0.0) -> EpochRecord:
    matrix = ConfusionMatrix([[3, 1], [0, 4]])
    validation = ValidationStatistics(
        clean=matrix, robust=matrix, natural_loss=np.array([0.5, np.nan]), boundary_loss=np.array([0.1, change])
    )
    return EpochRecord(
        statistics=EpochStatistics(epoch=1, nb_epochs=3, robust=matrix, validation=validation, mean_probabilities=np.eye(2)),
        loss=0.5,
        epsilons=np.array([0.1, 0.2]),
        target_probabilities=None,
        class_weights=np.ones(2),
        learning_rate=0.1,
        averaged=None,
        seconds=1.0,
        images_per_second=8.0,
    )


def test_they_compare_by_value():
    assert record() == record()
    assert record() != record(0.5)
    assert record() != 3
    assert record().statistics.validation == record().statistics.validation
    assert dataclasses.replace(record(), epsilons=np.array([0.1, 0.3])) != record()
    assert dataclasses.replace(record(), target_probabilities=np.eye(2)) != record()


def test_and_after_the_state_of_a_checkpoint_they_are_equal():
    assert EpochRecord.from_state(record().state_dict()) == record()


def test_a_history_equals_itself_trained_again(make_classifier: Make, make_data: Make):
    def history() -> list[EpochRecord]:
        trainer = WATTrainer(make_classifier(), max_iter=1, hold_out=0.25)
        trainer.fit(*make_data(24), batch_size=6, nb_epochs=2, seed=0, verbose=False)
        return [dataclasses.replace(one, seconds=0.0, images_per_second=0.0) for one in trainer.history]

    assert history() == history()


def test_tensors_too():
    terms = [LossTerms(natural=torch.ones(3), adversarial_logits=torch.full((3, 2), value)) for value in (0.0, 0.0, 1.0)]
    assert terms[0] == terms[1]
    assert terms[0] != terms[2]


def _records() -> list[type]:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        names = [found.name for found in pkgutil.walk_packages(fairart.__path__, "fairart.") if "__main__" not in found.name]
        modules = [importlib.import_module(name) for name in names]
    for module in modules:
        for thing in vars(module).values():
            if inspect.isclass(thing) and dataclasses.is_dataclass(thing) and thing.__module__ == module.__name__:
                types = " ".join(str(field.type) for field in dataclasses.fields(thing))
                if any(word in types for word in ("Array", "Tensor")):
                    found.append(thing)
    return found


@pytest.mark.parametrize("kind", _records(), ids=lambda kind: kind.__qualname__)
def test_no_record_over_arrays_has_the_equality_that_raises(kind: type):
    assert not kind.__dataclass_params__.eq
