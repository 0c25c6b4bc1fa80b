"""``fairart evaluate --model``: somebody else's model and weight file, as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, safe_open

from fairart.evaluation import EvaluationResult

QUICK = (
    "--attack",
    "pgd",
    "--set",
    "pgd.max_iter=2",
    "--limit",
    "60",
    "--eps",
    "0.1",
    "--sanity-samples",
    "0",
    "--device",
    "cpu",
)


@pytest.fixture
def foreign(trained, tmp_path):
    """Weights of a run as others save them, and the normalisation that they need."""
    with safe_open(trained / "model.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["fairart.run"])
    path = tmp_path / "model.pth"
    state = load_file(trained / "model.safetensors")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, path)
    scaling = ":".join(",".join(map(str, np.ravel(about[name]))) for name in ("mean", "std"))
    return path, scaling


def test_a_weight_file_gives_the_numbers_of_the_run_it_came_from(fairart_command, trained, foreign, tmp_path):
    path, scaling = foreign
    fairart_command("evaluate", trained, *QUICK)
    ours = EvaluationResult.load(trained / "evaluation.json")
    output = tmp_path / "eval" / "mine"
    code, out, err = fairart_command(
        *("evaluate", "--model", "small-cnn", "--weights", path, "--dataset", "digits", "--output", output),
        *("--normalization", scaling, *QUICK),
    )
    assert code == 0
    assert "prefix 'module.' taken off" in err
    result = EvaluationResult.load(output / "evaluation.json")
    assert out.startswith(result.table())
    for label in ("clean", "pgd"):
        assert (result[label].predictions == ours[label].predictions).all()
    assert result.config["model"] == "small-cnn"
    assert result["pgd"].config["options"]["eps"] == 0.1


def test_compare_report_and_plot_take_the_folder_beside_a_run(fairart_command, trained, foreign, tmp_path):
    path, scaling = foreign
    fairart_command("evaluate", trained, *QUICK)
    output = tmp_path / "released"
    common = ("--weights", path, "--dataset", "digits", "--output", output, "--normalization", scaling)
    assert fairart_command("evaluate", "--model", "small-cnn", *common, *QUICK)[0] == 0
    code, out, err = fairart_command("compare", trained, output)
    assert (code, err) == (0, "")
    assert "released" in out
    page = tmp_path / "page.html"
    assert fairart_command("report", trained, output, "--output", page)[0] == 0
    assert "released" in page.read_text()
    for kind in ("accuracy", "cfps", "tradeoff"):
        assert fairart_command("plot", kind, trained, output, "--output", tmp_path / f"{kind}.png")[0] == 0


def test_a_callable_of_a_file_with_options_and_test_images_alone(fairart_command, tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(
        "import torch\n\n"
        "def linear(input_shape, nb_classes, bias=True):\n"
        "    size = input_shape[0] * input_shape[1] * input_shape[2]\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size, nb_classes, bias=bias))\n"
    )
    x = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 1), dtype=np.uint8)
    weight = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    y = (torch.from_numpy(x.reshape(40, 16) / 255).float() @ weight.T).argmax(1).numpy()
    np.savez(tmp_path / "test.npz", x_test=x, y_test=y)
    torch.save({"1.weight": weight}, tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    code, _, err = fairart_command(
        *(
            "evaluate",
            "--model",
            "./nets.py:linear",
            "--set",
            "model.bias=false",
            "--weights",
            "w.pt",
            "--dataset",
            "npz:test.npz",
        ),
        *("--normalization", "none", "--attack", "none", "--output", "mine"),
    )
    assert code == 0, err
    assert EvaluationResult.load(tmp_path / "mine" / "evaluation.json")["clean"].accuracy == 1


def test_random_images_of_each_class_and_a_note_about_absent_ones(fairart_command, trained, tmp_path):
    code, out, _ = fairart_command("evaluate", trained, "--attack", "none", "--limit", "7/class")
    assert code == 0
    result = EvaluationResult.load(trained / "evaluation.json")
    assert (result["clean"].confusion.support == 7).all()
    assert "no test images" not in out
    again = fairart_command("evaluate", trained, "--attack", "none", "--limit", "7/class")[1]
    assert again == out
    few = fairart_command("evaluate", trained, "--attack", "none", "--limit", "3")[1]
    present = {int(label) for label in EvaluationResult.load(trained / "evaluation.json").labels}
    absent = [str(label) for label in range(10) if label not in present]
    assert f"no test images of {len(absent)} of 10 classes: {', '.join(absent)}" in few


@pytest.mark.parametrize(
    ("gates", "code", "line"),
    [
        (["clean.accuracy=0"], 0, ""),
        (["pgd.accuracy=1.1"], 1, "pgd: accuracy is 0."),
        (["worst-class=1.01"], 1, "clean: worst-class is 0"),
        (["accuracy=0", "clean.gini=5"], 1, "clean: gini is 0."),
    ],
)
def test_a_gate_for_pipelines(fairart_command, trained, gates, code, line):
    flags = [part for gate in gates for part in ("--fail-under", gate)]
    found, out, err = fairart_command("evaluate", trained, *QUICK, *flags)
    assert found == code
    assert "written to" in out
    assert err.count("\n") == code
    if code:
        assert f"fairart: failed: {line}" in err
        assert "95 % interval [" in err


@pytest.mark.parametrize(
    ("flags", "detail"),
    [
        ([], "no run given: write 'fairart evaluate RUN'"),
        (["--model", "small-cnn"], "no dataset given: add --dataset"),
        (["--model", "small-cnn", "--dataset", "digits"], "no output given: add --output"),
        (["--model", "small-cnn", "--dataset", "digits", "--output", "{out}"], "has random weights: expected a weight file"),
        (
            ["--model", "small-cnn", "--dataset", "digits", "--output", "{out}", "--weights", "no.pt"],
            "there is no weight file no.pt",
        ),
        (["--model", "smal-cnn:x", "--dataset", "digits", "--output", "{out}"], "neither a zoo nor a module"),
        (["--model", "small-cnn", "--dataset", "digit", "--output", "{out}", "--weights", "{w}"], "did you mean 'digits'"),
        (["--model", "small-cnn", "--dataset", "digits", "--output", "{run}", "--weights", "{w}"], "has a run of fairart"),
        (["--model", "small-cnn", "--dataset", "digits", "--output", "{w}", "--weights", "{w}"], "is a file: expected a folder"),
        (
            ["--model", "small-cnn", "--dataset", "digits", "--output", "{out}", "--weights", "{w}", "--normalization", "cifer"],
            "normalization must be none, dataset, auto",
        ),
        (["{run}", "--weights", "{w}"], "--weights is for a model"),
        (["{run}", "--fail-under", "pgd=1"], "there is no metric 'pgd'"),
        (["{run}", "--fail-under", "cw.accuracy=1"], "there is no result 'cw'"),
        (["{run}", "--fail-under", "accuracy"], "--fail-under expects METRIC=VALUE"),
        (["{run}", "--limit", "5/klass"], "or 100/class for so many of each class, got '5/klass'"),
    ],
)
def test_bad_requests_are_one_line_and_write_nothing(fairart_command, trained, foreign, tmp_path, flags, detail):
    out = tmp_path / "new"
    filled = [flag.format(out=out, run=trained, w=foreign[0]) for flag in flags]
    code, printed, err = fairart_command("evaluate", *filled)
    assert (code, printed) == (2, "")
    assert err.startswith("fairart: error: ")
    assert err.count("\n") == 1
    assert detail in err
    assert not out.exists()


def test_a_model_near_chance_is_warned_about(fairart_command, tmp_path, foreign):
    torch.manual_seed(0)
    from fairart import create

    model = create("model", "small-cnn", input_shape=(1, 8, 8), nb_classes=10)
    torch.save(model.state_dict(), tmp_path / "random.pt")
    code, _, err = fairart_command(
        *("evaluate", "--model", "small-cnn", "--weights", tmp_path / "random.pt", "--dataset", "digits", "--attack", "none"),
        *("--normalization", "none", "--output", tmp_path / "out"),
    )
    assert code == 0
    assert "is near chance (10.0%). Usual causes: another normalisation" in err


def test_a_file_that_would_run_code_is_refused_and_does_not(fairart_command, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    code, _, err = fairart_command(
        *("evaluate", "--model", "small-cnn", "--weights", tmp_path / "evil.pt", "--dataset", "digits"),
        *("--output", tmp_path / "out"),
    )
    assert code == 2
    assert err.count("\n") == 1
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()
