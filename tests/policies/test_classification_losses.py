"""Classification losses in training, their deferred weights, and what they are refused with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier

from fairart import create, registered
from fairart.policies.class_weightings.long_tail import effective_number_weights
from fairart.statistics import ConfusionMatrix, EpochStatistics
from fairart.trainers import ATTrainer, TRADESTrainer


def started(name: str, counts: list[int], **options: Any) -> Any:
    loss = create("classification_loss", name, **options)
    loss.class_counts = np.array(counts)
    loss.start(len(counts))
    return loss


@pytest.mark.parametrize("name", registered("classification_loss"))
@pytest.mark.parametrize("objective", ["standard", "at", "trades", "fat", "bat", "mart", "n-fgsm"])
def test_it_reaches_every_objective(name: str, objective: str, make_classifier: Any, make_data: Any) -> None:
    def weights(chosen: str | None) -> dict[str, Any]:
        options = {"on_overfitting": "ignore", "max_iter": 2}
        trainer = create(
            "trainer", "at", classifier=make_classifier(), objective=objective, classification_loss=chosen, **options
        )
        x, y = make_data(24)
        keep = np.flatnonzero((y != 2) | (np.arange(len(y)) % 4 == 0))
        trainer.fit(x[keep], y[keep], batch_size=8, nb_epochs=2, seed=0, verbose=False)
        return dict(trainer.get_classifier().model.state_dict())

    plain, other = weights(None), weights(name)
    same = all(torch.equal(plain[key], other[key]) for key in plain)
    assert same == (name == "cross-entropy")


def test_ldam_weighs_from_the_last_fifth_on_and_remembers_it() -> None:
    counts = [100, 10]
    loss = started("ldam", counts, scale=1.0)
    logits, labels = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1])
    first = loss.losses(logits, labels)
    for epoch in range(10):
        assert loss.active == (epoch >= 8)
        loss.update(EpochStatistics(epoch=epoch, nb_epochs=10, robust=ConfusionMatrix([[1, 0], [0, 1]])))
    expected = effective_number_weights(np.array(counts, dtype=float), 0.9999)
    np.testing.assert_allclose(loss.losses(logits, labels) / first, expected, rtol=1e-5)
    fresh = started("ldam", counts, scale=1.0)
    fresh.load_state_dict(loss.state_dict())
    torch.testing.assert_close(fresh.losses(logits, labels), loss.losses(logits, labels))
    assert not started("ldam", counts, reweight_from=1.0).active


def test_rare_classes_are_predicted_more_often(make_data: Any, make_classifier: Any) -> None:
    x, y = make_data(60)
    keep = np.flatnonzero((y != 0) | (np.arange(len(y)) % 12 == 0))
    shares = []
    for chosen in (None, create("classification_loss", "logit-adjusted", tau=2.0)):
        trainer = ATTrainer(make_classifier(), classification_loss=chosen, eps=0.3, max_iter=2)
        trainer.fit(x[keep], y[keep], batch_size=8, nb_epochs=3, seed=0, verbose=False)
        shares.append(float((trainer.predict(x).argmax(1) == 0).mean()))
    assert shares[1] > shares[0]


def test_label_smoothing_goes_with_what_has_a_form_for_it(make_classifier: Any) -> None:
    def smoothed() -> PyTorchClassifier:
        made = make_classifier()
        made._loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
        return made

    with pytest.raises(ValueError, match=r"'focal' .* has no form with label smoothing, .* label_smoothing=0\.1"):
        ATTrainer(smoothed(), classification_loss="focal")
    TRADESTrainer(smoothed(), classification_loss="balanced-softmax")


def test_class_counts_are_needed(make_classifier: Any, make_data: Any) -> None:
    from art.data_generators import NumpyDataGenerator

    generator = NumpyDataGenerator(*make_data(8), batch_size=8)
    trainer = ATTrainer(make_classifier(), classification_loss="balanced-softmax")
    with pytest.raises(ValueError, match=r"'balanced-softmax' .* needs the number of training samples of each class"):
        trainer.fit_generator(generator, nb_epochs=1, verbose=False)
