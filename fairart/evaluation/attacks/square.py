"""Square Attack in torch: queries for a whole batch at once, on the device, one forward pass each."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from fairart.attacks.common import make_box
from fairart.engine.network import Network
from fairart.evaluation.attacks.preflight import preflight, require_images
from fairart.evaluation.attacks.target import AttackTarget, Epsilon
from fairart.plugins.options import Option

__all__ = ["square_attack", "window_share"]

DRAWN_AT_ONCE = 64
"""Queries whose random numbers are drawn together: a generator is asked once in so many queries, not in each."""

PATTERN_BITS = 48
"""Channels that choose their end independently in one query: as many as a double has bits for; further ones repeat them."""

HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries out of 10 000 after which the share of pixels in a window is halved."""


def window_share(query: int, max_iter: int, p_init: float) -> float:
    """Share of the pixels that a window covers (the authors' schedule, made for 10 000 queries and stretched to others).

    Args:
        query: 0 for the first one after the stripes.
        max_iter: queries in all.
        p_init: share at the start, in (0, 1].
    """
    return p_init / 2.0 ** bisect_left(HALVED_AFTER, int(query / max_iter * 10000))


def _check(classifier: PyTorchClassifier, options: Mapping[str, Any]) -> None:
    require_images("square", classifier)


@preflight(_check)
def square_attack(
    target: AttackTarget,
    x: Tensor,
    y: Tensor,
    *,
    generator: torch.Generator | None = None,
    eps: Epsilon = 8 / 255,
    max_iter: Annotated[int, Option("queries of each restart", low=1)] = 5000,
    p_init: Annotated[float, Option("share of the pixels in the first window", low=0, low_open=True, high=1)] = 0.8,
    nb_restarts: Annotated[int, Option("restarts", low=1)] = 1,
) -> Tensor:
    """Square Attack: random windows at the edge of the L-inf ball, by queries alone (Andriushchenko et al., ECCV 2020).

    A black-box attack: it sees logits and no gradient. Each sample draws its windows from its own stream, and leaves as soon as
    it is fooled. As in the authors' program, a window that would change nothing is drawn again.

    Args:
        target: what is attacked.
        x: (n, C, H, W) inputs in clip values.
        y: (n,) labels.
        generator: random state where the target has no seeds.
        eps: L-inf radius, >= 0.
        max_iter: queries of each restart, >= 1; AutoAttack asks 5000.
        p_init: share of the pixels in the first window, in (0, 1].
        nb_restarts: restarts, >= 1; a sample that one of them fools is left out of the next ones.

    Returns:
        (n, C, H, W) adversarial inputs, each the best that was found.

    Source: https://arxiv.org/abs/1912.00049, Algorithms 1 and 2; margin loss.
    """
    best, lowest = x.clone(), torch.full((len(x),), math.inf, device=x.device)
    if eps == 0:
        return best
    streams: Streams = generator
    if target.sample_seeds is not None:
        streams = [torch.Generator().manual_seed(seed) for seed in target.sample_seeds]
    standing = torch.arange(len(x), device=x.device)
    for _ in range(nb_restarts):
        search = _Search(target.network, x[standing], y[standing], eps, _chosen(streams, standing))
        for query in range(max_iter):
            if not search.unfooled():
                break
            search.ask(window_share(query, max_iter, p_init))
        found, margin = search.result()
        better = margin < lowest[standing]
        best[standing[better]], lowest[standing[better]] = found[better], margin[better]
        standing = standing[lowest[standing] >= 0]
        if not len(standing):
            break
    return best


Streams = list[torch.Generator] | torch.Generator | None
"""A generator a sample; or one for the whole batch, None being torch's global one."""


def _chosen(streams: Streams, index: Tensor) -> Streams:
    return [streams[i] for i in index.tolist()] if isinstance(streams, list) else streams


def _draw(streams: Streams, like: Tensor, *shape: int) -> Tensor:
    """(n, *shape) uniform numbers in [0, 1) on the device of ``like``, a sample's own from its own stream."""
    if isinstance(streams, list):
        drawn = torch.empty((len(streams), *shape), dtype=torch.float64)
        for row, stream in zip(drawn, streams, strict=True):
            row.uniform_(generator=stream)
        return drawn.to(like.device)
    return torch.rand((len(like), *shape), generator=streams, dtype=torch.float64, device=like.device)


class _Search:
    """One restart. Every pixel is at one end of its box all the time, so the state is a truth value a pixel."""

    def __init__(self, network: Network, x: Tensor, y: Tensor, eps: float, streams: Streams) -> None:
        box = make_box(x, eps, network.clip_values)
        _, channels, height, width = x.shape
        self.network, self.streams = network, streams
        self.box_low, self.box_high, self.labels = box.low, box.high, y
        stripes = _draw(streams, x, channels, 1, width) < 0.5
        self.upper = stripes.expand(-1, -1, height, -1).contiguous()
        self.margin = self._margin(torch.where(self.upper, box.high, box.low))
        self.place = torch.arange(len(x), device=x.device)  # of those that are still right
        self.draws = torch.empty((len(x), 0, 3), device=x.device)
        self.used = 0
        self._found, self._margins = torch.where(self.upper, box.high, box.low), self.margin.clone()

    def _margin(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.network(images)
        own = logits.gather(1, self.labels[:, None])[:, 0]
        margin: Tensor = own - logits.scatter(1, self.labels[:, None], -math.inf).amax(dim=1)
        return margin

    def unfooled(self) -> bool:
        """Drop the fooled samples; returns whether any sample is left."""
        left = self.margin >= 0
        if bool(left.all()):
            return len(left) > 0
        self._note()
        for name in ("box_low", "box_high", "labels", "upper", "margin", "place", "draws"):
            setattr(self, name, getattr(self, name)[left])
        self.streams = _chosen(self.streams, left.nonzero()[:, 0])
        return len(self.place) > 0

    def _note(self) -> None:
        self._found[self.place] = torch.where(self.upper, self.box_high, self.box_low)
        self._margins[self.place] = self.margin

    def result(self) -> tuple[Tensor, Tensor]:
        """The best inputs, and their margins: negative where the sample is fooled."""
        self._note()
        return self._found, self._margins

    def ask(self, share: float) -> None:
        """One query: a window for each sample, kept where it lowers the margin."""
        proposed = self._proposed(share)
        margin = self._margin(torch.where(proposed, self.box_high, self.box_low))
        better = margin < self.margin
        self.upper = torch.where(better.view(-1, 1, 1, 1), proposed, self.upper)
        self.margin = torch.where(better, margin, self.margin)

    def _proposed(self, share: float) -> Tensor:
        if self.used == self.draws.shape[1]:
            self.draws, self.used = _draw(self.streams, self.labels, DRAWN_AT_ONCE, 3), 0
        row, column, pattern = self.draws[:, self.used].unbind(dim=1)
        self.used += 1
        height, width = self.upper.shape[2:]
        side = min(max(round(math.sqrt(share * height * width)), 1), height, width)
        rows = _span(row, side, height)[:, None, :, None]
        columns = _span(column, side, width)[:, None, None, :]
        window = rows & columns
        inside = (self.upper & window).sum(dim=(2, 3))
        ends = _new_ends(pattern, inside == side * side, inside == 0)
        return torch.where(window, ends[:, :, None, None], self.upper)


def _span(draw: Tensor, side: int, length: int) -> Tensor:
    """(n, length) where a window of that side lies, its start uniform over all that fit."""
    start = (draw * (length - side + 1)).long()[:, None]
    position = torch.arange(length, device=draw.device)
    covered: Tensor = (position >= start) & (position < start + side)
    return covered


def _new_ends(draw: Tensor, all_upper: Tensor, all_lower: Tensor) -> Tensor:
    """(n, C) which end of the box each channel of the window goes to: uniform over the choices that change a pixel.

    Args:
        draw: (n,) uniform numbers in [0, 1).
        all_upper: (n, C) whether the whole window is at the upper end already.
        all_lower: (n, C) the same for the lower end.
    """
    bit = torch.arange(all_upper.shape[1], device=draw.device) % PATTERN_BITS
    choices = 2 ** min(len(bit), PATTERN_BITS)
    # One choice changes nothing, where every channel of the window is of one end: number the others from there.
    stuck = (all_upper | all_lower).all(dim=1)
    now = (all_upper[:, :PATTERN_BITS].long() << bit[:PATTERN_BITS]).sum(dim=1)
    code = torch.where(stuck, now + 1 + (draw * (choices - 1)).long(), (draw * choices).long()) % choices
    ends: Tensor = ((code[:, None] >> bit) & 1).bool()
    return ends
