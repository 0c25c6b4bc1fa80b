"""A trainer's classifier measured on data that it does not train on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fairart.attacks.steps import step_of
from fairart.datasets.stored import Images
from fairart.draws import PartGenerator
from fairart.engine.validation import ValidationAttack, Validator
from fairart.statistics import ValidationStatistics
from fairart.trainers.base import FairnessTrainer

__all__ = ["HeldOutAccuracy"]


class HeldOutAccuracy:
    """Accuracy of each class on held-out data, clean and under one attack, whatever the method itself attacks with.

    With weight averaging the averaged weights are measured, as soon as there are any: those that the trainer would give back.

    Args:
        trainer: the trainer; its budget is the attack's.
        x: (n, *input_shape) inputs that are not trained on.
        y: (n,) labels.
        max_iter: steps of PGD on the cross-entropy; the step is a quarter of eps.
        seed: of the attack's starts, the same in every epoch.
    """

    def __init__(
        self, trainer: FairnessTrainer, x: Images, y: npt.NDArray[np.int64], *, max_iter: int = 10, seed: int = 0
    ) -> None:
        self.trainer, self.seed = trainer, seed
        budget = trainer.budget
        attack = ValidationAttack(
            eps=budget.eps, eps_step=step_of(budget.eps, None, max_iter), max_iter=max_iter, loss="ce", norm=budget.norm
        )
        nb_classes = trainer.get_classifier().nb_classes
        self._validator = Validator(trainer._predicting, trainer._on_device(x, y), attack, nb_classes=nb_classes, batch_size=512)

    def measure(self) -> ValidationStatistics:
        """One pass, clean and under attack."""
        generator = PartGenerator(self._validator.network.device)
        generator.manual_seed(self.seed)
        with self._delivered_weights():
            return self._validator.measure(generator)

    @contextlib.contextmanager
    def _delivered_weights(self) -> Iterator[None]:
        averaging, module = self.trainer.method.averaging, self._validator.network.module
        if averaging is None or averaging.average is None:
            yield
            return
        raw = {name: value.clone() for name, value in module.state_dict().items()}
        module.load_state_dict(averaging.average)
        try:
            yield
        finally:
            module.load_state_dict(raw)
