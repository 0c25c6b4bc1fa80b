"""Writing new plugins: an installable package with a small working part of any kind, its tests and its README.

Nothing heavy is imported here, so that a name is refused in an instant.
"""

from __future__ import annotations

from fairart.plugins.scaffold.names import PluginNames, plugin_names
from fairart.plugins.scaffold.write import rendered, write_plugin

__all__ = ["PluginNames", "plugin_names", "rendered", "write_plugin"]
