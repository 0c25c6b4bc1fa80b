"""What all policies share: what they need measured, state that survives a checkpoint, and answers that are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.statistics import ConfusionMatrix

__all__ = ["FloatArray", "IntArray", "Policy", "ask", "checked"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def ask(owner: object, method: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a policy's method; what it raises is reported under the policy's name.

    Raises:
        PolicyError: the method raised.
    """
    try:
        return function(*arguments)
    except PolicyError:
        raise
    except Exception as error:
        raise PolicyError(f"{origin(owner)}: {method}() raised {type(error).__name__}: {error}") from error


def checked(
    owner: object, method: str, values: Any, shapes: tuple[tuple[int, ...], ...], *, positive: bool = False
) -> FloatArray:
    """Check what a policy answered: shape, finite, not negative.

    Args:
        owner: the policy, for the message.
        method: which method answered.
        values: the answer.
        shapes: the shapes accepted.
        positive: also refuse an answer that is zero everywhere.

    Returns:
        The answer as float64.

    Raises:
        PolicyError: the message names policy, plugin, rule, and what came.
    """
    label = f"{origin(owner)}: {method}()"
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PolicyError(f"{label} must give numbers, got {type(values).__name__}") from error
    if array.shape not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise PolicyError(f"{label} must give an array of shape {expected}, got {array.shape}")
    if not np.isfinite(array).all():
        raise PolicyError(f"{label} must give finite numbers, got NaN or infinity")
    if (array < 0).any():
        raise PolicyError(f"{label} must give no negative number, got {array.min():g}")
    if positive and not array.any():
        raise PolicyError(f"{label} must give at least one positive number, got zeros everywhere")
    return array


def _itself(tensor: Tensor) -> Tensor:
    return tensor


class Policy:
    """Base of everything that is planned between epochs.

    ``needs`` says which statistics the engine has to measure on top of the robust confusion matrix of training: any of
    ``"clean"``, ``"validation"``, ``"validation_losses"``, ``"mean_probabilities"``, ``"training_pass"``
    (see :meth:`before_epoch`). With ``"class_counts"`` a fit on a
    generator, whose classes nobody has counted, is refused.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    validation_iter: int | None = None
    """Steps of the attack on validation data that the policy asks for, or None; the most that any asks for are taken."""
    true_logit_cut: float = 0.0
    """Share of itself by which the pass over the training data lowers each true logit, so that near errors count as errors."""
    nb_classes: int = 0
    class_counts: IntArray | None = None
    """(K,) training samples of each class, set before the policy is started; None for a generator."""
    all_reduce: Callable[[Tensor], Tensor] = staticmethod(_itself)
    """Sums a tensor, in place, over the processes that share each batch; a policy that looks at a whole batch calls it."""

    def before_epoch(self, training: ConfusionMatrix) -> None:
        """Told before every epoch what the pass over the training data found, where ``needs`` has ``"training_pass"``.

        Args:
            training: predictions under PGD in eval mode, each true logit lowered by the share ``true_logit_cut`` of itself.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything that must survive a checkpoint, as numbers, text, lists and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
