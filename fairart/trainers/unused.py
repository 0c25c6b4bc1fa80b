"""Settings of a fit that would go unused without a word: what sets in after its end, and a watch that nothing needs."""

from __future__ import annotations

import warnings

from fairart.engine.method import Budget, Method
from fairart.execution import OnOverfitting
from fairart.plugins import origin
from fairart.policies import Averaging

__all__ = ["warn_unused"]


def warn_unused(method: Method, budget: Budget, on_overfitting: OnOverfitting, *, nb_epochs: int, stacklevel: int) -> None:
    """Warn of parts that set in after the last epoch, and of an ``on_overfitting`` that has nothing to watch.

    Weight averaging says by itself that it took in no epoch.

    Args:
        method: the parts.
        budget: of the inner attack.
        on_overfitting: what the user asked for.
        nb_epochs: epochs that the trainer will have trained after this fit.
        stacklevel: of the warning.
    """
    for _, policy in method.policies():
        for name in ("warm_up", "start_epoch"):
            epoch = getattr(policy, name, None)
            if isinstance(epoch, int) and epoch >= nb_epochs and not isinstance(policy, Averaging):
                warnings.warn(
                    f"{origin(policy)} does nothing in this run of {nb_epochs} epochs: it sets in after {epoch} ({name})",
                    UserWarning,
                    stacklevel=stacklevel + 1,
                )
    if on_overfitting != "stop" and not method.takes_one_step(budget):
        warnings.warn(
            f"on_overfitting={on_overfitting!r} goes unused: only training with one gradient a batch is watched",
            UserWarning,
            stacklevel=stacklevel + 1,
        )
