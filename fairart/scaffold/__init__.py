"""Writing new plugins: an installable package with a small working part of any kind, its tests and its README.

Nothing heavy is imported here, so that a name is refused in an instant.
"""

from __future__ import annotations

from fairart.scaffold.names import PluginNames, plugin_names
from fairart.scaffold.write import rendered, write_plugin

__all__ = ["PluginNames", "plugin_names", "rendered", "write_plugin"]
