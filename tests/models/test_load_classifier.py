"""A model of anybody, and a weight file, as an ART classifier that is evaluated and trained further."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from fairart import create
from fairart.errors import OptionError, PluginError, UnknownNameError, WeightsError
from fairart.evaluation import evaluate
from fairart.models import load_classifier
from fairart.models.classifier import load_with_report
from fairart.models.normalization import Normalization, candidates_for, choose_normalization, parse_normalization
from fairart.trainers import ATTrainer

SHAPE = (1, 8, 8)
MEAN, STD = 0.3, 0.4


class Net(nn.Module):
    """A small network for 8 x 8 images."""

    def __init__(self, input_shape: tuple[int, ...], nb_classes: int, width: int = 32) -> None:
        super().__init__()
        self.hidden = nn.Linear(int(np.prod(input_shape)), width)
        self.head = nn.Linear(width, nb_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.hidden(x.flatten(1))))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.images / 16).astype(np.float32)[:, None], data.target.astype(np.int64)


@pytest.fixture(scope="module")
def trained(digits: tuple[np.ndarray, np.ndarray]) -> nn.Module:
    """Trained on digits that were normalised by 0.3 and 0.4, outside the model."""
    images, labels = (torch.as_tensor(part) for part in digits)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Net(SHAPE, 10)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(150):
            loss = nn.functional.cross_entropy(model((images - MEAN) / STD), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def file(trained: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "best.tar"
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in trained.state_dict().items()}}, path)
    return path


def test_predictions_are_those_of_the_network_it_was_saved_from(
    trained: nn.Module, file: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    classifier = load_classifier(
        Net(SHAPE, 10), file, input_shape=SHAPE, nb_classes=10, normalization=((MEAN,), (STD,)), device="cpu"
    )
    with torch.no_grad():
        expected = trained((torch.as_tensor(digits[0]) - MEAN) / STD).numpy()
    np.testing.assert_allclose(classifier.predict(digits[0]), expected, atol=1e-4)


def test_it_is_evaluated_and_trained_further(file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    classifier = load_classifier(Net(SHAPE, 10), file, input_shape=SHAPE, nb_classes=10, normalization="0.3:0.4", device="cpu")
    images, labels = digits[0][:200], digits[1][:200]
    before = evaluate(classifier, images, labels, attacks=[("pgd", {"eps": 0.1, "eps_step": 0.025, "max_iter": 10})], seed=0)
    ATTrainer(classifier, eps=0.1, eps_step=0.025, max_iter=4).fit(images, labels, nb_epochs=10, seed=0, verbose=False)
    after = evaluate(classifier, images, labels, attacks=[("pgd", {"eps": 0.1, "eps_step": 0.025, "max_iter": 10})], seed=0)
    assert before["clean"].accuracy > 0.9
    assert after["pgd"].accuracy > before["pgd"].accuracy


def test_a_trial_finds_the_numbers_it_was_trained_with(trained: nn.Module, digits: tuple[np.ndarray, np.ndarray]) -> None:
    right = Normalization(label="right", mean=(MEAN,), std=(STD,))
    wrong = Normalization(label="wrong", mean=(0.9,), std=(0.1,))
    trial = choose_normalization(trained, torch.as_tensor(digits[0]), torch.as_tensor(digits[1]), [wrong, right])
    assert trial.chosen is right
    assert trial.accuracies["right"] > 0.95 > trial.accuracies["wrong"]
    assert trial.images == 512
    assert "clearly the best" in trial.reason


def test_a_trial_on_images_sorted_by_class_sees_every_class(trained: nn.Module, digits: tuple[np.ndarray, np.ndarray]) -> None:
    order = np.argsort(digits[1], kind="stable")
    seen: list[torch.Tensor] = []
    handle = trained.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    right = Normalization(label="right", mean=(0.0,), std=(1.0,))
    choose_normalization(trained, torch.as_tensor(digits[0][order]), torch.as_tensor(digits[1][order]), [right])
    handle.remove()
    rows = {image.tobytes(): label for image, label in zip(digits[0], digits[1], strict=True)}
    assert {int(rows[image.numpy().tobytes()]) for image in torch.cat(seen)} == set(range(10))


def test_numbers_that_predict_alike_are_no_rivals(trained: nn.Module, digits: tuple[np.ndarray, np.ndarray]) -> None:
    right = Normalization(label="right", mean=(MEAN,), std=(STD,))
    rounded = Normalization(label="rounded", mean=(MEAN + 1e-6,), std=(STD,))
    trial = choose_normalization(trained, torch.as_tensor(digits[0]), torch.as_tensor(digits[1]), [rounded, right])
    assert trial.chosen in (right, rounded)


def test_a_model_near_chance_gets_no_normalisation(file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    shuffled = np.random.default_rng(0).permutation(digits[1])
    with pytest.raises(WeightsError, match=r"near chance on 1797 images .*another data set or class order"):
        load_classifier(Net(SHAPE, 10), file, input_shape=SHAPE, nb_classes=10, data=(digits[0], shuffled), device="cpu")


def test_a_trial_says_what_it_chose(digits: tuple[np.ndarray, np.ndarray], trained: nn.Module) -> None:
    """Weights trained on raw values far from what the published constants would make of them."""
    images, labels = (torch.as_tensor(part) for part in digits)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Net(SHAPE, 10)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(300):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    found = load_with_report(model, input_shape=SHAPE, nb_classes=10, data=digits, device="cpu")
    assert found.trial is not None
    assert found.normalization is not None
    assert found.normalization.label == "none"
    assert found.classifier.preprocessing is None
    assert "none" in found.notes[-1]
    assert "tried on 512 images" in found.notes[-1]


def test_without_data_an_unknown_normalisation_is_an_error() -> None:
    with pytest.raises(WeightsError, match="not known: give normalization=, or data= to find out by trial"):
        load_classifier(Net(SHAPE, 10), input_shape=SHAPE, nb_classes=10, device="cpu")


def test_a_configuration_that_names_it_is_taken() -> None:
    model = Net(SHAPE, 10)
    model.pretrained_cfg = {"mean": (0.25,), "std": (0.5,)}  # type: ignore[assignment]
    found = load_with_report(model, input_shape=SHAPE, nb_classes=10, device="cpu")
    assert found.normalization == Normalization(label="model", mean=(0.25,), std=(0.5,))


def test_clip_values_scale_the_published_constants() -> None:
    wide = load_classifier(
        Net(SHAPE, 10), input_shape=SHAPE, nb_classes=10, normalization="0.25:0.5", clip_values=(0.0, 255.0), device="cpu"
    )
    mean, std = wide.preprocessing.mean, wide.preprocessing.std
    np.testing.assert_allclose([float(np.ravel(mean)[0]), float(np.ravel(std)[0])], [63.75, 127.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5", "normalization must be none, dataset"),
        ("a:b", "expects numbers"),
        ("0.5:0", "std > 0"),
        ("0.5:nan", "std > 0"),
        ("0.1,0.2:0.5", "one number or 1 on each side"),
        ("imagenet", "is for 3 channels, the images have 1"),
        ("dataset", "no published mean and std are known for data set None"),
    ],
)
def test_a_bad_normalization_is_named(text: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        parse_normalization(text, None, 1)


def test_candidates_hold_every_published_pair_once() -> None:
    found = candidates_for("cifar10", 3)
    assert [candidate.label for candidate in found] == [
        "cifar10",
        "cifar10-per-image",
        "imagenet",
        "imagenet-225",
        "none",
        "half",
    ]
    assert all(candidate.fits(1) for candidate in candidates_for("digits", 1))


def test_a_callable_of_a_file_is_built_with_what_it_takes(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def linear(input_shape, nb_classes, bias=True):\n"
        "    size = input_shape[0] * input_shape[1] * input_shape[2]\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(size, nb_classes, bias=bias))\n"
    )
    classifier = load_classifier(
        f"{tmp_path}/nets.py:linear",
        input_shape=SHAPE,
        nb_classes=10,
        normalization="none",
        model_options={"bias": "false"},
        device="cpu",
    )
    assert [name for name, _ in classifier.model.named_parameters()] == ["1.weight"]


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ("small-cn", {}, UnknownNameError, "small-cnn"),
        ("no_such_module:net", {}, UnknownNameError, "neither a zoo nor a module"),
        ("torch.nn:", {}, UnknownNameError, "a name must follow the colon"),
        ("torch.nn:NoSuchLayer", {}, UnknownNameError, "torch.nn has no 'NoSuchLayer'"),
        ("./nowhere.py:net", {}, UnknownNameError, "there is no file nowhere.py"),
        ("torch.nn:Linear", {}, OptionError, "in_features"),
        ("torch.nn:Identity", {"nb_classes": 3}, OptionError, "follows from the data set"),
        ("builtins:dict", {}, OptionError, "has no signature to read"),
        ("collections:UserDict", {}, PluginError, "must be a torch.nn.Module, got UserDict"),
    ],
)
def test_a_model_that_cannot_be_made_is_one_clear_error(
    model: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_classifier(model, input_shape=SHAPE, nb_classes=10, normalization="none", model_options=options, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OptionError, match="torch finds no CUDA device"):
        load_classifier(Net(SHAPE, 10), input_shape=SHAPE, nb_classes=10, normalization="none", device="cuda")


def test_a_weight_file_of_another_size_needs_the_options_of_that_size(tmp_path: Path):
    size = {"depth": 10, "widen_factor": 4}
    narrow = create("model", "wide-resnet-34-10", input_shape=(3, 8, 8), nb_classes=4, **size).eval()
    torch.save(narrow.state_dict(), tmp_path / "narrow.pt")
    shapes = {"input_shape": (3, 8, 8), "nb_classes": 4, "normalization": "none", "device": "cpu"}
    x = np.random.default_rng(0).random((5, 3, 8, 8), dtype=np.float32)
    classifier = load_classifier("wide-resnet-34-10", tmp_path / "narrow.pt", model_options=size, **shapes)
    with torch.no_grad():
        expected = narrow(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(classifier.predict(x), expected, rtol=1e-5, atol=1e-6)
    for other, message in (({**size, "widen_factor": 2}, "2 times as wide"), ({**size, "depth": 16}, "missing")):
        with pytest.raises(WeightsError, match=message):
            load_classifier("wide-resnet-34-10", tmp_path / "narrow.pt", model_options=other, **shapes)
