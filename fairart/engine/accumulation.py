"""Gradient accumulation: a batch's gradient from micro-batches, one after the other, in the memory of one of them."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairart.draws import PartGenerator, in_pieces
from fairart.engine.meter import EpochMeter
from fairart.engine.randomness import global_random_state, set_global_random_state
from fairart.errors import PolicyError
from fairart.objectives.base import Batch, Examples
from fairart.plugins import origin
from fairart.policies import ClassWeighting
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["MicroBatches", "accumulated_gradients", "micro_batch_size", "micro_slices"]

PER_SAMPLE = ("natural", "adversarial_logits", "clean_logits", "boundary", "extra", "adversarial")
"""What of the terms a loss is made of."""


def micro_batch_size(batch_size: int, processes: int, steps: int) -> int | None:
    """Most samples that a process attacks and trains on at once; None for its whole part of the batch.

    Args:
        batch_size: samples of one optimizer step, of all processes together.
        processes: that share the batch.
        steps: micro-batches of each process's part, >= 1.
    """
    part = -(-batch_size // processes)
    return None if steps == 1 else -(-part // steps)


def micro_slices(number: int, largest: int) -> list[slice]:
    """Cut a batch into as few pieces as possible, whose sizes differ by one at most.

    A piece has two samples or more, since batch-norm cannot train on one: so three samples stay together.

    Args:
        number: samples of the batch, >= 1.
        largest: most samples of a piece, >= 2.
    """
    count = max(1, min(-(-number // largest), number // 2))
    ends = [number * place // count for place in range(count + 1)]
    return [slice(first, stop) for first, stop in itertools.pairwise(ends)]


class MicroBatches:
    """The pieces of a batch, each with the random numbers that it would be given within the whole.

    Args:
        batch: this process's part of the batch.
        generator: random state of the run, whose ``part`` says which part that is.
        largest: most samples of a piece.
    """

    def __init__(self, batch: Batch, generator: PartGenerator, largest: int) -> None:
        self.batch, self._generator = batch, generator
        self.slices = micro_slices(len(batch.y), largest)

    def __iter__(self) -> Iterator[tuple[slice, Batch]]:
        """The rows of each piece, and the piece."""
        for rows in in_pieces(self._generator, self.slices):
            yield rows, _piece(self.batch, rows)


def _piece(batch: Batch, rows: slice) -> Batch:
    number = len(batch.y)
    tensors: dict[str, Any] = {
        field.name: value[rows]
        for field in dataclasses.fields(batch)
        if isinstance(value := getattr(batch, field.name), Tensor) and value.ndim > 0 and len(value) == number
    }
    return dataclasses.replace(batch, **tensors)


def _joined(pieces: Sequence[LossTerms]) -> LossTerms:
    """The terms of all pieces as those of one batch, without gradient."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(LossTerms):
        values = [getattr(piece, field.name) for piece in pieces]
        if isinstance(values[0], Tensor):
            changes[field.name] = torch.cat([value.detach() for value in values])
    return dataclasses.replace(pieces[0], **changes)


def accumulated_gradients(engine: Any, batch: Batch, meter: EpochMeter, largest: int) -> tuple[LossTerms, Tensor]:
    """Attack a batch and leave its gradient in the parameters' ``grad``, piece by piece.

    The gradient is that of the whole batch to rounding, but for what a network does across samples (batch-norm) and draws by
    itself (dropout). A weighting of which every sample's weight is known beforehand needs one pass. One that looks across the
    batch gets the losses of all pieces first, from a forward pass without gradient, and each piece then goes backward with the
    derivative of the whole batch's loss by its own losses: the chain rule, as in GradCache (Gao et al., RepL4NLP 2021).

    Args:
        engine: whose network, method and random state are used.
        batch: this process's part of the batch.
        meter: is told of the changes that the attacks make.
        largest: most samples of a piece.

    Returns:
        The terms of the batch, and its loss, both without gradient.

    Raises:
        PolicyError: a part broke its rules.
    """
    pieces = MicroBatches(batch, engine.streams.attack, largest)
    examples = [engine._examples(piece, meter) for _, piece in pieces]
    # Not before: attacks of ART leave gradients of their own in the weights.
    engine.clear_gradients()

    def loss() -> Tensor:
        # With the gradient of all pieces, for who asks for it by autograd.
        value: Tensor = _backward(engine, pieces, examples)[1]
        value = value + sum((p.grad * (p - p.detach())).sum() for p in engine.network.module.parameters() if p.grad is not None)
        engine.clear_gradients()
        return value

    with engine._perturbed(loss, batch.epoch):
        return _backward(engine, pieces, examples)


def _backward(engine: Any, pieces: MicroBatches, examples: Sequence[Examples]) -> tuple[LossTerms, Tensor]:
    method = engine.method
    if method.class_weighting.looks_across_batch or method.loss_scale == "mean-one":
        return _backward_by_terms(engine, pieces, examples)
    terms, losses = [], []
    with _no_sums(method.class_weighting):
        for (_, piece), made in zip(pieces, examples, strict=True):
            own = engine._terms(piece, made)
            loss = engine._loss(own, piece.y)
            loss.backward()
            terms.append(_joined([own]))
            losses.append(loss.detach())
    return _joined(terms), torch.stack(losses).sum()


def _backward_by_terms(engine: Any, pieces: MicroBatches, examples: Sequence[Examples]) -> tuple[LossTerms, Tensor]:
    device = engine.network.device
    seen, states = [], []
    with torch.no_grad(), _kept_buffers(engine.network.module):
        for (_, piece), made in zip(pieces, examples, strict=True):
            states.append(global_random_state(device))
            seen.append(engine._terms(piece, made))
    terms = _joined(seen)
    leaves = {name: value.clone().requires_grad_() for name in PER_SAMPLE if (value := getattr(terms, name)) is not None}
    loss = engine._loss(dataclasses.replace(terms, **leaves), pieces.batch.y)
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    derivatives = {name: value for name, value in zip(leaves, found, strict=True) if value is not None}
    for (rows, piece), made, state in zip(pieces, examples, states, strict=True):
        # The same dropout as in the pass before.
        set_global_random_state(state, device)
        own = engine._terms(piece, made)
        heads = [(getattr(own, name), value[rows]) for name, value in derivatives.items()]
        heads = [(tensor, value) for tensor, value in heads if tensor.requires_grad]
        torch.autograd.backward([tensor for tensor, _ in heads], [value for _, value in heads])
    return terms, loss.detach()


@contextlib.contextmanager
def _kept_buffers(module: nn.Module) -> Iterator[None]:
    """Batch-norm sees the batch in the pass that trains, and not twice."""
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


@contextlib.contextmanager
def _no_sums(weighting: ClassWeighting) -> Iterator[None]:
    """While this is open, a weighting that sums over the batch without saying so is an error, not a wrong gradient."""
    before: Callable[[Tensor], Tensor] = weighting.all_reduce

    def refuse(tensor: Tensor) -> Tensor:
        raise PolicyError(
            f"{origin(weighting)}: combine() sums over the batch by all_reduce(), which gradient accumulation must know of: set "
            "looks_across_batch = True in the class"
        )

    weighting.all_reduce = refuse
    try:
        yield
    finally:
        weighting.all_reduce = before
