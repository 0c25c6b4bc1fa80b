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
from fairart.attacks.steps import step_of
from fairart.datasets.stored import Images
from fairart.engine.data import uint8_divisor
from fairart.evaluation.attacks import AttackTarget, draw_uniform
from fairart.evaluation.attacks.descent import Loss, cross_entropy
from fairart.evaluation.attacks.norms import hold
from fairart.evaluation.running.random_state import sample_seeds

__all__ = ["Subject", "choose"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def choose(right: BoolArray, samples: int, seed: int) -> IntArray:
    """Up to ``samples`` positions of those that are right, drawn with a seed, in order."""
    standing = np.flatnonzero(right)
    if len(standing) > samples:
        standing = np.sort(np.random.default_rng(seed).choice(standing, samples, replace=False))
    return standing


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
    def of(cls, target: AttackTarget, x: Images, y: IntArray, indices: IntArray, *, batch_size: int, seed: int) -> Subject:
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
        step, standing = step_of(eps, eps_step, steps), []
        for part in self._parts(index):
            found, box = self.x[part], make_box(self.x[part], eps, self.target.network.clip_values)
            if random_start:
                seeds = sample_seeds(self.seed, "sanity", self.indices[part.cpu().numpy()].tolist())
                found = box.project(found + eps * draw_uniform(found, seeds))
            for _ in range(steps):
                found = box.project(found + step * self._gradient(loss, found, self.y[part]).sign())
            standing.append(self.right(found, part))
        return torch.cat(standing) if standing else torch.zeros(0, dtype=torch.bool, device=self.x.device)

    def one_step(self, index: Tensor, *, eps: float, order: float) -> Tensor:
        """One step of length eps along the gradient of the cross-entropy, in L-inf or L2.

        Returns:
            (n,) which of the samples at ``index`` are still right.
        """
        standing = []
        for part in self._parts(index):
            x, clip = self.x[part], self.target.network.clip_values
            gradient = self._gradient(cross_entropy, x, self.y[part])
            if order == 2:
                length = gradient.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
                direction = gradient / length.view(-1, *[1] * (x.ndim - 1))
            else:
                direction = gradient.sign()
            moved = hold(x + eps * direction, x, eps=eps, order=order, clip_values=clip)
            standing.append(self.right(moved, part))
        return torch.cat(standing)

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
