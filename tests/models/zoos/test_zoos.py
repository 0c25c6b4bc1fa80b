"""Models of other packages: built, saved, loaded from the file, and refused in one line where that is not possible."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch

from fairart.errors import OptionError, UnknownNameError, WeightsError
from fairart.models import load_classifier
from fairart.models.building import build_model

SHAPE = (3, 32, 32)


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


CASES = [
    pytest.param("torchvision:resnet18", id="torchvision"),
    pytest.param("timm:resnet18", marks=needs("timm"), id="timm"),
    pytest.param("robustbench:Wong2020Fast", marks=needs("robustbench"), id="robustbench: PreActResNet"),
    pytest.param("robustbench:Linf/Carmon2019Unlabeled", marks=needs("robustbench"), id="robustbench: WideResNet"),
    pytest.param("robustbench:Debenedetti2022Light_XCiT-S12", marks=needs("robustbench"), id="robustbench: XCiT"),
]


@pytest.mark.parametrize("name", CASES)
def test_the_architecture_comes_from_the_package_and_the_weights_from_a_file(name, tmp_path):
    torch.manual_seed(3)
    source = build_model(name, input_shape=SHAPE, nb_classes=10, options={"pretrained": False}).eval()
    torch.save({"state_dict": {f"module.{key}": value for key, value in source.state_dict().items()}}, tmp_path / "w.pt")
    classifier = load_classifier(
        name, tmp_path / "w.pt", input_shape=SHAPE, nb_classes=10, normalization="none", dataset="cifar10", device="cpu"
    )
    x = np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)
    with torch.no_grad():
        expected = source(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(classifier.predict(x), expected, rtol=1e-5, atol=1e-6)


@needs("robustbench")
@pytest.mark.parametrize("name", ["Wang2023Better_WRN-28-10", "Wong2020Fast"])
def test_a_model_of_robustbench_gets_no_further_normalisation(name, tmp_path):
    source = build_model(f"robustbench:{name}", input_shape=SHAPE, nb_classes=10, options={"pretrained": False})
    torch.save(source.state_dict(), tmp_path / "w.pt")
    # "auto" without data: the zoo says it.
    classifier = load_classifier(
        f"robustbench:{name}", tmp_path / "w.pt", input_shape=SHAPE, nb_classes=10, dataset="cifar10", device="cpu"
    )
    x = np.random.default_rng(0).random((2, *SHAPE), dtype=np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(classifier.predict(x), source.eval()(torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-6)


@needs("timm")
def test_a_local_folder_of_the_hub_layout(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(5)
    source = build_model("timm:resnet18", input_shape=SHAPE, nb_classes=10, options={"pretrained": False}).eval()
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": "resnet18", "num_classes": 10, "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    classifier = load_classifier(f"hf:{tmp_path}", input_shape=SHAPE, nb_classes=10, device="cpu")
    x = np.random.default_rng(0).random((3, *SHAPE), dtype=np.float32)
    with torch.no_grad():
        expected = source((torch.from_numpy(x) - 0.5) / 0.25).numpy()
    np.testing.assert_allclose(classifier.predict(x), expected, rtol=1e-4, atol=1e-5)


def write(folder, text):
    (folder / "config.json").write_text(text)


@pytest.mark.parametrize(
    ("text", "error", "detail"),
    [
        (None, WeightsError, "has no config.json"),
        ("{", WeightsError, "config.json is damaged"),
        ("[]", WeightsError, "expected a mapping, got list"),
        ('{"architecture": "bert"}', OptionError, "names the architecture 'bert', which neither fairart nor timm can build"),
        ('{"architecture": "resnet18", "num_classes": 5}', OptionError, "have 5 classes, the data have 10"),
        ('{"architecture": "resnet18", "num_classes": 10}', WeightsError, "has none of model.safetensors"),
    ],
)
@needs("timm")
def test_a_folder_that_is_not_of_the_hub_layout(tmp_path, text, error, detail):
    if text is not None:
        write(tmp_path, text)
    with pytest.raises(error, match=detail):
        build_model(f"hf:{tmp_path}", input_shape=SHAPE, nb_classes=10)


def test_a_download_that_fails_is_one_line(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fail)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"cannot download its weights, resnet18-\w+\.pth, .*--weights FILE takes a local"
    ) as info:
        build_model("torchvision:resnet18", input_shape=(3, 224, 224), nb_classes=1000)
    assert "\n" not in str(info.value)


@needs("robustbench")
def test_a_download_from_robustbench_that_fails_is_one_line_and_leaves_no_file(monkeypatch, tmp_path):
    import gdown

    monkeypatch.setattr(gdown, "download", lambda **kwargs: (_ for _ in ()).throw(RuntimeError("no network")))
    options = {"model_dir": str(tmp_path / "models")}
    with pytest.raises(WeightsError, match=r"Wong2020Fast\.pt, which are not in .*cifar10/Linf .*no network.*--weights FILE"):
        build_model("robustbench:Wong2020Fast", input_shape=SHAPE, nb_classes=10, options=options)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "shape", "classes", "options", "error", "detail"),
    [
        ("torchvision:resnet81", SHAPE, 10, {}, UnknownNameError, "did you mean 'resnet18'"),
        ("torchvision:resnet18", SHAPE, 10, {}, OptionError, "have 1000 classes, the data have 10"),
        ("torchvision:resnet18", (1, 28, 28), 10, {"pretrained": False}, OptionError, "3 channels, the data have 1"),
        ("torchvision:resnet18", SHAPE, 1000, {"weight_set": "V9"}, UnknownNameError, "has no weights 'V9'"),
        pytest.param("timm:resnet81", SHAPE, 10, {}, UnknownNameError, "did you mean", marks=needs("timm")),
        pytest.param("timm:resnet18", SHAPE, 10, {}, OptionError, "have 1000 classes", marks=needs("timm")),
        pytest.param(
            "robustbench:Wong2020Slow", SHAPE, 10, {}, UnknownNameError, "mean 'Wong2020Fast'", marks=needs("robustbench")
        ),
        pytest.param("robustbench:L9/X", SHAPE, 10, {}, UnknownNameError, "known: Linf, L2", marks=needs("robustbench")),
        pytest.param(
            "robustbench:X", SHAPE, 10, {"dataset": "npz"}, OptionError, "set model.dataset", marks=needs("robustbench")
        ),
        pytest.param("robustbench:X", SHAPE, 100, {}, OptionError, "10 classes, the data have 100", marks=needs("robustbench")),
        ("hf:./no-such", SHAPE, 10, {}, WeightsError, "there is no folder no-such"),
    ],
)
def test_what_cannot_be_built_is_named(name, shape, classes, options, error, detail):
    with pytest.raises(error, match=detail):
        build_model(name, input_shape=shape, nb_classes=classes, options=options)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("timm:resnet18", "timm", "timm"), ("robustbench:X", "robustbench.model_zoo", "robustbench")],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name, package, extra):
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OptionError, match=rf'pip install "fairart\[{extra}\]"'):
        build_model(name, input_shape=SHAPE, nb_classes=10)
