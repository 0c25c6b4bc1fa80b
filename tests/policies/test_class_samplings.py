"""Class samplings: probabilities, draws, and what breaks their rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from art.data_generators import NumpyDataGenerator
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairart import create
from fairart.draws import Part, PartGenerator
from fairart.engine.data.drawing import ClassRows
from fairart.errors import PolicyError
from fairart.policies import ClassSampling
from fairart.statistics import ConfusionMatrix, EpochStatistics
from fairart.trainers import ATTrainer, CFOLTrainer


def started(name: str, counts: list[int], **options: Any) -> ClassSampling:
    sampling: ClassSampling = create("class_sampling", name, **options)
    sampling.class_counts = np.array(counts)
    sampling.start(len(counts))
    return sampling


def in_force(sampling: ClassSampling) -> np.ndarray:
    return sampling.in_force(torch.device("cpu")).numpy()


def test_natural_has_the_shares_of_the_training_set_and_balanced_equal_ones() -> None:
    np.testing.assert_allclose(in_force(started("natural", [10, 30, 60])), [0.1, 0.3, 0.6])
    np.testing.assert_allclose(in_force(started("balanced", [10, 30, 60])), [1 / 3] * 3)
    np.testing.assert_allclose(in_force(started("balanced", [10, 0, 60])), [0.5, 0, 0.5])
    np.testing.assert_allclose(in_force(started("cfol", [10, 0, 60])), [0.5, 0, 0.5])


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=6).filter(any),
    st.floats(1e-3, 1.0),
    st.floats(0.0, 10.0),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_cfol_stays_a_distribution_over_the_classes_that_are_there(
    counts: list[int], gamma: float, eta: float, seed: int
) -> None:
    sampling, random = started("cfol", counts, gamma=gamma, eta=eta), torch.Generator().manual_seed(seed)
    present = torch.tensor(np.flatnonzero(counts))
    for _ in range(5):
        labels = present[torch.randint(len(present), (16,), generator=random)]
        sampling.batch_end(labels, torch.randn(16, len(counts), generator=random))
        chances = in_force(sampling)
        assert np.isfinite(chances).all()
        assert chances.sum() == pytest.approx(1.0)
        # No class is starved: each has its share of the uniform draws.
        assert (chances[present] >= gamma / len(present) * (1 - 1e-9)).all()
        assert not chances[[k for k, count in enumerate(counts) if count == 0]].any()


@given(st.lists(st.integers(0, 5), min_size=2, max_size=6).filter(any), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_a_draw_gives_rows_of_the_classes_that_have_a_chance(counts: list[int], seed: int) -> None:
    y = torch.tensor(np.repeat(np.arange(len(counts)), counts))[
        torch.randperm(sum(counts), generator=torch.Generator().manual_seed(1))
    ]
    random = np.random.default_rng(seed)
    chances = random.dirichlet(np.ones(len(counts))) * (np.array(counts) > 0) * (random.random(len(counts)) > 0.3)
    if chances.sum() == 0:
        chances = np.array(counts) / sum(counts)
    rows = ClassRows(y, len(counts)).draw(torch.tensor(chances / chances.sum()), 50, torch.Generator().manual_seed(seed))
    assert (chances[y[rows].numpy()] > 0).all()


def test_classes_and_samples_within_them_are_drawn_with_their_probabilities() -> None:
    y = torch.tensor([0, 1, 1, 2, 2, 2, 2, 0])
    chances = torch.tensor([0.5, 0.1, 0.4], dtype=torch.float64)
    rows = ClassRows(y, 3).draw(chances, 20_000, torch.Generator().manual_seed(0))
    expected = np.array([0.5 / 2, 0.1 / 2, 0.1 / 2, *[0.4 / 4] * 4, 0.5 / 2])
    seen = np.bincount(rows.numpy(), minlength=8)
    assert stats.chisquare(seen, expected * 20_000).pvalue > 0.001


def test_two_processes_draw_the_rows_of_one() -> None:
    classes, chances = ClassRows(torch.arange(30) % 3, 3), torch.full((3,), 1 / 3, dtype=torch.float64)
    whole = classes.draw(chances, 10, torch.Generator().manual_seed(4))
    for part in (Part(0, 4, 10), Part(4, 10, 10)):
        generator = PartGenerator()
        generator.manual_seed(4)
        generator.part = part
        assert torch.equal(classes.draw(chances, len(part), generator), whole[part.first : part.stop])


def test_an_epoch_has_as_many_samples_and_counts_what_was_drawn(make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(20)
    keep = np.flatnonzero((y != 0) | (np.arange(len(y)) % 10 == 0))
    trainer = ATTrainer(make_classifier(), class_sampling="balanced", max_iter=2)
    trainer.fit(x[keep], y[keep], batch_size=8, nb_epochs=2, seed=0, verbose=False)
    first, second = (record.robust.support for record in trainer.history)
    assert first.sum() == second.sum() == len(keep)
    # Class 0 has a tenth of the samples of the others and is drawn as often.
    assert first[0] > len(keep) / 6
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(trainer.history[0].to_dict()["sampling"], [1 / 3] * 3)


class Broken(ClassSampling):
    answer: Any = None

    def probabilities(self, statistics: EpochStatistics) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.5, 0.6], r"must sum to 1, got 1\.1"),
        ([1.0, 0.0], "positive for every class with training samples, got 0 for class 1"),
        ([0.5, 0.2, 0.3], r"shape \(2,\), got \(3,\)"),
        ([1.5, -0.5], "no negative number"),
        ([np.nan, 1.0], "finite"),
        ("often", "must give numbers"),
    ],
)
def test_broken_probabilities_are_named(answer: Any, message: str) -> None:
    sampling = Broken()
    sampling.answer = answer
    sampling.start(2)
    with pytest.raises(PolicyError, match=rf"Broken: probabilities\(\) .*{message}"):
        sampling.update(EpochStatistics(epoch=0, robust=ConfusionMatrix([[1, 0], [0, 1]])))


def test_a_generator_whose_classes_nobody_counted_is_refused(make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(8)
    generator = NumpyDataGenerator(x, y, batch_size=8)
    with pytest.raises(ValueError, match=r"class_sampling 'cfol' .* needs the number of training samples of each class"):
        CFOLTrainer(make_classifier()).fit_generator(generator, nb_epochs=1, verbose=False)
    ATTrainer(make_classifier(), class_sampling="natural", max_iter=2).fit_generator(generator, nb_epochs=1, verbose=False)
