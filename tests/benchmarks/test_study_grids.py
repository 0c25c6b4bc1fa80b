"""The grids of benchmarks/study: each passes the checks that --dry-run makes, on stand-ins for the public data sets."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torchvision
import yaml

from fairart.benchmark import dry_run, grid_from_mapping, read_grid
from fairart.corruptions import CORRUPTION_SETS
from fairart.tuning.check import check_tuning
from fairart.tuning.file import read_tuning

FOLDER = Path(__file__).parents[2] / "benchmarks" / "study"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
TUNINGS = [name for name in FILES if "search" in yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))]
GRIDS = [name for name in FILES if name not in TUNINGS]
PAIRS = [name for name in GRIDS if name.replace(".yaml", "_cpu.yaml") in GRIDS]
SMALLER = {
    "preact-resnet-18": {"model.width": 2},
    "xcit-s12": {"model.embed_dim": 8, "model.depth": 1, "model.num_heads": 2},
}
"""Sizes that the networks of a grid are built in here: their options are checked, their weights are not."""


class Images:
    """A public data set as torchvision reads it, with a few hundred images of each class."""

    shape, number, per_class = (32, 32, 3), 10, 900

    def __init__(self, root: str, *, train: bool, download: bool) -> None:
        self.targets = np.tile(np.arange(self.number), self.per_class if train else 20)
        self.data = np.broadcast_to(noise(self.shape), (len(self.targets), *self.shape))
        self.classes = [f"class {index}" for index in range(self.number)]


class Grey(Images):
    shape = (28, 28)


class Hundred(Images):
    number, per_class = 100, 60


def noise(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, stand_in in {"CIFAR10": Images, "CIFAR100": Hundred, "FashionMNIST": Grey}.items():
        monkeypatch.setattr(torchvision.datasets, name, stand_in)
    monkeypatch.setenv("FAIRART_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    read = {split: Images("", train=split == "train", download=True) for split in ("train", "test")}
    x, y = ({split: getattr(one, part) for split, one in read.items()} for part in ("data", "targets"))
    few = slice(0, 10 * 500)
    np.savez("cifar10-jpeg-q75.npz", x_train=x["train"][few], y_train=y["train"][few], x_test=x["test"], y_test=y["test"])


def document(name: str) -> dict[str, Any]:
    """A grid with one seed, and networks that are built in no time."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    found["grid"]["seed"] = found["grid"]["seed"][:1]
    base = found["base"]
    base |= SMALLER.get(base.get("model", ""), {})
    for settings in found["methods"] if isinstance(found["methods"], list) else found["methods"].values():
        if isinstance(settings, dict):
            settings |= SMALLER.get(settings.get("model", ""), {})
    named = found.get("evaluation", {}).get("corruptions")
    if named is not None and importlib.util.find_spec("imagecorruptions") is None:
        # Frost is made of the pictures of that package.
        found["evaluation"]["corruptions"] = [name for name in CORRUPTION_SETS[named] if name != "frost"]
    return found


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", GRIDS)
def test_grid_passes_the_checks_of_a_dry_run(name: str, tmp_path: Path) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    if "xcit" in text and importlib.util.find_spec("timm") is None:
        pytest.skip("needs timm")
    grid = grid_from_mapping(document(name), where=name)
    found = dry_run(grid, tmp_path / "out")
    assert set(found.values()) == {"new"}
    assert len(found) == len(grid.cells)
    seeds = yaml.safe_load(text)["grid"]["seed"]
    assert len(seeds) >= 2, "one seed says nothing about training again"


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", TUNINGS)
def test_search_passes_its_checks(name: str) -> None:
    check_tuning(read_tuning(FOLDER / name))


@pytest.mark.parametrize("name", FILES)
def test_first_line_is_the_command_of_this_file(name: str) -> None:
    command = "tune" if name in TUNINGS else "benchmark"
    assert (FOLDER / name).read_text(encoding="utf-8").startswith(f"# fairart {command} benchmarks/study/{name}")


def test_no_two_grids_write_to_one_folder() -> None:
    outputs = [yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["output"] for name in GRIDS]
    assert len(set(outputs)) == len(outputs)


@pytest.mark.parametrize("name", PAIRS)
def test_grid_in_a_size_for_the_cpu_has_the_rows_of_the_published_one(name: str) -> None:
    published, small = read_grid(FOLDER / name), read_grid(FOLDER / name.replace(".yaml", "_cpu.yaml"))

    def rows(grid: Any) -> dict[str, Any]:
        return {
            cell.row_name: (cell.config.trainer, cell.config.objective, cell.config.averaging, cell.config.options.get("trainer"))
            for cell in grid.cells
        }

    assert rows(published) == rows(small)
    assert [str(pair) for pair in published.comparisons] == [str(pair) for pair in small.comparisons]
    assert {cell.config.per_class for cell in published.cells} == {None}
    assert published.plan.limit is None
    assert small.plan.limit is not None
    assert all(cell.config.per_class is not None for cell in small.cells)


def test_every_table_of_the_papers_has_a_grid_in_both_sizes() -> None:
    tables = (
        "cfa_table1",
        "fair_tat_table1",
        "fair_tat_cifar100",
        "fair_tat_xcit",
        "fair_tat_corruptions",
        "fair_tat_a2",
        "fair_tat_a3",
    )
    assert {f"{name}.yaml" for name in tables} == set(PAIRS)
