from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

from fairart import create


@pytest.fixture(scope="session")
def photographs() -> list[npt.NDArray[np.uint8]]:
    return [np.asarray(image) for image in load_sample_images().images]


@pytest.fixture(scope="session")
def pixels(photographs: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """(30, 32, 32, 3): both photographs at a quarter of their size, cut up as benchmarks/corruption_reference.py does."""
    found = []
    for photograph in photographs:
        rows, columns = (side // 4 // 32 for side in photograph.shape[:2])
        used = photograph[: rows * 128, : columns * 128].reshape(rows * 32, 4, columns * 32, 4, 3).mean(axis=(1, 3))
        found.append(used.reshape(rows, 32, columns, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3))
    return np.concatenate(found).round().astype(np.uint8)


@pytest.fixture(scope="session")
def images(pixels: npt.NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255


@pytest.fixture(scope="session")
def textures(photographs: list[npt.NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("textures")
    Image.fromarray(photographs[0]).save(folder / "a.png")
    return str(folder)


@pytest.fixture(scope="session")
def corruption(textures: str) -> Callable[[str], Any]:
    """Make a corruption by name; frost takes a photograph in place of frost."""
    return lambda name: create("corruption", name, **({"textures": textures} if name == "frost" else {}))
