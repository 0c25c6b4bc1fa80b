"""Plugin managers without installed plugins."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import pytest
from plugin_things import FakePoint

from fairart.plugins import PluginManager


@pytest.fixture
def manager() -> PluginManager:
    return PluginManager(entry_points=False, strict=False, trace=False)


@pytest.fixture
def strict() -> PluginManager:
    return PluginManager(entry_points=False, strict=True, trace=False)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(**points: Any) -> None:
        def entry_points(*, group: str) -> list[FakePoint]:
            assert group == "fairart"
            return [FakePoint(name.replace("_", "-"), answer) for name, answer in points.items()]

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)

    return put
