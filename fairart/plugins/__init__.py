"""The plugin system: extension points, the manager that loads plugins, and making registered things by name."""

from __future__ import annotations

from fairart.plugins.hookspecs import FUNCTION_KINDS, HOOK_OF_KIND, hookimpl
from fairart.plugins.manager import (
    BUILTIN,
    BrokenPlugin,
    PluginManager,
    Registration,
    create,
    get_plugin_manager,
    origin,
    registered,
)

__all__ = [
    "BUILTIN",
    "FUNCTION_KINDS",
    "HOOK_OF_KIND",
    "BrokenPlugin",
    "PluginManager",
    "Registration",
    "create",
    "get_plugin_manager",
    "hookimpl",
    "origin",
    "registered",
]
