"""There is a check for every kind, and every built-in thing passes its own."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fairart import create, registered, testing
from fairart.plugins.hookspecs import HOOK_OF_KIND
from fairart.statistics import ConfusionMatrix

torch.set_num_threads(1)

ELSEWHERE = {
    "target_sampler",
    "epsilon_scheduler",
    "class_weighting",
    "class_sampling",
    "classification_loss",
    "weight_perturbation",
    "averaging",
    "objective",
}
"""Kinds whose built-ins are checked in ``tests/policies/test_conformance.py``."""


def built_in(kind: str) -> list[str]:
    return [name for name, entry in registered(kind).items() if entry.plugin == "fairart"]


def test_every_kind_has_a_check() -> None:
    checks = {name.removeprefix("check_") for name in testing.__all__ if name.startswith("check_")}
    assert checks == set(HOOK_OF_KIND)
    for kind in HOOK_OF_KIND:
        docstring = inspect.getdoc(getattr(testing, f"check_{kind}")) or ""
        assert "Args:" in docstring
        assert "AssertionError: " in docstring


@pytest.mark.parametrize("name", built_in("fairness_metric"))
def test_metrics(name: str) -> None:
    def against_half_right(confusion: ConfusionMatrix) -> Any:
        size = confusion.nb_classes
        return create("fairness_metric", name, baseline=ConfusionMatrix(np.ones((size, size)) + np.eye(size)))(confusion)

    def by_size_of_class(confusion: ConfusionMatrix) -> Any:
        # As many training images as test images: a class keeps its place whatever the order.
        return create("fairness_metric", name, training_counts=confusion.support.tolist())(confusion)

    given = {"rho": against_half_right, **dict.fromkeys(("head", "middle", "tail"), by_size_of_class)}
    testing.check_fairness_metric(given.get(name) or create("fairness_metric", name))


CHEAPER: dict[str, dict[str, Any]] = {
    "apgd-ce": {"max_iter": 10},
    "apgd-dlr": {"max_iter": 10},
    "art-autoattack": {"max_iter": 3, "max_queries": 20, "nb_restarts": 1},
    "cw": {"max_iter": 3, "binary_search_steps": 3},
    "autoattack": {"n_iter": 5, "n_queries": 20},
    "square": {"max_iter": 100},
    # These look for the smallest change, wherever it lies; the evaluation projects it onto eps.
    "boundary": {"eps": 1.0, "max_iter": 20},
    "deepfool": {"eps": 1.0},
    "hop-skip-jump": {"eps": 1.0, "max_iter": 2, "max_eval": 100},
}


@pytest.mark.filterwarnings("ignore:attack '.*samples were not attacked")
# A transfer attack is of another classifier: it has tests of its own.
@pytest.mark.parametrize("name", [name for name in built_in("attack") if name != "transfer"])
def test_attacks(name: str) -> None:
    if name == "autoattack":
        pytest.importorskip("pyautoattack")
    testing.check_attack(create("attack", name, **CHEAPER.get(name, {})))


@pytest.mark.parametrize("name", built_in("augmentation"))
def test_augmentations(name: str) -> None:
    testing.check_augmentation(create("augmentation", name))


@pytest.mark.parametrize("name", built_in("certificate"))
def test_certificates(name: str) -> None:
    testing.check_certificate(create("certificate", name))


@pytest.mark.parametrize("name", built_in("defence"))
@pytest.mark.parametrize("input_shape", [(1, 8, 8), (3, 9, 11)])
def test_defences(name: str, input_shape: tuple[int, int, int]) -> None:
    testing.check_defence(create("defence", name), input_shape=input_shape)


@pytest.mark.parametrize("name", built_in("corruption"))
def test_corruptions(name: str, tmp_path: Path) -> None:
    options = {}
    if name == "frost":
        pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "frost.png")
        options["textures"] = str(tmp_path)
    testing.check_corruption(create("corruption", name, **options))


def test_data_sets(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        f"{axis}_{split}": random.integers(0, 256, (20, 1, 8, 8), dtype=np.uint8) if axis == "x" else np.arange(20) % 4
        for axis in ("x", "y")
        for split in ("train", "test")
    }
    np.savez(tmp_path / "mine.npz", **arrays)
    for split in ("train", "test"):
        for label, image in zip(arrays[f"y_{split}"], arrays[f"x_{split}"], strict=True):
            folder = tmp_path / "images" / split / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(folder / f"{len(list(folder.iterdir()))}.png")
    load = {name: registered("dataset")[name].load() for name in ("digits", "npz", "folder")}
    testing.check_dataset(load["digits"])
    testing.check_dataset(functools.partial(load["npz"], path=str(tmp_path / "mine.npz")))
    testing.check_dataset(functools.partial(load["folder"], path=str(tmp_path / "images")))


ZOOS = {"robustbench", "timm", "torchvision", "hf"}  # they take a name after a colon, see tests/models/zoos


@pytest.mark.parametrize("name", sorted(set(built_in("model")) - ZOOS))
def test_models(name: str) -> None:
    if name == "xcit-s12":
        pytest.importorskip("timm")
    testing.check_model(registered("model")[name].load(), input_shape=(3, 8, 8))


@pytest.mark.parametrize("name", built_in("trainer"))
def test_trainers(name: str) -> None:
    testing.check_trainer(registered("trainer")[name].load())


def test_options_may_be_filled_in() -> None:
    testing.check_attack(functools.partial(registered("attack")["pgd"].load(), eps=0.3, max_iter=2))
    testing.check_model(functools.partial(registered("model")["small-cnn"].load(), width=2), input_shape=(1, 8, 8))
    testing.check_trainer(functools.partial(registered("trainer")["fair-tat"].load(), averaging="ema"))
