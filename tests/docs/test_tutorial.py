"""Every block of the tutorial runs, in its order, in one folder."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import matplotlib
import pytest

import fairart.plugins
from fairart.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|shell)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore:.* cannot cross a ball of eps:UserWarning")
def test_every_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))
    matplotlib.use("Agg")
    names: dict[str, object] = {}
    printed = io.StringIO()
    for language, block in BLOCKS:
        with contextlib.redirect_stdout(printed):
            if language == "python":
                exec(compile(block, "tutorial.md", "exec"), names)  # our own page
            else:
                for line in block.splitlines():
                    command, *arguments = shlex.split(line)
                    assert command == "fairart"
                    assert main(arguments) == 0, line
    assert {language for language, _ in BLOCKS} == {"python", "shell"}
    assert len(names["trainer"].history) == 2
    assert "worst class under PGD: AT" in printed.getvalue()
    assert (tmp_path / "report.html").stat().st_size > 10_000
