"""What the site says of the tree and of the names is true."""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PUBLIC = (
    *("fairart", "fairart.trainers", "fairart.policies", "fairart.objectives", "fairart.attacks", "fairart.engine"),
    *("fairart.evaluation", "fairart.corruptions", "fairart.datasets", "fairart.statistics", "fairart.errors"),
    *("fairart.plugins", "fairart.options", "fairart.hookspecs", "fairart.testing", "fairart.benchmark", "fairart.reporting"),
    "fairart.tuning",
)


@pytest.fixture(scope="module")
def pages():
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "hooks" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_path_that_contributing_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:fairart|docs|benchmarks|tests)/[\w./]*)`", text))
    assert len(paths) > 20
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_page_of_the_navigation_is_there_or_made(pages):
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r": ([\w/]+\.md)$", navigation, re.MULTILINE))
    made = {*pages.INCLUDED, "parts.md", "leaderboard.md", *(f"api/{name}.md" for name in pages.REFERENCE)}
    assert named - made == {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_stands_in_the_reference(package, pages):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = "\n".join(pages.reference_page(name) for name in pages.REFERENCE)
    module = importlib.import_module(package)
    missing = [
        name
        for name in module.__all__
        if not isinstance(getattr(module, name), str) and not re.search(rf"^::: fairart[\w.]*\.{name}$", text, re.MULTILINE)
    ]
    assert missing == []


def test_every_part_has_its_options_on_the_page_of_parts(pages):
    text = pages.parts_page()
    assert "| `lambda1` | `float` | `0.5` |" in text
    assert text.count("### `") > 60


def test_the_citation_is_yaml_with_what_the_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= citation.keys()
    assert citation["version"] == importlib.import_module("fairart").__version__
