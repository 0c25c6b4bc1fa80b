"""A small network with every kind of state, and variants of it that normalise their own input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


class Net(nn.Module):
    """Convolution, batch-norm, and a linear layer."""

    def __init__(self, nb_classes: int = 5, width: int = 4) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, nb_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.relu(self.norm(self.convolution(x))).mean(dim=(2, 3)))


class Normalize(nn.Module):
    """Mean and deviation as buffers, under the names that are given."""

    def __init__(
        self, names: tuple[str, str] = ("mean", "std"), *, shape: tuple[int, ...] = (1, 3, 1, 1), own: bool = True
    ) -> None:
        super().__init__()
        self.names = names
        for name, values in zip(names, (MEAN, STD) if own else ((0.0,) * 3, (1.0,) * 3), strict=True):
            self.register_buffer(name, torch.tensor(values).reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (getattr(self, name).reshape(1, 3, 1, 1) for name in self.names)
        return (x - mean) / std


class SelfNormalizing(Net):
    """Applies ``mu`` and ``sigma`` itself, as networks of robust-training papers do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mu", torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("sigma", torch.tensor(STD).reshape(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - self.mu) / self.sigma)


def made(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network with statistics of its own in batch-norm, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
        model.train()
        with torch.no_grad():
            for _ in range(3):
                model(torch.rand(16, 3, 8, 8))
    return model.eval()


@pytest.fixture
def model() -> nn.Module:
    return made(Net)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save(content: object, name: str = "weights.pt", **options: object) -> Path:
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return save
