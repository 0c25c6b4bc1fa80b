"""Torch's own forms of data, and optimizers that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset

from fairart.trainers import ATTrainer, StandardTrainer

Make = Callable[..., Any]


def dataset(data: Any) -> TensorDataset:
    return TensorDataset(torch.from_numpy(data[0]), torch.from_numpy(data[1]))


def test_a_loader_that_does_not_shuffle_trains_as_arrays_do(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    data = make_data(24)
    by_array, by_loader = make_classifier(), make_classifier()
    ATTrainer(by_array, max_iter=4).fit(*data, batch_size=8, nb_epochs=2, seed=0, verbose=False)
    trainer = ATTrainer(by_loader, max_iter=4)
    trainer.fit_generator(DataLoader(dataset(data), batch_size=8), nb_epochs=2, seed=0, verbose=False)
    assert same_weights(weights_of(by_array), weights_of(by_loader))
    assert trainer.history[-1].robust.total == 24


def test_a_shuffling_loader_repeats_with_the_seed(make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make):
    def run(seed: int) -> Any:
        classifier = make_classifier()
        state = torch.get_rng_state()
        loader = DataLoader(dataset(make_data(24)), batch_size=8, shuffle=True)
        ATTrainer(classifier, max_iter=4).fit_generator(loader, nb_epochs=2, seed=seed, verbose=False)
        assert torch.equal(torch.get_rng_state(), state)
        return weights_of(classifier)

    assert same_weights(run(0), run(0))
    assert not same_weights(run(0), run(1))


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({"drop_last": True}, 16),
        ({"drop_last": False}, 20),
        ({"sampler": SubsetRandomSampler(range(12))}, 12),
        ({"batch_size": 50}, 20),
    ],
)
def test_an_epoch_is_one_pass_of_the_loader(options: dict[str, Any], total: int, make_classifier: Make, make_data: Make):
    loader = DataLoader(dataset(make_data(20)), **{"batch_size": 8, **options})
    trainer = StandardTrainer(make_classifier())
    trainer.fit_generator(loader, nb_epochs=3, seed=0, verbose=False)
    assert [record.robust.total for record in trainer.history] == [total] * 3


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (lambda data: DataLoader(Stream(), batch_size=2), "dataset must have a length, Stream has none"),
        (lambda data: DataLoader(data, batch_size=None), "must have a batch size"),
        (lambda data: DataLoader(data, batch_size=30, drop_last=True), "yields no batch: 20 samples, batch_size=30"),
    ],
)
def test_loaders_that_cannot_be_used_are_refused(loader: Any, message: str, make_classifier: Make, make_data: Make):
    with pytest.raises(ValueError, match=message):
        ATTrainer(make_classifier()).fit_generator(loader(dataset(make_data(20))), nb_epochs=1, verbose=False)


def test_tensors_are_data_also_where_they_require_a_gradient(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    x, y = make_data(24)
    plain, tensors = make_classifier(), make_classifier()
    ATTrainer(plain, max_iter=4).fit(x, y, batch_size=8, nb_epochs=1, seed=0, verbose=False)
    images = torch.from_numpy(x).requires_grad_(True)
    ATTrainer(tensors, max_iter=4).fit(images, torch.from_numpy(y), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert same_weights(weights_of(plain), weights_of(tensors))
    assert images.grad is None
    assert images.requires_grad


def test_an_optimizer_that_needs_a_closure_is_refused_by_name(make_classifier: Make, make_model: Make):
    model = make_model()
    classifier = make_classifier(model=model, optimizer=torch.optim.LBFGS(model.parameters()))
    with pytest.raises(ValueError, match="optimizer LBFGS needs a closure in every step"):
        ATTrainer(classifier)


@pytest.mark.parametrize("asked", [False, True])
def test_clean_statistics_of_trades_are_there_when_asked_for(asked: bool, make_classifier: Make, make_data: Make):
    from fairart.trainers import TRADESTrainer

    trainer = TRADESTrainer(make_classifier(), max_iter=4, clean_statistics=asked)
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert (trainer.history[0].statistics.clean is not None) == asked


def test_the_history_shows_itself_and_is_a_list(make_classifier: Make, make_data: Make):
    trainer = ATTrainer(make_classifier(), max_iter=4, clean_statistics=True)
    assert trainer.history == []
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    assert isinstance(trainer.history, list)
    html = trainer.history._repr_html_()
    assert html.count("<tr>") == 3
    assert f"{trainer.history[1].robust.accuracy:.1%}" in html
    assert trainer.history[1:] == [trainer.history[1]]
    assert trainer.history[1:]._repr_html_().count("<tr>") == 2
    pytest.importorskip("pandas")
    frame = trainer.history.to_frame()
    assert list(frame.columns[:4]) == ["epoch", "class", "n", "robust_accuracy"]
    assert frame.n.tolist() == [8] * 6
    last = frame[frame.epoch == 1]
    np.testing.assert_array_equal(last.robust_accuracy, trainer.history[1].robust.class_accuracy)
    np.testing.assert_array_equal(last.clean_accuracy, trainer.history[1].clean.class_accuracy)
    assert last.targeted.isna().all()


def test_a_confusion_matrix_shows_counts_and_accuracies():
    from fairart.statistics import ConfusionMatrix

    html = ConfusionMatrix([[3, 1, 0], [0, 4, 0], [0, 0, 0]])._repr_html_()
    assert "8 samples, 87.5% right" in html
    assert "75.0%" in html
    assert ">-<" in html
