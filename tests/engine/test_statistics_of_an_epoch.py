from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fairart.engine.meter import EpochMeter, count
from fairart.engine.network import ModelError
from fairart.objectives import ATObjective, Batch
from fairart.policies import ClassWeighting, LossTerms
from fairart.trainers import ATTrainer, FairnessTrainer, FairTATTrainer, StandardTrainer

Make = Callable[..., Any]


class Spy(ATObjective):
    """Adversarial training that keeps what it was asked, for a second count by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[Batch, Tensor, Tensor]] = []

    def losses(self, network: nn.Module, batch: Batch, examples: tuple[Tensor, ...]) -> LossTerms:
        terms = super().losses(network, batch, examples)
        self.batches.append((batch, examples[0].clone(), terms.adversarial_logits.detach().clone()))
        return terms


class Weighing(ClassWeighting):
    """Asks for everything that can be measured."""

    needs: ClassVar[frozenset[str]] = frozenset({"clean", "validation_losses", "mean_probabilities"})


def by_hand(labels: Any, predictions: Any, nb_classes: int) -> list[list[int]]:
    counts = [[0] * nb_classes for _ in range(nb_classes)]
    for label, prediction in zip(labels, predictions, strict=True):
        counts[int(label)][int(prediction)] += 1
    return counts


def test_the_confusion_matrix_is_that_of_the_training_step_s_own_logits(make_classifier: Make, make_data: Make):
    spy = Spy()
    trainer = FairnessTrainer(make_classifier(4), objective=spy, eps=0.2, eps_step=0.1, max_iter=2)
    x, y = make_data(30, 4)
    trainer.fit(x, y, batch_size=8, nb_epochs=2, seed=0, verbose=False)
    assert len(spy.batches) == 8
    for epoch, record in enumerate(trainer.history):
        batches = [entry for entry in spy.batches if entry[0].epoch == epoch]
        labels = torch.cat([batch.y for batch, _, _ in batches])
        guesses = torch.cat([logits.argmax(dim=1) for _, _, logits in batches])
        assert record.robust.to_list() == by_hand(labels, guesses, 4)
        assert sorted(labels.tolist()) == sorted(y.tolist()), "every sample once an epoch"
        assert record.loss == pytest.approx(
            np.mean([float(nn.functional.cross_entropy(logits, batch.y)) for batch, _, logits in batches]), abs=1e-6
        )


def test_epochs_are_shuffled_anew(make_classifier: Make, make_data: Make):
    spy = Spy()
    trainer = FairnessTrainer(make_classifier(), objective=spy, max_iter=1)
    trainer.fit(*make_data(24), batch_size=24, nb_epochs=2, seed=0, verbose=False)
    (first, *_), (second, *_) = spy.batches
    assert not torch.equal(first.x, second.x)
    assert torch.equal(first.x.flatten().sort().values, second.x.flatten().sort().values)


def test_a_last_batch_of_one_is_merged_into_the_one_before(make_classifier: Make, make_data: Make):
    spy = Spy()
    trainer = FairnessTrainer(make_classifier(), objective=spy, max_iter=1)
    trainer.fit(*make_data(17), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert [len(batch.y) for batch, _, _ in spy.batches] == [8, 9]
    assert trainer.history[0].robust.total == 17


def test_clean_statistics_are_of_the_weights_that_the_robust_ones_are_of(make_classifier: Make, make_data: Make):
    torch.manual_seed(0)
    classifier = make_classifier(model=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), lr=2.0)
    x, y = make_data(24)
    before = classifier.predict(x).argmax(axis=1)
    trainer = FairnessTrainer(classifier, objective="at", max_iter=2, eps=0.3, eps_step=0.1, clean_statistics=True)
    trainer.fit(x, y, batch_size=24, nb_epochs=1, seed=0, verbose=False)
    assert trainer.history[0].clean.to_list() == by_hand(y, before, 3)
    assert classifier.predict(x).argmax(axis=1).tolist() != before.tolist()
    assert trainer.history[0].clean != trainer.history[0].robust


def test_clean_statistics_are_absent_unless_asked_for(make_classifier: Make, make_data: Make):
    trainer = FairnessTrainer(make_classifier(), max_iter=1)
    trainer.fit(*make_data(12), batch_size=6, nb_epochs=1, seed=0, verbose=False)
    assert (trainer.history[0].clean, trainer.history[0].validation) == (None, None)


class TwoLines(nn.Module):
    """Two classes and no hidden layer: the gradient's sign is the same everywhere, so one step finds the worst corner."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def kl(clean: np.ndarray, attacked: np.ndarray) -> np.ndarray:
    return (np.exp(log_softmax(clean)) * (log_softmax(clean) - log_softmax(attacked))).sum(axis=1)


class Held:
    """Validation of a fixed model of two lines, and the same by hand in numpy."""

    eps = 0.03

    def __init__(self, make_classifier: Make, make_data: Make, **options: Any) -> None:
        torch.manual_seed(1)
        model = TwoLines()
        x, y = make_data(40, 2, seed=5)
        trainer = FairTATTrainer(
            make_classifier(2, model=model, lr=0.0), eps=self.eps, eps_step=2.5 * self.eps, max_iter=3, **options
        )
        trainer.fit(*make_data(12, 2), validation_data=(x, y), batch_size=6, nb_epochs=2, seed=0, verbose=False)
        self.y, self.records = y, [record.validation for record in trainer.history]
        weight, bias = (p.detach().double().numpy() for p in (model.linear.weight, model.linear.bias))
        away = np.sign(weight[1 - y] - weight[y]).reshape(x.shape)
        images = (x, np.clip(x + self.eps * away, 0, 1), np.clip(x - self.eps * away, 0, 1))
        self.clean, self.away, self.towards = (one.reshape(40, -1).astype(np.float64) @ weight.T + bias for one in images)

    def by_class(self, values: np.ndarray) -> list[float]:
        return [values[self.y == label].mean() for label in (0, 1)]


def test_validation_matrices_equal_an_independent_computation(make_classifier: Make, make_data: Make):
    held = Held(make_classifier, make_data)
    for record in held.records:
        assert record.clean.to_list() == by_hand(held.y, held.clean.argmax(axis=1), 2)
        assert record.robust.to_list() == by_hand(held.y, held.away.argmax(axis=1), 2), "base budget for every class"
        assert record.robust.accuracy < record.clean.accuracy
        assert (record.natural_loss, record.boundary_loss) == (None, None)


def test_validation_losses_equal_an_independent_computation(make_classifier: Make, make_data: Make):
    held = Held(make_classifier, make_data, class_weighting=Weighing())
    natural = -log_softmax(held.clean)[np.arange(40), held.y]
    # The KL grows to both sides: each sample ends in one of two corners, by its random start.
    corners = np.stack([kl(held.clean, held.away), kl(held.clean, held.towards)])
    for record in held.records:
        np.testing.assert_allclose(record.natural_loss, held.by_class(natural), rtol=1e-5)
        low, high = held.by_class(corners.min(axis=0)), held.by_class(corners.max(axis=0))
        assert (record.boundary_loss >= np.array(low) * (1 - 1e-4)).all()
        assert (record.boundary_loss <= np.array(high) * (1 + 1e-4)).all()
        assert min(low) > 0


def test_validation_neither_trains_nor_moves_batch_norm(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    results = []
    for validation in (None, make_data(20, seed=9)):
        classifier = make_classifier()
        trainer = FairnessTrainer(classifier, max_iter=2, eps=0.1, eps_step=0.05)
        trainer.fit(*make_data(24), validation_data=validation, batch_size=8, nb_epochs=2, seed=0, verbose=False)
        results.append(weights_of(classifier))
    assert same_weights(*results)


def test_mean_probabilities_of_each_class(make_classifier: Make, make_data: Make):
    spy, seen = Spy(), []

    class Watching(Weighing):
        def weights(self, statistics: Any) -> np.ndarray:
            seen.append(statistics.mean_probabilities)
            return np.ones(4)

    trainer = FairnessTrainer(make_classifier(4), objective=spy, class_weighting=Watching(), max_iter=1, hold_out=0.2)
    x, y = make_data(30, 3)
    with pytest.warns(UserWarning, match="no training sample of class 3"):
        trainer.fit(x, y, validation_data=(x, y), batch_size=10, nb_epochs=1, seed=0, verbose=False)
    labels = torch.cat([batch.y for batch, _, _ in spy.batches])
    shares = torch.softmax(torch.cat([logits for _, _, logits in spy.batches]).double(), dim=1)
    for label in range(3):
        np.testing.assert_allclose(seen[0][label], shares[labels == label].mean(dim=0), atol=1e-6)
    assert not seen[0][3].any()


def test_meter_counts_without_reading_back():
    counts = torch.zeros(9, dtype=torch.int64)
    count(counts, torch.tensor([0, 2, 2]), torch.tensor([[0.0, 1.0, 0.5], [9.0, 1.0, 2.0], [9.0, 1.0, 2.0]]))
    assert counts.view(3, 3).tolist() == [[0, 1, 0], [0, 0, 0], [2, 0, 0]]


def test_meter_finds_the_first_bad_batch():
    meter = EpochMeter(2, torch.device("cpu"), frozenset())
    terms = LossTerms(natural=torch.zeros(1), adversarial_logits=torch.zeros(1, 2))
    for loss in (1.0, 2.0, float("inf"), float("nan")):
        meter.add(terms, torch.tensor([0]), torch.tensor(loss))
    assert (meter.first_bad_batch(), meter.batches, meter.samples) == (2, 4, 4)


@pytest.mark.parametrize("nb_classes", [3, 10])
@pytest.mark.parametrize("trainer_class", [ATTrainer, StandardTrainer])
def test_a_model_of_other_classes_than_said_is_an_error(
    nb_classes: int, trainer_class: Any, make_classifier: Make, make_model: Make
):
    classifier = make_classifier(nb_classes, model=make_model(4))
    with pytest.raises(ModelError, match=rf"returns 4 logits, \w+ than the {nb_classes} classes of the classifier"):
        trainer_class(classifier)


@pytest.mark.parametrize("shape", [(5, 4), (5, 11), (50,)])
def test_the_meter_counts_only_logits_of_its_classes(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"logits \(n, 10\) for nb_classes=10, got"):
        count(torch.zeros(100, dtype=torch.int64), torch.zeros(5, dtype=torch.int64), torch.zeros(shape))
