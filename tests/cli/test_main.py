"""The command as a whole: help without heavy imports, wrong commands, exit codes, what a terminal sees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

import fairart
from fairart.cli import main as main_module
from fairart.cli.main import COMMANDS, main
from fairart.runs.config import RunConfig

HEAVY = ("numpy", "torch", "art", "torchvision", "sklearn", "yaml", "rich", "matplotlib", "tqdm", "safetensors")

PROBE = (
    "import json, sys\n"
    "from fairart.cli.main import main\n"
    "code = main(json.loads(sys.argv[1]))\n"
    f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))\n"
)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["train", "--help"], 0),
        (["evaluate", "--help"], 0),
        (["demo", "--help"], 0),
        (["compare", "--help"], 0),
        (["report", "--help"], 0),
        (["report"], 2),
        (["benchmark", "--help"], 0),
        (["benchmark", "x.yaml", "--workers", "-2"], 2),
        (["corrupt", "--help"], 0),
        (["corrupt", "digits"], 2),
        (["trian"], 2),
        (["train", "at", "--epoch-s", "3"], 2),
        (["train", "at", "--eps", "-1", "--output", "x"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_help_and_mistyped_flags_import_nothing_heavy(arguments, code):
    done = subprocess.run([sys.executable, "-c", PROBE, json.dumps(arguments)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [code, []]


def test_wrong_names_are_found_before_torch_is_imported():
    # Installed plugins may import what they like; without them the registry is light.
    probe = "import fairart.plugins.manager as p\np._manager = p.PluginManager(entry_points=False)\n" + PROBE
    for arguments in (["train", "fair-tta", "--output", "x"], ["train", "at", "--output", "x", "--dataset", "digitz"]):
        done = subprocess.run([sys.executable, "-c", probe, json.dumps(arguments)], capture_output=True, text=True, check=True)
        code, heavy = json.loads(done.stdout.splitlines()[-1])
        assert (code, [name for name in heavy if name not in ("yaml",)]) == (2, [])


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "fairart", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"fairart {fairart.__version__}\n"


LISTING = (
    "import sys, fairart.plugins as plugins\n"
    "from fairart.cli.main import main\n"
    "plugins.manager._manager = plugins.PluginManager(entry_points=False)\n"
    "sys.exit(main(['plugins', '--kind', 'averaging']))\n"
)


def test_a_reader_who_has_left_gets_no_traceback():
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, "-c", LISTING], stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_help_names_every_command_and_every_field_has_a_flag(fairart_command):
    code, out, _ = fairart_command("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    out = fairart_command("train", "--help")[1]
    for name, declared in RunConfig.declared().items():
        assert declared.option.description, name
        if name not in ("trainer", "options"):
            assert re.search(rf"--{name.replace('_', '-')}[ ,]", out)
    assert "METHOD" in out
    assert "--set KIND.OPTION=VALUE" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "there is no command 'trian'; did you mean 'train'"),
        (["--verson"], "unknown flag --verson; did you mean '--version'"),
        (["train", "-epochs", "3"], "unknown flag -epochs; did you mean '--epochs'"),
        (["train", "at", "--epochs"], "--epochs: expected one argument"),
        (["train", "at", "--epoch", "3"], "unknown flag --epoch; did you mean '--epochs'"),
    ],
)
def test_mistyped_commands_and_flags(fairart_command, arguments, told):
    code, out, err = fairart_command(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_no_command_shows_the_help(fairart_command):
    code, out, _ = fairart_command()
    assert code == 2
    assert "commands:" in out


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (fairart.errors.PluginError("plugin 'x' broke"), 2, "fairart: error: plugin 'x' broke\n"),
        (RuntimeError("diverged"), 1, "fairart: error: diverged\n"),
        (KeyError("lost"), 1, "fairart: error: KeyError: 'lost' (FAIRART_DEBUG=1 shows where)\n"),
        (ValueError("two\nlines"), 2, "fairart: error: two lines\n"),
        (PermissionError(13, "Permission denied", "/some/file"), 2, "fairart: error: /some/file: Permission denied\n"),
        (KeyboardInterrupt(), 130, "fairart: interrupted\n"),
    ],
)
def test_errors_are_one_line_and_a_code(monkeypatch, capsys, error, code, told):
    def fail(arguments):
        raise error

    monkeypatch.setattr(main_module, "_run", fail)
    assert main([]) == code
    assert capsys.readouterr().err == told


def test_a_terminal_gets_drawn_tables(fairart_command, monkeypatch):
    plain = fairart_command("plugins", "--kind", "averaging")[1]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    drawn = fairart_command("plugins", "--kind", "averaging")[1]
    assert "┃" in drawn
    assert "┃" not in plain


def test_the_demo_gets_its_flags(fairart_command, monkeypatch, tmp_path):
    import fairart.runs.demo

    called = {}

    class Result:
        def to_dict(self):
            return {"gain": float("nan")}

    def run_demo(output, **options):
        called.update(output=output, **options)
        print("progress")
        return Result()

    monkeypatch.setattr(fairart.runs.demo, "run_demo", run_demo)
    code, out, err = fairart_command("demo", "--output", tmp_path / "d", "--seeds", "2", "--json", "--overwrite", "--quiet")
    assert (code, json.loads(out), err) == (0, {"gain": None}, "progress\n")
    assert called == {"output": tmp_path / "d", "seeds": 2, "verbose": False, "overwrite": True}
    assert fairart_command("demo", "--seeds", "0")[0] == 2


def test_with_json_an_error_is_a_json_document_too(fairart_command):
    code, out, err = fairart_command("evaluate", "no-such-run", "--json")
    assert code == 2
    document = json.loads(out)["error"]
    assert document["exit_code"] == 2
    assert document["type"] == "RunError"
    assert err == f"fairart: error: {document['message']}\n"
