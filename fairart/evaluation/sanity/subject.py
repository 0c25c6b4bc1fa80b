"""The samples that sanity checks look at, and what is asked of the model about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairart.attacks.common import input_gradient, make_box
from fairart.attacks.pgd import signed_cross_entropy
from fairart.engine.data import uint8_divisor
from fairart.evaluation.attacks import AttackTarget, draw_uniform
from fairart.evaluation.running.random_state import sample_seeds

__all__ = ["Loss", "Subject", "choose", "cross_entropy", "margin"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

Loss = Callable[[Tensor, Tensor], Tensor]
"""A number for logits (n, K) and labels (n,), which an attack raises."""


def choose(right: BoolArray, samples: int, seed: int) -> IntArray:
    """Up to ``samples`` positions of those that are right, drawn with a seed, in order."""
    standing = np.flatnonzero(right)
    if len(standing) > samples:
        standing = np.sort(np.random.default_rng(seed).choice(standing, samples, replace=False))
    return standing


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Summed over samples."""
    return signed_cross_entropy(logits, y, targeted=False)


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Sum over samples of the largest other logit less the own one: it grows with the attack, and never saturates."""
    own = logits.gather(1, y[:, None])[:, 0]
    return (logits.scatter(1, y[:, None], -torch.inf).amax(dim=1) - own).sum()


@dataclass(frozen=True, eq=False)
class Subject:
    """m samples that the model gets right, and the model in eval mode.

    Args:
        target: what is evaluated.
        x: (m, ...) inputs in clip values, on the device.
        y: (m,) labels, on the device.
        indices: (m,) positions in the data.
        batch_size: samples at a time.
        seed: of the evaluation.
    """

    target: AttackTarget
    x: Tensor
    y: Tensor
    indices: IntArray
    batch_size: int
    seed: int

    @classmethod
    def of(
        cls, target: AttackTarget, x: npt.NDArray[Any], y: IntArray, indices: IntArray, *, batch_size: int, seed: int
    ) -> Subject:
        """Read the samples at ``indices`` of the data of an evaluation, (n, ...) float or uint8."""
        network = target.network
        inputs = torch.as_tensor(x[indices], device=network.device).to(network.dtype)
        if x.dtype == np.uint8:
            inputs = inputs / uint8_divisor(target.classifier)
        labels = torch.as_tensor(y[indices], device=network.device)
        return cls(target, inputs, labels, indices, batch_size, seed)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def span(self) -> float:
        """How far apart two inputs can be in L-inf: the range of the clip values, or where there are none that of the samples."""
        clip = self.target.network.clip_values
        low, high = clip if clip is not None else (self.x.min(), self.x.max())
        return float((torch.as_tensor(high) - torch.as_tensor(low)).max())

    def _parts(self, indices: Tensor) -> Sequence[Tensor]:
        return [indices[first : first + self.batch_size] for first in range(0, len(indices), self.batch_size)]

    def logits(self, x: Tensor) -> Tensor:
        """(n, K) of n >= 1 inputs, as many at a time as in the evaluation."""
        with torch.no_grad():
            return torch.cat([self.target.network(x[part]) for part in self._parts(torch.arange(len(x), device=x.device))])

    def right(self, x: Tensor, index: Tensor) -> Tensor:
        """(n,) whether inputs (n, ...) in place of the samples at ``index`` are still right."""
        if not len(index):
            return torch.zeros(0, dtype=torch.bool, device=x.device)
        return self.logits(x).argmax(dim=1) == self.y[index]

    def gradients(self, loss: Loss) -> Tensor:
        """(m, ...) gradients of a loss at the samples themselves.

        Raises:
            RuntimeError: no gradient leads from the output to the input.
        """
        everything = torch.arange(len(self), device=self.x.device)
        return torch.cat([self._gradient(loss, self.x[part], self.y[part]) for part in self._parts(everything)])

    def _gradient(self, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
        return input_gradient(lambda inputs: loss(self.target.network(inputs), y), x)

    def climb(
        self,
        index: Tensor,
        *,
        eps: float,
        steps: int,
        eps_step: float | None = None,
        loss: Loss = cross_entropy,
        random_start: bool = False,
    ) -> Tensor:
        """PGD on the samples at ``index``, to its last step, each of a quarter of eps where ``eps_step`` does not say else.

        Returns:
            (n,) which of them are still right.
        """
        step, standing = eps / 4 if eps_step is None else eps_step, []
        for part in self._parts(index):
            found, box = self.x[part], make_box(self.x[part], eps, self.target.network.clip_values)
            if random_start:
                seeds = sample_seeds(self.seed, "sanity", self.indices[part.cpu().numpy()].tolist())
                found = box.project(found + eps * draw_uniform(found, seeds))
            for _ in range(steps):
                found = box.project(found + step * self._gradient(loss, found, self.y[part]).sign())
            standing.append(self.right(found, part))
        return torch.cat(standing) if standing else torch.zeros(0, dtype=torch.bool, device=self.x.device)

    def under(self, attack: Callable[..., Tensor], name: str, options: Mapping[str, Any]) -> BoolArray:
        """Run an attack of the evaluation on the samples, with the random numbers that they have in one.

        Args:
            attack: as registered, called with ``(target, x, y, **options)``.
            name: its registered name.
            options: its options.

        Returns:
            (m,) which samples are still right.
        """
        everything, right = torch.arange(len(self), device=self.x.device), []
        for part in self._parts(everything):
            seeds = sample_seeds(self.seed, name, self.indices[part.cpu().numpy()].tolist())
            target = AttackTarget(self.target.classifier, self.target.network, seeds, self.seed)
            found = attack(target, self.x[part].clone(), self.y[part], **options)
            right.append(self.right(found, part))
        standing: BoolArray = torch.cat(right).cpu().numpy()
        return standing
