"""What every test of the command line starts from: one thread, a fresh plugin manager, and short runs on digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import fairart.plugins
from fairart.cli.main import main

torch.set_num_threads(1)

SHORT = (
    "--per-class",
    "12",
    "--epochs",
    "1",
    "--eps",
    "0.1",
    "--eps-step",
    "0.05",
    "--max-iter",
    "2",
    "--batch-size",
    "60",
    "--device",
    "cpu",
)


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins of one test's folder must not be there in the next, nor those that happen to be installed."""
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))
    for name in ("FAIRART_DEBUG", "FAIRART_STRICT_PLUGINS", "FAIRART_TRACE_PLUGINS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fairart_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``run("train", ...) -> (exit code, stdout, stderr)``, in this process."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def train(fairart_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """``train(method, output, *flags)``: a run of a second."""

    def run(method: str, output: Path, *flags: object) -> tuple[int, str, str]:
        return fairart_command("train", method, *SHORT, "--output", output, *flags)

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one finished run, for tests that only read it."""
    folder = tmp_path_factory.mktemp("runs") / "at"
    assert main(["train", "at", *SHORT, "--output", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def plugins_dir(tmp_path: Path) -> Path:
    """A folder with a good plugin and a broken one."""
    folder = tmp_path / "my-plugins"
    folder.mkdir()
    (folder / "broken_one.py").write_text("import no_such_module_anywhere\n")
    (folder / "last_class.py").write_text(
        "import numpy as np\n"
        "from fairart import hookimpl\n"
        "from fairart.policies import TargetSampler\n\n"
        "class LastClass(TargetSampler):\n"
        '    """Aim at the last class."""\n\n'
        "    def __init__(self, *, rest: float = 0.01):\n"
        "        super().__init__()\n"
        "        self.rest = rest\n\n"
        "    def class_weights(self, statistics):\n"
        "        weights = np.full(statistics.robust.nb_classes, self.rest)\n"
        "        weights[-1] = 1\n"
        "        return weights\n\n"
        "@hookimpl\n"
        "def fairart_register_target_samplers(register):\n"
        '    register("last-class", LastClass)\n'
    )
    return folder
