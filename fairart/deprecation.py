"""How a public name is taken out of use: it works for two minor versions more, with a warning that names its successor."""

from __future__ import annotations

import warnings

__all__ = ["warn_moved"]


def warn_moved(old: str, new: str, *, removed_in: str, stacklevel: int = 3) -> None:
    """Warn that a module has moved.

    Args:
        old: dotted name of the module that is imported.
        new: dotted name to import instead.
        removed_in: first version without the old name, such as ``"0.4"``.
        stacklevel: of the warning; 3 points at the import of a module that calls this at its top level.
    """
    warnings.warn(
        f"{old} has moved to {new}; the old name will be removed in fairart {removed_in}",
        DeprecationWarning,
        stacklevel=stacklevel,
    )
