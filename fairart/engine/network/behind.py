"""A network behind one more operation on its inputs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fairart.engine.network.network import Network, logits_of

__all__ = ["NetworkBehind"]


class NetworkBehind(Network):
    """A :class:`Network` whose inputs go through an operation first; then come its own preprocessing and its module.

    Args:
        network: whose module, preprocessing and clip values are used; nothing of it is changed.
        operation: gets and gives inputs (n, ...) in clip values.
    """

    def __init__(self, network: Network, operation: Callable[[Tensor], Tensor]) -> None:
        nn.Module.__init__(self)
        self.module = network.module
        self.device, self.dtype, self.clip_values = network.device, network.dtype, network.clip_values
        self._operations = [operation, *network._operations]

    def after_operation(self, x: Tensor) -> Tensor:
        """Logits (n, K) of inputs that went through the operation already."""
        for operation in self._operations[1:]:
            x = operation(x)
        return logits_of(self.module(x))
