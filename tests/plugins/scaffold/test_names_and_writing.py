"""One name gives all others, bad ones are refused in one line, and a folder is written whole or not at all."""

from __future__ import annotations

import json
import keyword
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fairart.plugins
import fairart.plugins.scaffold.write
from fairart.cli.main import main
from fairart.errors import OptionError
from fairart.plugins.hookspecs import HOOK_OF_KIND
from fairart.plugins.scaffold import plugin_names, write_plugin

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))


@pytest.fixture
def new(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["plugins", "new", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@settings(max_examples=50, deadline=None)
@given(
    name=st.from_regex(r"[A-Za-z]([A-Za-z0-9._-]{0,28}[A-Za-z0-9])?", fullmatch=True), kind=st.sampled_from(sorted(HOOK_OF_KIND))
)
def test_every_valid_name_gives_names_that_python_and_pip_take(name: str, kind: str) -> None:
    try:
        names = plugin_names(name, kind)
    except OptionError:
        short = canonicalize_name(name).removeprefix("fairart-")
        assert short in ("none", "new", "test", "tests") or not short[0].isalpha()
        return
    assert Requirement(names.distribution).name == canonicalize_name(names.distribution) == names.distribution
    assert names.name == canonicalize_name(name).removeprefix("fairart-")
    for identifier in (names.package, names.attribute):
        assert identifier.isidentifier()
        assert not keyword.iskeyword(identifier)
    assert plugin_names(names.distribution, kind) == names


@pytest.mark.parametrize(
    ("name", "kind", "attribute"),
    [
        ("near-miss", "target_sampler", "NearMissSampler"),
        ("near-miss-sampler", "target-sampler", "NearMissSampler"),
        ("sampler", "target_sampler", "SamplerSampler"),
        ("lambda", "attack", "lambda_attack"),
        ("load-cells", "dataset", "load_cells"),
        ("Fairart_Cells.2024", "dataset", "load_cells_2024"),
        ("sum", "fairness_metric", "sum_metric"),
    ],
)
def test_the_attribute_says_its_kind_once(name: str, kind: str, attribute: str) -> None:
    assert plugin_names(name, kind).attribute == attribute


def test_a_folder_is_written_and_what_comes_next_is_said(new: Command, tmp_path: Path) -> None:
    code, out, err = new("Near_Miss", "--kind", "target-sampler", "--output", tmp_path / "made" / "here")
    folder = tmp_path / "made" / "here" / "fairart-near-miss"
    assert (code, err) == (0, "")
    files = [
        "README.md",
        "fairart_near_miss/__init__.py",
        "fairart_near_miss/target_sampler.py",
        "pyproject.toml",
        "tests/test_near_miss.py",
    ]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == files
    assert all(file in out for file in files)
    assert f"cd {folder} && pip install -e '.[test]' && pytest" in out
    assert list(folder.parent.iterdir()) == [folder]


def test_it_is_put_into_the_working_folder_by_default_and_json_is_one_document(
    new: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = new("near-miss", "--kind", "attack", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["folder"] == "fairart-near-miss"
    assert (document["kind"], document["name"], document["attribute"]) == ("attack", "near-miss", "near_miss_attack")
    assert all((tmp_path / document["folder"] / file).is_file() for file in document["files"])


def test_it_works_from_its_folder_without_being_installed(new: Command, tmp_path: Path) -> None:
    assert new("near-miss", "--kind", "target_sampler", "--output", tmp_path)[0] == 0
    manager = fairart.plugins.PluginManager(entry_points=False, strict=True)
    assert manager.load_folder(tmp_path / "fairart-near-miss") == ["fairart_near_miss"]
    assert type(manager.create("target_sampler", "near-miss", smoothing=2)).__name__ == "NearMissSampler"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["near miss", "--kind", "attack"], "'near miss' is no valid name of a distribution"),
        (["-x", "--kind", "attack"], "unknown flag -x"),
        (["near-", "--kind", "attack"], "end with a letter or digit"),
        (["3d", "--kind", "attack"], "must start with a letter"),
        (["fairart-3d", "--kind", "attack"], "what follows 'fairart-' must start with a letter"),
        (["../evil", "--kind", "attack"], "no valid name"),
        (["ümlaut", "--kind", "attack"], "no valid name"),
        (["x" * 31, "--kind", "attack"], "may have 30 characters"),
        (["None", "--kind", "attack"], "'none' means something else"),
        (["PGD", "--kind", "attack"], "attack 'pgd' is registered already by plugin 'fairart'"),
        (["fairart", "--kind", "attack"], "there is a plugin named 'fairart' already"),
        (["near-miss", "--kind", "atack"], "there is no kind 'atack'; did you mean 'attack'"),
        (["near-miss"], "no kind given: add --kind KIND; known: attack, augmentation, averaging"),
        ([], "no name given"),
        (["near-miss", "attack"], "unexpected argument 'attack'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(
    new: Command, tmp_path: Path, arguments: list[str], told: str
) -> None:
    code, out, err = new(*arguments, "--output", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("fairart: error: ")
    assert err.count("\n") == 1
    assert told in err
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_the_plugins_folder_is_taken_too(new: Command, tmp_path: Path) -> None:
    assert new("near-miss", "--kind", "attack", "--output", tmp_path)[0] == 0
    folder = tmp_path / "fairart-near-miss"
    err = new("near-miss", "--kind", "attack", "--output", tmp_path / "other", "--plugins-dir", folder)[2]
    assert "attack 'near-miss' is registered already by plugin 'fairart_near_miss'" in err
    assert not (tmp_path / "other").exists()


def test_output_without_new_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "attack", "--output", "x"]) == 2
    assert "--output goes with 'fairart plugins new NAME --kind KIND'" in capsys.readouterr().err


@pytest.mark.parametrize("there", ["folder", "file", "dangling link"])
def test_what_is_there_already_stays_as_it_is(new: Command, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "fairart-near-miss"
    if there == "folder":
        folder.mkdir()
    elif there == "file":
        folder.write_text("mine")
    else:
        folder.symlink_to(tmp_path / "nowhere")
    code, _, err = new("near-miss", "--kind", "attack", "--output", tmp_path)
    assert code == 2
    assert f"{str(folder)!r} is there already" in err
    assert list(tmp_path.iterdir()) == [folder]
    assert there != "folder" or list(folder.iterdir()) == []


def test_a_file_in_place_of_the_parent_is_named(new: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = new("near-miss", "--kind", "attack", "--output", tmp_path / "file" / "below")
    assert code == 2
    assert f"{str(tmp_path / 'file')!r} is a file" in err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("parent", [".", "made/for/it"])
def test_a_failure_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, parent: str
) -> None:
    whole, written = fairart.plugins.scaffold.write._write, []

    def write(path: Path, text: str) -> Any:
        if len(written) == 3:
            raise error
        written.append(path)
        return whole(path, text)

    monkeypatch.setattr(fairart.plugins.scaffold.write, "_write", write)
    with pytest.raises(type(error)):
        write_plugin(plugin_names("near-miss", "attack"), tmp_path / parent)
    assert len(written) == 3
    assert list(tmp_path.iterdir()) == []


def test_names_are_refused_before_anything_heavy_is_imported() -> None:
    # Installed plugins may import what they like; without them the registry is light.
    probe = (
        "import sys, fairart.plugins as p\np._manager = p.PluginManager(entry_points=False)\n"
        "from fairart.cli.main import main\ncode = main(['plugins', 'new', 'fawa', '--kind', 'averaging'])\n"
        "print(code, [name for name in ('numpy', 'torch', 'art', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 []"
    assert "averaging 'fawa' is registered already" in done.stderr
