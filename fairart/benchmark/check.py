"""Checks of a grid before its first epoch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from art.estimators.classification import PyTorchClassifier

from fairart.benchmark.cells import Cell
from fairart.benchmark.file import Grid
from fairart.datasets import Dataset
from fairart.errors import OptionError, PluginError
from fairart.evaluation.attacks.specs import resolve_attacks
from fairart.plugins import get_plugin_manager
from fairart.runs import build
from fairart.runs.config import RunConfig, check_names
from fairart.runs.evaluation import Budget, choose_attacks, choose_images, corruption_source

__all__ = ["Checked", "check_grid"]

SHOWN = 5
"""Largest number of reasons in one message; more would hide the first."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found out about the cells of a grid.

    Args:
        full: name of a cell -> the complete configuration of its run.
        parameters: name of a cell -> number of parameters of its network.
    """

    full: dict[str, RunConfig] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)


def check_grid(grid: Grid, *, remote: bool = False) -> Checked:
    """Build the data set, model and method of every cell, and train nothing. Public data sets are downloaded here, once.

    Args:
        grid: the cells.
        remote: whether they run on other machines: then their devices need not exist here.

    Returns:
        Complete configurations, and sizes of the networks.

    Raises:
        OptionError: an unknown metric, a bad option of an attack, a meaningless combination, two cells that are the same run in
            two notations; the message names the cells.
        FileNotFoundError, DatasetError, DownloadError: no data.
    """
    reasons: dict[str, list[Cell]] = {}
    for cell in grid.cells:
        with _collected(reasons, cell):
            _check_names(cell.config)
    _refuse(grid, reasons)
    for name in grid.plan.metrics:
        get_plugin_manager().find("fairness_metric", name)
    checked = Checked()
    for group in _of_one_data_set(grid.cells):
        # One data set in memory at a time.
        _check_group(group, grid, reasons, remote, checked)
    _refuse(grid, reasons)
    _check_different(grid, checked.full)
    return checked


@contextlib.contextmanager
def _collected(reasons: dict[str, list[Cell]], cell: Cell) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, PluginError) as error:
        reasons.setdefault(" ".join(str(error).split()), []).append(cell)


def _refuse(grid: Grid, reasons: dict[str, list[Cell]]) -> None:
    if not reasons:
        return
    number = sum(map(len, reasons.values()))
    detail = [f"{_who(cells)}: {reason}" for reason, cells in list(reasons.items())[:SHOWN]]
    if len(reasons) > SHOWN:
        detail.append(f"and {len(reasons) - SHOWN} more reasons")
    raise OptionError(
        f"{grid.source}: {number} of {len(grid.cells)} cells cannot run; correct them, or remove them under 'exclude'. "
        + "; ".join(detail)
    )


def _who(cells: Sequence[Cell]) -> str:
    others = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
    return f"({cells[0]}){others}"


def _check_names(config: RunConfig) -> None:
    build.load_plugins(config)
    check_names(config)


def _of_one_data_set(cells: Sequence[Cell]) -> list[list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        config = cell.config
        key = json.dumps(
            [
                config.dataset,
                config.data_root,
                config.test_share,
                config.leave_out,
                config.per_class,
                config.validation_share,
                config.imbalance,
                config.label_noise,
                config.options.get("dataset"),
            ],
            default=str,
        )
        groups.setdefault(key, []).append(cell)
    return list(groups.values())


def _check_group(group: Sequence[Cell], grid: Grid, reasons: dict[str, list[Cell]], remote: bool, checked: Checked) -> None:
    """Check cells of one data set; those that can run are entered."""
    data = build.build_dataset(group[0].config)
    _check_corruptions(grid, data)
    classifiers: dict[str, PyTorchClassifier] = {}
    extras: set[str] = set()
    for cell in group:
        config = cell.config
        with _collected(reasons, cell):
            if not remote:
                build.resolved_device(config.device)
            if config.batch_size == "auto":
                raise OptionError(
                    "batch_size 'auto' depends on the machine, and a grid compares runs of one batch size: give a number"
                )
            if config.batch_size > len(data.y_train):
                raise OptionError(f"batch_size {config.batch_size} is more than the {len(data.y_train)} training images")
            key = json.dumps([config.model, config.options.get("model")], default=str)
            if key not in classifiers:
                classifiers[key] = build.build_classifier(config, data, device="cpu")
            build.build_trainer(config, classifiers[key], data)
            if config.extra_data is not None and config.extra_data not in extras:
                build.build_extra_data(config, data)
                extras.add(config.extra_data)
            budget = Budget(config.eps, config.eps_step, config.norm)
            resolve_attacks(choose_attacks(budget, grid.plan.attacks, {}))
            checked.full[cell.name] = build.resolved_config(config, data)
            checked.parameters[cell.name] = sum(one.numel() for one in classifiers[key].model.parameters())


def _check_corruptions(grid: Grid, data: Dataset) -> None:
    plan = grid.plan
    keep = choose_images(data.y_test, plan.limit, plan.seed)
    try:
        # None is made before it is asked for.
        corruption_source(
            data,
            keep,
            corruptions=plan.corruption_names,
            folder=plan.corruptions_dir,
            severities=plan.severities,
            options=plan.corruption_options,
            limit=plan.limit,
            seed=plan.seed,
            device="cpu",
        )
    except (ValueError, TypeError) as error:
        raise OptionError(f"{grid.source}: evaluation, on {data.name}: {error}") from error


def _check_different(grid: Grid, full: dict[str, RunConfig]) -> None:
    seen: dict[str, Cell] = {}
    for cell in grid.cells:
        twin = seen.setdefault(json.dumps(full[cell.name].to_dict(), sort_keys=True, default=str), cell)
        if twin is not cell:
            raise OptionError(f"{grid.source}: two cells are the same run in two notations: ({twin}) and ({cell})")
