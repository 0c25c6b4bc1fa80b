from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.defences.preprocessor import SpatialSmoothing
from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from torch import Tensor, nn

from fairart.statistics import ConfusionMatrix
from fairart.trainers import ATTrainer, FairTATTrainer

Make = Callable[..., Any]
MEAN = np.array([0.4, 0.5, 0.6], dtype=np.float32)
STD = np.array([0.2, 0.25, 0.3], dtype=np.float32)
SHAPE = (3, 8, 8)


class Gamma(PreprocessorPyTorch):
    """x ** 2, a preprocessor with a gradient."""

    def __init__(self, *, apply_fit: bool = True, apply_predict: bool = True) -> None:
        super().__init__(device_type="cpu", is_fitted=True, apply_fit=apply_fit, apply_predict=apply_predict)
        self.calls = 0

    def forward(self, x: Any, y: Any = None) -> Any:
        self.calls += 1
        return x**2, y


class Negative(Gamma):
    """1 - x."""

    def forward(self, x: Any, y: Any = None) -> Any:
        return 1 - x, y


class Rounding(Gamma):
    """No gradient passes."""

    def forward(self, x: Any, y: Any = None) -> Any:
        return torch.round(x * 8) / 8, y


class StraightThrough(Rounding):
    """The same with an estimate that lends its gradient."""

    def estimate_forward(self, x: Any, y: Any = None) -> Any:
        return x


class Inside(nn.Module):
    """The same transformation as part of the model."""

    def __init__(self, model: nn.Module, transform: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.transform = model, transform

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.transform(x))


def standardise(x: Tensor) -> Tensor:
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


CASES = [
    pytest.param(lambda: {"preprocessing": (MEAN, STD)}, standardise, id="mean and std"),
    pytest.param(lambda: {"preprocessing_defences": [Gamma()]}, lambda x: x**2, id="a torch preprocessor"),
    pytest.param(
        lambda: {"preprocessing": (MEAN, STD), "preprocessing_defences": [Gamma()]}, lambda x: standardise(x**2), id="both"
    ),
]


@pytest.mark.parametrize(("options", "transform"), CASES)
def test_preprocessing_trains_as_if_it_were_part_of_the_model(
    options: Make, transform: Make, make_classifier: Make, make_data: Make, make_model: Make, weights_of: Make
):
    x, y = make_data(24, shape=SHAPE)
    results, histories = [], []
    for classifier in (
        make_classifier(input_shape=SHAPE, **options()),
        make_classifier(input_shape=SHAPE, model=Inside(make_model(3, channels=3), transform)),
    ):
        trainer = FairTATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=3)
        trainer.fit(x, y, validation_data=(x, y), batch_size=8, nb_epochs=2, seed=0, verbose=False)
        results.append({name.removeprefix("model."): value for name, value in weights_of(classifier).items()})
        histories.append([record.validation.robust.to_list() for record in trainer.history])
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-5, atol=1e-6)
    assert histories[0] == histories[1]


def test_a_preprocessor_for_prediction_only_is_left_out_of_training(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    x, y = make_data(24)
    results = []
    for defences in (None, [Gamma(apply_fit=False)]):
        classifier = make_classifier(preprocessing_defences=defences)
        trainer = ATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2)
        calls = defences[0].calls if defences else 0
        trainer.fit(x, y, batch_size=8, nb_epochs=1, seed=0, verbose=False)
        assert not defences or defences[0].calls == calls
        results.append(weights_of(classifier))
    assert same_weights(*results)


def test_validation_sees_what_prediction_sees(make_classifier: Make, make_data: Make):
    x, y = make_data(30)
    classifier = make_classifier(preprocessing_defences=[Negative(apply_fit=False)])
    trainer = ATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=1)
    trainer.fit(*make_data(48), validation_data=(x, y), batch_size=8, nb_epochs=3, seed=0, verbose=False)
    predicted = classifier.predict(x).argmax(axis=1)
    assert trainer.history[-1].validation.clean == ConfusionMatrix.of(y, predicted, nb_classes=3)
    assert (classifier.predict(1 - x).argmax(axis=1) == y).mean() > 0.9 > (predicted == y).mean(), "the two must differ"


def test_a_preprocessor_that_lends_its_gradient_is_trained_through(make_classifier: Make, make_data: Make):
    classifier = make_classifier(preprocessing_defences=[StraightThrough()])
    trainer = ATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert trainer.history[0].robust.total == 12


def test_a_preprocessor_that_passes_no_gradient_is_refused(make_classifier: Make):
    with pytest.raises(ValueError, match="cannot be differentiated: no gradient reaches the input through Rounding"):
        ATTrainer(make_classifier(preprocessing_defences=[Rounding()]))


def test_a_numpy_preprocessor_is_refused(make_classifier: Make):
    with pytest.raises(ValueError, match="cannot be differentiated: SpatialSmoothing works on numpy arrays"):
        ATTrainer(make_classifier(preprocessing_defences=[SpatialSmoothing()]))


def test_the_budget_is_in_the_classifier_s_own_input_space(make_classifier: Make, make_data: Make, monkeypatch: Any):
    trainer = ATTrainer(make_classifier(preprocessing=(0.5, 0.01)), eps=0.05, eps_step=0.05, max_iter=2)
    part, moved = trainer.method.objective, []
    losses = part.losses
    monkeypatch.setattr(
        part, "losses", lambda n, batch, made: moved.append(float((made[0] - batch.x).abs().max())) or losses(n, batch, made)
    )
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert max(moved) == pytest.approx(0.05, abs=1e-5)
