"""Weightings that look at every batch, against independent references; the pass over the training data before an epoch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor

from fairart import create
from fairart.attacks import pgd
from fairart.errors import PolicyError
from fairart.policies import LossTerms
from fairart.policies.class_weightings import PairWeighting
from fairart.policies.class_weightings.csr import spectral_pair_weights
from fairart.policies.class_weightings.cvar import cvar_weights
from fairart.statistics import ConfusionMatrix
from fairart.trainers import ATTrainer, CSRTrainer


def terms_of(labels: Tensor, nb_classes: int, *, seed: int = 0) -> LossTerms:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(labels), nb_classes, generator=random, dtype=torch.float64)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    boundary = torch.rand(len(labels), generator=random, dtype=torch.float64)
    return LossTerms(natural=losses, boundary=boundary, beta=2.0, adversarial_logits=logits)


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=8),
    st.floats(0.05, 1.0),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
@settings(max_examples=80, deadline=None)
def test_cvar_solves_its_linear_program(means: list[float], alpha: float, there: list[bool]) -> None:
    present = torch.tensor(there[: len(means)])
    if not present.any():
        present[0] = True
    weights = cvar_weights(torch.tensor(means, dtype=torch.float64), present, alpha).numpy()
    number = int(present.sum())
    bounds = [(0, min(1.0, 1 / (alpha * number)) if here else 0) for here in present.tolist()]
    best = linprog(-np.array(means), A_eq=np.ones((1, len(means))), b_eq=[1.0], bounds=bounds)
    assert weights.sum() == pytest.approx(1.0)
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, (low, high) in zip(weights, bounds, strict=True))
    assert weights @ np.array(means) == pytest.approx(-best.fun, abs=1e-6)


def test_group_dro_follows_the_algorithm_of_its_paper() -> None:
    eta, shares = 0.3, np.full(3, 1 / 3)
    weighting = create("class_weighting", "group-dro", eta=eta)
    weighting.start(3)
    for seed in range(4):
        labels = torch.tensor([0, 0, 1, 2, 2, 1, 0])
        terms = terms_of(labels, 3, seed=seed)
        total = terms.total().numpy()
        means = np.array([total[labels.numpy() == k].mean() for k in range(3)])
        shares = shares * np.exp(eta * means)
        shares /= shares.sum()
        # However often the loss is computed, the weights step once a batch.
        for _ in range(2):
            np.testing.assert_allclose(weighting.combine(terms, labels), shares @ means, rtol=1e-6)
        weighting.batch_end(terms, labels)
    weights = weighting.weights(None)
    np.testing.assert_allclose(weights, 3 * shares, rtol=1e-6)


def test_a_class_that_is_not_in_the_batch_makes_the_loss_no_smaller() -> None:
    labels = torch.tensor([0, 0, 2])
    for name in ("cvar", "group-dro"):
        weighting = create("class_weighting", name, **({"alpha": 1.0} if name == "cvar" else {"eta": 0.0}))
        weighting.start(5)
        terms = terms_of(labels, 5)
        total = terms.total()
        expected = (total[:2].mean() + total[2]) / 2
        torch.testing.assert_close(weighting.combine(terms, labels), expected)


def test_trix_weighs_by_the_distance_from_the_mean() -> None:
    weighting, counts = create("class_weighting", "trix"), np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0]])
    statistics = create_statistics(counts)
    # A: 0.8, 0.5, none; mean 0.65; raised 0.85, 1.15, 1.
    np.testing.assert_allclose(weighting.weights(statistics), np.array([0.85, 1.15, 1.0]))


def create_statistics(counts: Any) -> Any:
    from fairart.statistics import EpochStatistics

    return EpochStatistics(epoch=0, robust=ConfusionMatrix(counts))


@pytest.mark.parametrize("counts", [np.diag([5, 5, 5]), np.zeros((3, 3), dtype=int)])
def test_csr_weighs_all_pairs_alike_where_there_are_no_errors(counts: Any) -> None:
    np.testing.assert_array_equal(spectral_pair_weights(ConfusionMatrix(counts)), np.ones((3, 3)))


@given(st.lists(st.integers(0, 50), min_size=16, max_size=16))
@settings(max_examples=60, deadline=None)
def test_csr_weights_stay_in_their_range(counts: list[int]) -> None:
    weights = spectral_pair_weights(ConfusionMatrix(np.array(counts).reshape(4, 4)))
    assert np.isfinite(weights).all()
    assert weights.min() >= 0.01 - 1e-9
    assert weights.max() <= 2.01 + 1e-9


def test_before_an_epoch_the_training_set_is_attacked_in_eval_mode(make_classifier: Any, make_data: Any) -> None:
    seen: list[ConfusionMatrix] = []

    class Watching(PairWeighting):
        true_logit_cut = 0.25

        def pair_weights(self, training: ConfusionMatrix) -> Any:
            seen.append(training)
            return np.ones((3, 3))

    x, y = make_data(20)
    trainer = ATTrainer(make_classifier(), class_weighting=Watching(), eps=0.0, max_iter=2)
    model = trainer.get_classifier().model
    with torch.no_grad():
        before = copy.deepcopy(model).eval()(torch.tensor(x))
    trainer.fit(x, y, batch_size=16, nb_epochs=2, seed=0, verbose=False)
    labels = torch.tensor(y)
    lowered = before - 0.25 * before * torch.nn.functional.one_hot(labels, 3)
    expected = np.zeros((3, 3), dtype=int)
    np.add.at(expected, (y, lowered.argmax(dim=1).numpy()), 1)
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0].counts, expected)
    assert seen[0].total == seen[1].total == len(y)


def test_the_attack_of_that_pass_is_pgd_on_the_label(make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(20)
    trainer = CSRTrainer(make_classifier(), eps=0.2, eps_step=0.05, max_iter=5)
    model = copy.deepcopy(trainer.get_classifier().model).eval()
    images, labels = torch.tensor(x), torch.tensor(y)
    start = torch.Generator().manual_seed(0)
    x_adv = pgd(model, images, labels, eps=0.2, eps_step=0.05, max_iter=5, generator=start)
    under_attack = float((model(x_adv).argmax(dim=1) == labels).double().mean())
    found: list[ConfusionMatrix] = []
    weighting = trainer.method.class_weighting
    keep = weighting.before_epoch
    weighting.before_epoch = lambda training: (found.append(training), keep(training))
    weighting.true_logit_cut = 0.0
    trainer.fit(x, y, batch_size=16, nb_epochs=1, seed=0, verbose=False)
    # Other random starts: the same accuracy but for a few samples.
    assert abs(found[0].accuracy - under_attack) < 0.1
    assert trainer.history[0].to_dict()["pair_weights"] == weighting.pairs.tolist()


def test_pair_weights_of_a_wrong_shape_are_named() -> None:
    class Flat(PairWeighting):
        def pair_weights(self, training: ConfusionMatrix) -> Any:
            return np.ones(3)

    weighting = Flat()
    weighting.start(3)
    with pytest.raises(PolicyError, match=r"Flat: pair_weights\(\) must give an array of shape \(3, 3\), got \(3,\)"):
        weighting.before_epoch(ConfusionMatrix(np.eye(3, dtype=int)))
