"""The network whose logits the classification loss trains, for attacks on a term between two predictions."""

from __future__ import annotations

from torch import Tensor, nn

from fairart.objectives.base import Batch

__all__ = ["trained_network"]


class _TrainedNetwork(nn.Module):
    def __init__(self, network: nn.Module, batch: Batch) -> None:
        super().__init__()
        # The modes are those of the network: a module made anew is in train mode.
        self.training = network.training
        self.network, self.batch = network, batch

    def forward(self, x: Tensor) -> Tensor:
        return self.batch.trained_logits(self.network(x))


def trained_network(network: nn.Module, batch: Batch) -> nn.Module:
    """The network with :meth:`Batch.trained_logits` on top; the network itself where no classification loss changes its logits.

    Args:
        network: logits (n, K) of inputs.
        batch: with the classification loss.
    """
    return network if batch.classification_loss is None else _TrainedNetwork(network, batch)
