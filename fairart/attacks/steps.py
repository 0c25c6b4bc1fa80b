"""The step of iterated attacks: it follows eps, and one too small to cross the ball is named."""

from __future__ import annotations

import warnings
from typing import Annotated

from fairart.plugins.options import Option

__all__ = ["STEP_SHARE", "EpsStep", "step_of", "warn_short_steps"]

STEP_SHARE = 1 / 4
"""Step over eps where the user names none: 2/255 at 8/255, as in the papers of this field."""

EpsStep = Annotated[float | None, Option("step, in the units of eps; None for a quarter of eps", low=0, low_open=True)]


def step_of(eps: float, eps_step: float | None, max_iter: int) -> float:
    """The step that an attack takes: the user's, else a quarter of eps, or eps / max_iter for fewer than four steps.

    Args:
        eps: radius, >= 0.
        eps_step: what the user named, or None.
        max_iter: number of steps.
    """
    return eps * max(STEP_SHARE, 1 / max(1, max_iter)) if eps_step is None else eps_step


def warn_short_steps(name: str, *, eps: float, eps_step: float | None, max_iter: int, stacklevel: int = 2) -> None:
    """Warn about an attack that cannot reach the edge of its ball: step times number of steps below eps.

    Args:
        name: of the attack, for the message.
        eps: radius, >= 0.
        eps_step: step, or None for the one of :func:`step_of`.
        max_iter: number of steps.
        stacklevel: of the warning.
    """
    step = step_of(eps, eps_step, max_iter)
    # A little slack: 4 steps of eps / 4 may fall short of eps by rounding.
    if max_iter > 0 and step * max_iter < eps * (1 - 1e-6):
        warnings.warn(
            f"{name}: {max_iter} steps of {step:.4g} cannot cross a ball of eps {eps:.4g}, so it is weaker than its eps says: "
            f"take eps_step={step_of(eps, None, max_iter):.4g}",
            UserWarning,
            stacklevel=stacklevel,
        )
