"""docs/stability.md lists the stable modules and every moved name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
TABLE = re.findall(r"^\| (`fairart.*?) \|", TEXT.partition("## What a version")[0], re.MULTILINE)
STABLE = sorted(re.findall(r"`([\w.]+)`", " ".join(TABLE)))
ROW = re.compile(r"^\| `([\w.]+)` \| `([\w.]+)` \| ([\d.]+) \|$", re.MULTILINE)
CALL = re.compile(r'^warn_moved\(\s*"([\w.]+)",\s*"([\w.]+)",\s*removed_in="([\d.]+)"', re.MULTILINE)


def test_stable_modules_are_listed() -> None:
    assert len(STABLE) == len(set(STABLE)) == 18
    assert "fairart.trainers" in STABLE


@pytest.mark.parametrize("name", STABLE)
def test_every_stable_module_exports_its_names(name: str) -> None:
    module = importlib.import_module(name)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


def test_every_moved_name_is_listed() -> None:
    moved = {call for path in (ROOT / "fairart").rglob("*.py") for call in CALL.findall(path.read_text(encoding="utf-8"))}
    assert moved
    assert set(ROW.findall(TEXT)) == moved
