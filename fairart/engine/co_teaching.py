"""Co-teaching: two networks, each trained on the samples of a batch that the other one finds easy."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairart.engine.data.batches import Samples
from fairart.engine.loop import Engine
from fairart.engine.meter import EpochMeter
from fairart.engine.network import Network, restored_modes
from fairart.engine.randomness import isolated_random_state
from fairart.policies.class_weightings.base import LossTerms

__all__ = ["CoTeachingEngine", "Peer", "kept_share", "peer_of", "smallest_losses", "terms_of"]

WORD = 5
"""Sets the second network's random numbers apart from those that the first one was made with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Peer:
    """The second network.

    Args:
        network: as the first one, with weights of its own.
        optimizer: of its parameters; its learning rate follows that of the first one's.
    """

    network: Network
    optimizer: torch.optim.Optimizer


def peer_of(network: Network, optimizer: torch.optim.Optimizer, seed: int) -> Peer:
    """A second network like the first one, with new weights, and an optimizer like the first one's.

    Args:
        network: the first network; it is left alone.
        optimizer: its optimizer.
        seed: of the new weights.

    Raises:
        ValueError: no layer of the model can draw new weights, so that both networks would be one.
    """
    # Copied together: the copy of the optimizer holds the parameters of the copy.
    twin, its_optimizer = copy.deepcopy((network, optimizer))
    its_optimizer.state.clear()
    before = [parameter.detach().clone() for parameter in twin.module.parameters()]
    word = int(np.random.SeedSequence([seed, WORD]).generate_state(1)[0])
    with isolated_random_state(word, network.device):
        for module in twin.module.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    if all(torch.equal(old, new) for old, new in zip(before, twin.module.parameters(), strict=True)):
        raise ValueError(
            "co-teaching needs a second network with other weights, and no layer of the model has reset_parameters(): give its "
            "layers that method, as torch's own have it"
        )
    return Peer(network=twin, optimizer=its_optimizer)


def kept_share(epoch: int, noise_rate: float, ramp_epochs: int) -> float:
    """R(t) = 1 - tau min(t / T_k, 1), the share of a batch that is kept (Han et al., NeurIPS 2018, Algorithm 1).

    Args:
        epoch: t, from 0: the first epoch keeps everything.
        noise_rate: tau, in [0, 1).
        ramp_epochs: T_k, >= 1.
    """
    return 1 - noise_rate * min(epoch / ramp_epochs, 1.0)


def smallest_losses(losses: Tensor, share: float) -> Tensor:
    """(m,) rows of the smallest losses, m = share * n rounded down, at least one; ties go to the earlier row.

    Args:
        losses: (n,).
        share: in (0, 1].
    """
    kept = max(1, int(share * len(losses) + 1e-9))
    return torch.argsort(losses.detach(), stable=True)[:kept]


def terms_of(terms: LossTerms, rows: Tensor) -> LossTerms:
    """The losses of some samples of a batch.

    Args:
        terms: of the whole batch.
        rows: (m,) rows.
    """
    chosen: dict[str, Any] = {name: value[rows] for name, value in vars(terms).items() if isinstance(value, Tensor)}
    return dataclasses.replace(terms, **chosen)


class CoTeachingEngine(Engine):
    """Trains two networks on the same batches; takes the arguments of :class:`fairart.engine.loop.Engine` as well.

    Each network is attacked by itself. Each picks the samples with its smallest classification losses, and the other one takes
    its step on these. Statistics, policies, validation and averaging follow the first network.

    Args:
        *arguments: of the engine.
        peer: the second network.
        noise_rate: tau.
        ramp_epochs: T_k.
        **options: of the engine.
    """

    def __init__(self, *arguments: Any, peer: Peer, noise_rate: float, ramp_epochs: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.noise_rate, self.ramp_epochs = noise_rate, ramp_epochs
        self.peer = Engine(peer.network, peer.optimizer, *arguments[2:], **{**options, "scheduler": None})
        # What the second network is changed by is checked by the meter of the first one alone.
        self._aside = EpochMeter(self.nb_classes, self.network.device, self.needs)

    def trained(self) -> list[tuple[nn.Module, torch.optim.Optimizer]]:
        """Both networks with their optimizers."""
        return [*super().trained(), *self.peer.trained()]

    def further_state(self) -> dict[str, Any]:
        """Weights and optimizer of the second network."""
        return {"weights": dict(self.peer.network.module.state_dict()), "optimizer": self.peer.optimizer.state_dict()}

    def load_further_state(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.peer.network.module.load_state_dict(state["weights"])
        self.peer.optimizer.load_state_dict(state["optimizer"])

    def clear_gradients(self) -> None:
        """Drop every gradient of both networks."""
        super().clear_gradients()
        self.peer.clear_gradients()

    def _plan(self) -> dict[str, Any]:
        plan = super()._plan()
        self.peer._eps, self.peer._eps_step = self._eps, self._eps_step
        return plan

    def _train(self, *arguments: Any) -> None:
        with restored_modes(self.peer.network, training=True), self.peer.while_training():
            super()._train(*arguments)

    def _step(self, samples: Samples, epoch: int, meter: EpochMeter) -> None:
        batch = self._batch(samples, epoch, meter)
        examples, others = self._examples(batch, meter), self.peer._examples(batch, self._aside)
        self.clear_gradients()
        share = kept_share(epoch, self.noise_rate, self.ramp_epochs)
        terms, its_terms = self._terms(batch, examples), self.peer._terms(batch, others)
        # The other network's choice: its errors are others than one's own, which would grow from step to step.
        rows, its_rows = smallest_losses(its_terms.natural, share), smallest_losses(terms.natural, share)
        loss = self._loss(terms_of(terms, rows), batch.y[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        its_loss = self.peer._loss(terms_of(its_terms, its_rows), batch.y[its_rows])
        its_loss.backward()  # type: ignore[no-untyped-call]
        if self.method.gradient_clipping is not None:
            for module, _ in self.trained():
                torch.nn.utils.clip_grad_norm_(module.parameters(), self.method.gradient_clipping)
        if "clean" in self.needs and terms.clean_logits is None:
            terms = dataclasses.replace(terms, clean_logits=self._clean_logits(batch.x))
        self._take_steps()
        self._tell_batch_end(terms, batch.y)
        # A second network that diverged is an error as well.
        meter.add(terms, batch.y, torch.where(torch.isfinite(its_loss.detach()), loss, its_loss))

    def _take_steps(self) -> None:
        for own, other in zip(self.optimizer.param_groups, self.peer.optimizer.param_groups, strict=True):
            # Whatever a scheduler may have moved.
            other.update({name: value for name, value in own.items() if name != "params"})
        self.optimizer.step()
        self.peer.optimizer.step()
        if self.scheduler is not None and self.scheduler_interval == "batch":
            self.scheduler.step()
