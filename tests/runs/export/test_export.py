"""A run given on: the same predictions from every format, and nothing half written."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml

from fairart.models import load_classifier
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.export import FORMATS, export_run
from fairart.runs.run import load_run, train_run

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "at"
    config = RunConfig(trainer="at", per_class=12, epochs=2, eps=0.1, max_iter=2, batch_size=60, options={"model": {"width": 4}})
    train_run(config, folder, verbose=False)
    return folder


@pytest.fixture(scope="module")
def expected(run):
    loaded = load_run(run)
    x = np.random.default_rng(0).random((7, *SHAPE), dtype=np.float32)
    return x, loaded.classifier.predict(x)


def test_safetensors_bring_their_normalisation(run, expected, tmp_path):
    x, logits = expected
    assert export_run(run, "safetensors", tmp_path / "w.safetensors") == [tmp_path / "w.safetensors"]
    classifier = load_classifier(
        "small-cnn", tmp_path / "w.safetensors", input_shape=SHAPE, nb_classes=10, model_options={"width": 4}, device="cpu"
    )
    np.testing.assert_array_equal(classifier.predict(x), logits)


def test_a_hub_folder_loads_again_by_its_name_alone(run, expected, tmp_path):
    x, logits = expected
    export_run(run, "hub-folder", tmp_path / "hub")
    classifier = load_classifier(f"hf:{tmp_path / 'hub'}", input_shape=SHAPE, nb_classes=10, device="cpu")
    np.testing.assert_array_equal(classifier.predict(x), logits)
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert config["id2label"]["3"] == "3"
    assert config["fairart"]["model_options"] == {"width": 4}


def test_the_card_has_front_matter_and_the_accuracies_once_evaluated(run, tmp_path):
    export_run(run, "hub-folder", tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "fairart"
    assert "adversarial-robustness" in front["tags"]
    assert "This model was not evaluated." in card
    result = evaluate_run(run, ("pgd",), options={"pgd": {"max_iter": 2}}, limit=40, verbose=False)
    export_run(run, "hub-folder", tmp_path / "hub", overwrite=True)
    card = (tmp_path / "hub" / "README.md").read_text()
    assert f"| {100 * result['pgd'].worst_class_accuracy():.1f} |" in card
    assert "pgd(eps=0.1" in card
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_torchscript_is_a_program_of_images(run, expected, tmp_path):
    x, logits = expected
    export_run(run, "torchscript", tmp_path / "p.pt")
    program = torch.jit.load(tmp_path / "p.pt")
    with torch.no_grad():
        np.testing.assert_allclose(program(torch.from_numpy(x)).numpy(), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onnx_is_a_program_of_images_for_any_batch(run, expected, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    x, logits = expected
    export_run(run, "onnx", tmp_path / "p.onnx")
    session = runtime.InferenceSession(str(tmp_path / "p.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"images": x})[0], logits, rtol=1e-5, atol=1e-5)


def test_an_exported_program_that_differs_is_not_written(run, tmp_path, monkeypatch):
    loaded = torch.jit.load

    def shifted(path):
        program = loaded(path)
        return lambda x: program(x) + 0.1

    monkeypatch.setattr(torch.jit, "load", shifted)
    with pytest.raises(RuntimeError, match="TorchScript program gives other logits"):
        export_run(run, "torchscript", tmp_path / "p.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_torchscript_file_is_no_weight_file(run, tmp_path):
    export_run(run, "torchscript", tmp_path / "p.pt")
    with pytest.raises(ValueError, match=r"p\.pt"):
        load_classifier("small-cnn", tmp_path / "p.pt", input_shape=SHAPE, nb_classes=10, normalization="none", device="cpu")


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_there_is_replaced_only_on_request(run, tmp_path, format):
    target = tmp_path / "out"
    target.mkdir() if format == "hub-folder" else target.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="exists already"):
        export_run(run, format, target)
    assert target.is_dir() or target.read_bytes() == b"mine"


def test_a_folder_keeps_its_other_files_and_a_run_is_never_written_to(run, tmp_path):
    target = tmp_path / "clone"
    (target / ".git").mkdir(parents=True)
    (target / "notes.txt").write_text("mine")
    export_run(run, "hub-folder", target, overwrite=True)
    assert (target / "notes.txt").read_text() == "mine"
    assert {path.name for path in target.iterdir()} == {".git", "notes.txt", "model.safetensors", "config.json", "README.md"}
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(FileExistsError, match="is the folder of a run"):
        export_run(run, "hub-folder", run, overwrite=True)
    assert sorted(path.name for path in run.iterdir()) == before


def test_no_folder_of_this_machine_is_published(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "secret").mkdir()
    arrays = {name: random.integers(0, 255, (20, 8, 8, 1), dtype=np.uint8) for name in ("x_train", "x_test")}
    np.savez(tmp_path / "secret" / "mine.npz", **arrays, y_train=np.arange(20) % 2, y_test=np.arange(20) % 2)
    config = RunConfig(
        trainer="standard", dataset=f"npz:{tmp_path / 'secret' / 'mine.npz'}", data_root=str(tmp_path / "secret"), epochs=1
    )
    train_run(config, tmp_path / "run", verbose=False)
    export_run(tmp_path / "run", "hub-folder", tmp_path / "hub")
    for name in ("config.json", "README.md"):
        assert str(tmp_path) not in (tmp_path / "hub" / name).read_text()
        assert "npz:mine.npz" in (tmp_path / "hub" / name).read_text()
