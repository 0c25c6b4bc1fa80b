"""What is written for every kind passes its own tests, is clean, and works by name as its README says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from art.estimators.classification import PyTorchClassifier

import fairart
from fairart import create, registered
from fairart.cli.main import main
from fairart.plugins.hookspecs import FUNCTION_KINDS, HOOK_OF_KIND
from fairart.plugins.options import declared_options
from fairart.plugins.scaffold import plugin_names, rendered

from .conftest import Written

ROOT = Path(fairart.__file__).parents[1]
QUICK = "--per-class 12 --epochs 2 --eps 0.1 --eps-step 0.05 --max-iter 2 --batch-size 40 --device cpu --quiet"
SHORT = shlex.split(QUICK)
TRAINED = [
    "class_weighting",
    "class_sampling",
    "classification_loss",
    "target_sampler",
    "epsilon_scheduler",
    "weight_perturbation",
    "averaging",
    "objective",
]
HEAVY = ("torch", "art", "sklearn")


def environment(*paths: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAIRART_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, (*paths, ROOT))), "OMP_NUM_THREADS": "1"}


def commands_of(readme: Path) -> list[list[str]]:
    """The lines of a README that begin with ``fairart``, split as a shell does."""
    lines = re.findall(r"^    fairart (.+)$", readme.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


def run_readme(folder: Path) -> list[list[str]]:
    """Run every command of a README, training shortened."""
    commands = commands_of(folder / "README.md")
    for command in commands:
        short = {"train": SHORT, "evaluate": ["--quiet", "--set", "pgd.max_iter=1"]}.get(command[0], [])
        assert main([*command, *short]) == 0, command
    return commands


def test_their_own_tests_pass(written: Written, site: Path) -> None:
    folders = [str(folder / "tests") for folder in written.folders.values()]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders]
    done = subprocess.run(command, cwd=site, env=environment(site), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= 3 * len(HOOK_OF_KIND)


@pytest.mark.parametrize("config", [[], ["--config", str(ROOT / "ruff.toml")]], ids=["own settings", "settings of fairart"])
def test_ruff_finds_nothing(written: Written, config: list[str]) -> None:
    if shutil.which("ruff") is None or not (ROOT / "ruff.toml").is_file():
        pytest.skip("ruff is not installed, or this is no checkout")
    for folder in written.folders.values():
        for command in (["check", "--no-cache"], ["format", "--no-cache", "--diff"]):
            # Not what building left beside them.
            sources = ["tests", *(path.name for path in folder.glob("fairart_my_*"))]
            done = subprocess.run(["ruff", *command, *config, *sources], cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


def test_the_longest_name_breaks_no_line() -> None:
    for kind in HOOK_OF_KIND:
        for path, text in rendered(plugin_names("m" * 30, kind)).items():
            if path.endswith(".py"):
                assert max(map(len, text.splitlines())) <= 130, path


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", HOOK_OF_KIND)
def test_it_is_listed_with_its_options_described(written: Written, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = written.names[kind].name
    entry = registered(kind)[name]
    assert entry.plugin == name
    assert main(["plugins", kind, name, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["description"].endswith(".")
    options = declared_options(entry.load(), keyword_only=kind in FUNCTION_KINDS)
    handed_in = {"classifier", "generator"}
    assert all(spec.option.description for option, spec in options.items() if option not in handed_in)
    assert shown["options"], "an author looks for how options are declared"


def test_listing_them_imports_nothing_heavy(site: Path) -> None:
    probe = (
        "import sys; from fairart.cli.main import main; code = main(['plugins', '--kind', 'attack'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "from fairart.plugins import get_plugin_manager; print('my-attack' in get_plugin_manager().plugins)"
    )
    # Isolated from whatever plugins the environment has besides: they may import what they like.
    only = (
        "import importlib.metadata as m; whole = m.entry_points\n"
        "m.entry_points = lambda **k: [p for p in whole(**k) if p.name.startswith('my-')]\n"
    )
    done = subprocess.run([sys.executable, "-c", only + probe], env=environment(site), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "True"]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", [*TRAINED, "dataset", "model", "trainer"])
def test_it_trains_by_name_as_its_readme_says(
    written: Written, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = written.names[kind].name
    show, train = run_readme(written.folders[kind])
    assert (show, train[0]) == (["plugins", kind, name], "train")
    config = yaml.safe_load((tmp_path / "runs" / name / "config.yaml").read_text())
    assert config[kind] == name
    assert config["options"][kind], "the README shows how an option is set"
    history = [json.loads(line) for line in (tmp_path / "runs" / name / "history.jsonl").read_text().splitlines()]
    assert len(history) == 2
    assert (tmp_path / "runs" / name / "model.safetensors").is_file()


@pytest.mark.usefixtures("installed")
def test_the_augmentation_trains_in_a_list_as_its_readme_says(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = written.names["augmentation"].name
    run_readme(written.folders["augmentation"])
    config = yaml.safe_load((tmp_path / "runs" / name / "config.yaml").read_text())
    assert config["augmentation"] == f"crop-flip,{name}:sigma=0.05"


@pytest.mark.usefixtures("installed")
def test_all_of_them_train_together(written: Written, tmp_path: Path) -> None:
    name = {kind: names.name for kind, names in written.names.items()}
    flags = [
        text for kind in (*TRAINED, "augmentation", "dataset", "model") for text in (f"--{kind.replace('_', '-')}", name[kind])
    ]
    output = tmp_path / "together"
    assert main(["train", name["trainer"], *flags, *SHORT, "--output", str(output)]) == 0
    assert main(["evaluate", str(output), "--attack", name["attack"], "--quiet", "--limit", "40"]) == 0
    evaluation = (output / "evaluation.json").read_text()
    assert name["attack"] in evaluation


@pytest.mark.usefixtures("installed")
def test_the_attack_evaluates_by_name_as_its_readme_says(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = run_readme(written.folders["attack"])
    assert [command[0] for command in commands] == ["plugins", "train", "evaluate"]
    assert '"decay": 0.9' in (tmp_path / "runs" / "at" / "evaluation.json").read_text()


@pytest.mark.usefixtures("installed")
def test_the_certificate_certifies_by_name_as_its_readme_says(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = run_readme(written.folders["certificate"])
    assert [command[0] for command in commands] == ["plugins", "train", "evaluate"]
    assert '"lipschitz": 1000000.0' in (tmp_path / "runs" / "at" / "evaluation.json").read_text()


@pytest.mark.usefixtures("installed")
def test_the_defence_is_measured_by_name_as_its_readme_says(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = run_readme(written.folders["defence"])
    assert [command[0] for command in commands] == ["plugins", "train", "evaluate"]
    (defence,) = json.loads((tmp_path / "runs" / "at" / "evaluation.json").read_text())["defences"]
    assert defence["config"]["options"] == {"sigma": 0.2, "draws": 8}
    assert [one["attack"] for one in defence["attacks"]] == ["pgd"]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", ["fairness_metric", "corruption"])
def test_the_code_of_its_readme_runs(written: Written, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    digits = create("dataset", "digits")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    classifier = PyTorchClassifier(model, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu")
    names: dict[str, Any] = {"classifier": classifier, "x_test": digits.x_test[:60], "y_test": digits.y_test[:60]}
    readme = (written.folders[kind] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), names)
    if kind == "fairness_metric":
        clean, robust = map(float, capsys.readouterr().out.split())
        assert 0 <= clean < 1
        assert 0 <= robust < 1
    else:
        assert names["made"].describe()["options"] == {written.names[kind].name: {"grey": 0.0}}
        assert (names["x"] == 0).flatten(1).any(dim=1).all(), "every image is covered somewhere"
