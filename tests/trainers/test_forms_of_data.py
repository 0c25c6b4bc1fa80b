from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.data_generators import NumpyDataGenerator, PyTorchDataGenerator
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fairart.trainers import ATTrainer, FairTATTrainer, StandardTrainer

Make = Callable[..., Any]
Weights = dict[str, Tensor]


@pytest.fixture
def train(make_classifier: Make, weights_of: Make) -> Callable[..., Weights]:
    """Weights after two epochs of FAIR-TAT with seed 0."""

    def run(x: Any, y: Any, **options: Any) -> Weights:
        classifier = make_classifier(**options)
        trainer = FairTATTrainer(classifier, eps=0.1 * classifier.clip_values[1], eps_step=0.05, max_iter=2)
        trainer.fit(x, y, batch_size=8, nb_epochs=2, seed=0, verbose=False)
        return weights_of(classifier)

    return run


def one_hot(y: np.ndarray) -> np.ndarray:
    return np.eye(3)[y]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda y: one_hot(y).astype(np.float32), id="one-hot float32"),
        pytest.param(lambda y: one_hot(y).astype(int), id="one-hot int"),
        pytest.param(lambda y: one_hot(y).astype(bool), id="one-hot bool"),
        pytest.param(lambda y: one_hot(y).tolist(), id="one-hot list"),
        pytest.param(lambda y: y.tolist(), id="list"),
        pytest.param(lambda y: y[:, None], id="column"),
        pytest.param(lambda y: y.astype(np.float64), id="whole floats"),
        pytest.param(lambda y: y.astype(np.uint8), id="uint8"),
    ],
)
def test_labels_in_any_form_train_alike(form: Make, train: Make, make_data: Make, same_weights: Make):
    x, y = make_data(20)
    assert same_weights(train(x, y), train(x, form(y)))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda x: x.astype(np.float64), id="float64"),
        pytest.param(lambda x: np.asfortranarray(x), id="Fortran order"),
        pytest.param(lambda x: np.repeat(x, 2, axis=0)[::2], id="every other row"),
        pytest.param(lambda x: x[:, :, ::-1][:, :, ::-1].copy()[:, :, ::-1][:, :, ::-1], id="negative strides"),
        pytest.param(lambda x: x.tolist(), id="lists"),
    ],
)
def test_arrays_in_any_form_train_alike(form: Make, train: Make, make_data: Make, same_weights: Make):
    x, y = make_data(20)
    assert same_weights(train(x, y), train(form(x), y))


@pytest.mark.filterwarnings("error")
def test_read_only_arrays_are_taken_and_stay_as_they_are(train: Make, make_data: Make, same_weights: Make):
    x, y = make_data(20)
    expected = train(x, y)
    before = x.copy(), y.copy()
    x.setflags(write=False)
    y.setflags(write=False)
    assert same_weights(expected, train(x, y))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


def integer_images(make_data: Make) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_data(20)
    return np.round(255 * x).astype(np.uint8), y


def test_uint8_with_clip_values_0_to_1_is_divided_by_255(train: Make, make_data: Make, same_weights: Make):
    x, y = integer_images(make_data)
    assert same_weights(train(x, y), train(x.astype(np.float32) / 255, y))


def test_uint8_with_clip_values_0_to_255_is_taken_as_it_is(train: Make, make_data: Make, same_weights: Make):
    x, y = integer_images(make_data)
    wide: Any = {"clip_values": (0, 255)}
    assert same_weights(train(x, y, **wide), train(x.astype(np.float32), y, **wide))


@pytest.mark.parametrize("clip", [(0, 1), (0, 255)])
def test_predict_takes_uint8_as_fit_does(clip: tuple[int, int], make_classifier: Make, make_data: Make):
    x, _ = integer_images(make_data)
    trainer = StandardTrainer(make_classifier(clip_values=clip))
    np.testing.assert_array_equal(trainer.predict(x), trainer.predict(x.astype(np.float32) / (255 / clip[1])))


@pytest.mark.parametrize("n", [20, 17], ids=["even", "last batch of one"])
def test_fit_generator_trains_as_fit_does(
    n: int, train: Make, make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    x, y = make_data(n)
    tensors = TensorDataset(torch.tensor(x), torch.tensor(y))
    generators = {
        "numpy": NumpyDataGenerator(x, y, batch_size=8, shuffle=False, drop_remainder=False),
        "numpy, one-hot": NumpyDataGenerator(x, one_hot(y), batch_size=8, shuffle=False, drop_remainder=False),
        "torch": PyTorchDataGenerator(DataLoader(tensors, batch_size=8, shuffle=False), size=n, batch_size=8),
    }
    expected = train(x, y)
    for name, generator in generators.items():
        classifier = make_classifier()
        trainer = FairTATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2)
        trainer.fit_generator(generator, nb_epochs=2, seed=0, verbose=False)
        assert same_weights(expected, weights_of(classifier)), name


def test_a_shuffling_generator_repeats_with_the_seed(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    results = []
    for _ in range(2):
        classifier = make_classifier()
        generator = NumpyDataGenerator(*make_data(20), batch_size=8, shuffle=True, drop_remainder=True)
        ATTrainer(classifier, max_iter=1).fit_generator(generator, nb_epochs=3, seed=4, verbose=False)
        results.append(weights_of(classifier))
    assert same_weights(*results)


def test_a_class_may_be_missing_from_a_batch(make_classifier: Make, make_data: Make):
    x, y = make_data(24, 10)
    trainer = FairTATTrainer(make_classifier(10), eps=0.1, eps_step=0.05, max_iter=1)
    trainer.fit(x, y, batch_size=3, nb_epochs=2, seed=0, verbose=False)
    assert trainer.history[1].robust.support.tolist() == np.bincount(y).tolist()


@pytest.mark.parametrize("averaging", [None, "fawa"])
def test_a_class_without_any_sample_is_named_in_one_warning(averaging: str | None, make_classifier: Make, make_data: Make):
    x, y = make_data(24, 3)
    y = np.where(y == 1, 3, y)
    trainer = FairTATTrainer(make_classifier(5), eps=0.1, eps_step=0.05, max_iter=1, averaging=averaging, hold_out=0.2)
    with pytest.warns(UserWarning, match=r"no training sample of class 1, 4 \(of 5\)") as caught:
        trainer.fit(x, y, batch_size=6, nb_epochs=4, seed=0, verbose=False)
    assert sum("no training sample" in str(warning.message) for warning in caught) == 1
    assert next(w for w in caught if "no training sample" in str(w.message)).filename == __file__
    for record in trainer.history:
        assert np.flatnonzero(np.isnan(record.robust.class_accuracy)).tolist() == [1, 4]
        np.testing.assert_allclose(record.epsilons[[1, 4]], 0.1)
        assert record.to_json()


def test_a_class_that_no_batch_of_a_generator_holds_is_named_once(make_classifier: Make, make_data: Make):
    x, y = make_data(20, 2)
    generator = NumpyDataGenerator(x, y, batch_size=10)
    with pytest.warns(UserWarning, match=r"no training sample of class 2 \(of 3\)") as caught:
        ATTrainer(make_classifier(3), max_iter=1).fit_generator(generator, nb_epochs=3, seed=0, verbose=False)
    assert [w.filename for w in caught if "no training sample" in str(w.message)] == [__file__]


def test_other_shapes_than_images(make_classifier: Make, make_data: Make):
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))
    x, y = make_data(24, shape=(6,))
    trainer = FairTATTrainer(make_classifier(model=model, input_shape=(6,)), eps=0.1, eps_step=0.05, max_iter=2)
    trainer.fit(x, y, batch_size=6, nb_epochs=2, seed=0, verbose=False)
    assert trainer.history[1].robust.total == 24


def test_double_precision_models(make_classifier: Make, make_data: Make, make_model: Make):
    classifier = make_classifier(model=make_model().double())
    x, y = make_data(12)
    trainer = FairTATTrainer(classifier, eps=0.1, eps_step=0.05, max_iter=2)
    trainer.fit(x.astype(np.float64), y, batch_size=6, nb_epochs=2, seed=0, verbose=False)
    assert next(classifier.model.parameters()).dtype == torch.float64
