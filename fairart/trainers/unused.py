"""Settings of a fit that would go unused without a word: what sets in after its end, and a watch that nothing needs."""

from __future__ import annotations

import warnings

from fairart.engine.method import Budget, Method
from fairart.execution import OnOverfitting
from fairart.plugins import origin
from fairart.plugins.options import declared_options
from fairart.policies import Averaging, Policy

__all__ = ["warn_unused"]


def warn_unused(method: Method, budget: Budget, on_overfitting: OnOverfitting, *, nb_epochs: int, stacklevel: int) -> None:
    """Warn of parts that set in after the last epoch, and of an ``on_overfitting`` that has nothing to watch.

    Only a number of epochs that was chosen is looked at. Weight averaging says by itself that it took in no epoch.

    Args:
        method: the parts.
        budget: of the inner attack.
        on_overfitting: what the user asked for.
        nb_epochs: epochs that the trainer will have trained after this fit.
        stacklevel: of the warning.
    """
    for _, policy in method.policies():
        name, epoch = _beginning(policy)
        if epoch >= nb_epochs:
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


def _beginning(policy: Policy) -> tuple[str, int]:
    """The option that says after how many epochs a part sets in, and that number; 0 where nobody chose one."""
    if isinstance(policy, Averaging):
        return "", 0
    declared = declared_options(type(policy))
    for name in ("warm_up", "start_epoch"):
        epoch = getattr(policy, name, None)
        # A default of the method's own is no choice: a run of one epoch need not explain itself.
        if name in declared and isinstance(epoch, int) and epoch != declared[name].default:
            return name, epoch
    return "", 0
