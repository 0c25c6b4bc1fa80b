"""fairart: class-fair adversarial training on top of the Adversarial Robustness Toolbox.

Importing this package loads neither torch nor ART; the subpackages do when they are imported.
"""

from __future__ import annotations

from fairart.plugins import create, registered
from fairart.plugins.hookspecs import hookimpl

__all__ = ["__version__", "create", "hookimpl", "registered"]

__version__ = "0.1.0"
