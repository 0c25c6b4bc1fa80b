"""CFOL: classes whose adversarial examples fool the model are drawn more often, learnt batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor

from fairart.errors import PolicyError
from fairart.plugins import origin
from fairart.plugins.options import Option
from fairart.policies.base import FloatArray
from fairart.policies.class_samplings.base import ClassSampling
from fairart.statistics import EpochStatistics

__all__ = ["ClassFocusedSampling"]


class ClassFocusedSampling(ClassSampling):
    """CFOL: p = gamma / K + (1 - gamma) softmax(w), and w_k += eta / p_k for every fooled sample (Pethick et al., 2023).

    The exponential weights of Exp3 on the 0-1 loss of each class, with p from before the batch, w = 0 at first. Classes without
    training samples take no part.

    Program: eta 1e-5; its README's example: 1e-7; chosen by validation. Both suit 50 000 images and hundreds of epochs: in a
    short run on few images w hardly moves, and a larger eta is needed.

    Args:
        gamma: share of uniform draws, in (0, 1].
        eta: step of w, >= 0.
    """

    # On the class: a subclass whose __init__ does not call this one has them too.
    _learnt: Tensor | None = None

    def __init__(
        self,
        *,
        gamma: Annotated[float, Option("share of uniform draws", low=0, low_open=True, high=1, source="CFOL 0.5")] = 0.5,
        eta: Annotated[float, Option("step of the weights", low=0, source="CFOL program 1e-5, its README 1e-7")] = 1e-5,
    ) -> None:
        self.gamma, self.eta = gamma, eta

    def start(self, nb_classes: int) -> None:
        """Begin with w = 0, unless there are weights for that many classes."""
        super().start(nb_classes)
        if self._learnt is None or len(self._learnt) != nb_classes:
            self._learnt = torch.zeros(nb_classes, dtype=torch.float64)

    def learnt(self, device: torch.device) -> Tensor:
        """(K,) w on a device, where it stays.

        Raises:
            PolicyError: before :meth:`start`.
        """
        if self._learnt is None:
            raise PolicyError(f"{origin(self)}: weights are asked for before start()")
        self._learnt = self._learnt.to(device)
        return self._learnt

    def in_force(self, device: torch.device) -> Tensor:
        """(K,) p from the present weights."""
        present = torch.as_tensor(self.present, device=device)
        shares = torch.softmax(self.learnt(device).masked_fill(~present, -torch.inf), dim=0)
        return torch.where(present, self.gamma / present.sum().double() + (1 - self.gamma) * shares, 0.0)

    def batch_end(self, labels: Tensor, logits: Tensor) -> None:
        """w_k += eta / p_k for each sample of class k that the model gets wrong."""
        probabilities = self.in_force(labels.device)
        fooled = (logits.argmax(dim=1) != labels).double()
        counts = self.all_reduce(torch.zeros_like(probabilities).index_add_(0, labels, fooled))
        # A class without samples has probability 0 and nothing fooled: its weight stays.
        self._learnt = self.learnt(labels.device) + torch.where(counts > 0, self.eta * counts / probabilities, 0.0)

    def probabilities(self, statistics: EpochStatistics) -> FloatArray:
        """(K,) p, as the last batch left it."""
        device = torch.device("cpu") if self._learnt is None else self._learnt.device
        plan: FloatArray = self.in_force(device).cpu().numpy()
        return plan

    def state_dict(self) -> dict[str, Any]:
        """The plan and the weights behind it."""
        return {**super().state_dict(), "learnt": None if self._learnt is None else self._learnt.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the weights back."""
        super().load_state_dict(state)
        learnt = state["learnt"]
        self._learnt = None if learnt is None else torch.tensor(learnt, dtype=torch.float64)
