"""A plugin of every kind, written by the command, built into wheels and put on the path, as pip would."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import fairart.plugins
from fairart.cli.main import main
from fairart.plugins.hookspecs import HOOK_OF_KIND
from fairart.plugins.scaffold import PluginNames, plugin_names

torch.set_num_threads(1)

# setuptools builds by the working folder: one process for all, instead of pip's three a package.
BUILD = """
import os, sys
from setuptools import build_meta
wheels, *folders = sys.argv[1:]
for folder in folders:
    os.chdir(folder)
    build_meta.build_wheel(wheels)
"""


@dataclass(frozen=True)
class Written:
    """What ``fairart plugins new`` wrote: a folder for each kind."""

    folders: dict[str, Path]
    names: dict[str, PluginNames]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    outer = tmp_path_factory.mktemp("new-plugins")
    names = {kind: plugin_names(f"my-{kind}", kind) for kind in HOOK_OF_KIND}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))
        for kind in HOOK_OF_KIND:
            assert main(["plugins", "new", f"my-{kind}", "--kind", kind, "--output", str(outer)]) == 0
    return Written({kind: outer / names[kind].distribution for kind in HOOK_OF_KIND}, names)


@pytest.fixture(scope="session")
def site(written: Written, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every package installed."""
    pytest.importorskip("setuptools", minversion="70.1", reason="older ones need another package to build wheels")
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", BUILD, str(wheels), *map(str, written.folders.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for wheel in wheels.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(site)
    return site


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The packages on the path of this process, found by their entry points."""
    monkeypatch.syspath_prepend(site)
    before = set(sys.modules)
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(strict=True))
    yield site
    for name in set(sys.modules) - before:
        if name.startswith("fairart_my_"):
            del sys.modules[name]
